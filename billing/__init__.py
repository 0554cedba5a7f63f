"""The billing core: small apps, bottom to top (an app imports only from those before it).

kernel, access, entities, (subscriptions | ledger), usage, invoicing, payments.
"""
