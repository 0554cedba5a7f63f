"""What the books must agree with: the ledger compares, payments says what the documents add up to."""

from billing.ledger.accounts import CUSTOMER_BALANCE, RECEIVABLE
from billing.ledger.controls import account_must_equal

account_must_equal(
    "accounts receivable = what is open on issued invoices",
    RECEIVABLE,
    """
    SELECT seller_id AS entity_id, currency, balance_amount AS amount
    FROM invoices WHERE state IN ('issued', 'paid')
    """,
)
account_must_equal(
    "customer balances = what is not applied of payments and credit notes",
    CUSTOMER_BALANCE,
    """
    SELECT seller_id AS entity_id, currency, applied_amount - amount AS amount FROM payments
    UNION ALL
    SELECT seller_id, currency, applied_amount - total_amount FROM credit_notes
    """,
)
