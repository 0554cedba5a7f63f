"""Django's autodiscovery; the pages stand in `console`."""

from billing.payments.console import customer_accounts, payments

__all__ = ["customer_accounts", "payments"]
