"""Invariants of payments, invoices and the ledger (each query returns the violations), and the control totals."""

from billing.ledger.accounts import CASH, CUSTOMER_BALANCE, RECEIVABLE
from billing.ledger.invariants import account_must_equal

CHECKS = {
    "I6 paid is the sum of the applications": """
        SELECT i.id, i.paid_amount, coalesce(a.applied, 0) AS applied
        FROM invoices i
        LEFT JOIN (SELECT invoice_id, sum(amount) AS applied FROM payment_applications GROUP BY invoice_id) a
               ON a.invoice_id = i.id
        WHERE i.paid_amount <> coalesce(a.applied, 0)
    """,
    "I6 an invoice is paid iff nothing is open": """
        SELECT id, state, balance_amount FROM invoices
        WHERE state = 'paid' AND balance_amount <> 0 OR state = 'issued' AND balance_amount <= 0
    """,
    "I7 applied is the sum of the applications": """
        SELECT p.id, p.applied_amount, coalesce(a.applied, 0) AS applied
        FROM payments p
        LEFT JOIN (SELECT payment_id, sum(amount) AS applied FROM payment_applications GROUP BY payment_id) a
               ON a.payment_id = p.id
        WHERE p.applied_amount <> coalesce(a.applied, 0) OR p.applied_amount > p.amount
    """,
    "I7 a payment settles in its own currency, for its own seller": """
        SELECT a.id, p.currency, i.currency, p.seller_id, i.seller_id
        FROM payment_applications a JOIN payments p ON p.id = a.payment_id JOIN invoices i ON i.id = a.invoice_id
        WHERE a.currency <> p.currency OR a.currency <> i.currency OR p.seller_id <> i.seller_id
    """,
    "I9 from its consolidation on, a child is paid by the payer of that": """
        SELECT k.id, c.number, sum(a.amount) AS by_others, k.settled_before_amount
        FROM consolidated_children k JOIN consolidated_invoices c ON c.id = k.consolidated_invoice_id
        JOIN payment_applications a ON a.invoice_id = k.invoice_id
        JOIN payments p ON p.id = a.payment_id AND p.customer_id <> c.payer_id
        WHERE k.released_at IS NULL
        GROUP BY k.id, c.number HAVING sum(a.amount) > k.settled_before_amount
    """,
    "I7 nothing is settled before both the money and the claim exist": """
        SELECT a.id, a.applied_on, p.received_on, i.issued_on
        FROM payment_applications a JOIN payments p ON p.id = a.payment_id JOIN invoices i ON i.id = a.invoice_id
        WHERE a.applied_on < p.received_on OR a.applied_on < i.issued_on OR i.issued_on IS NULL
    """,
    "L5 a payment is in the books once, with its amount": f"""
        SELECT p.id, p.amount, cash.booked
        FROM payments p
        LEFT JOIN (
            SELECT e.source, sum(l.debit) AS booked
            FROM journal_entries e JOIN journal_lines l ON l.entry_id = e.id JOIN ledger_accounts c ON c.id = l.account_id
            WHERE e.event = 'received' AND c.code = '{CASH.code}' GROUP BY e.source
        ) cash ON cash.source = 'payment:' || p.id
        WHERE cash.booked IS DISTINCT FROM p.amount
    """,  # noqa: S608
    "D1 a kept statement is what its checksum says": """
        SELECT id FROM statement_documents
        WHERE encode(sha256(content), 'hex') <> sha256 OR octet_length(content) <> size
    """,
}

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
