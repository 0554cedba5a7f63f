"""Invariants of the ledger, and control totals: the balance of an account must equal the total of the documents.

Each query of `CHECKS` returns the rows that violate it. The ledger knows no invoices: an app above registers its
control totals with `account_must_equal` when it is loaded, and `verify_ledger` compares.
"""

from collections.abc import Iterable

from django.db import connection

from billing.ledger.accounts import ChartAccount
from billing.ledger.hooks import Differences, control_total
from billing.ledger.models import (
    AccountBalance,
    AccountingPeriod,
    JournalEntry,
    JournalLine,
    LedgerAccount,
)

_GUARDS = ", ".join(
    f"('{model._meta.db_table}', '{trigger.get_pgid(model)}')"
    for model in (LedgerAccount, AccountingPeriod, JournalEntry, JournalLine, AccountBalance)
    for trigger in model._meta.triggers
)

CHECKS = {
    "L1 every entry balances per currency": """
        SELECT entry_id, currency, sum(debit) AS debit, sum(credit) AS credit
        FROM journal_lines GROUP BY entry_id, currency HAVING sum(debit) <> sum(credit)
    """,
    "L1 every entry has two lines": """
        SELECT e.id, count(l.id) AS lines FROM journal_entries e LEFT JOIN journal_lines l ON l.entry_id = e.id
        GROUP BY e.id HAVING count(l.id) < 2
    """,
    "L1 every line is a debit or a credit, finite and payable": """
        SELECT id, currency, debit, credit FROM journal_lines
        WHERE NOT is_payable(currency, debit, credit)
           OR NOT ((debit > 0 AND credit = 0) OR (debit = 0 AND credit > 0))
    """,
    "L2 the triggers that guard the books are in force": f"""
        SELECT guard.table_name, guard.name
        FROM (VALUES {_GUARDS}) AS guard (table_name, name)
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger t
            WHERE t.tgrelid = guard.table_name::regclass AND t.tgname = guard.name AND t.tgenabled IN ('O', 'A')
        )
    """,  # noqa: S608  names from the models
    "L3 a reversal mirrors its entry": """
        SELECT DISTINCT reversal_id FROM (
            SELECT e.id AS reversal_id, sum(side.times) AS times
            FROM journal_entries e
            CROSS JOIN LATERAL (
                SELECT account_id, currency, customer_id, department_id, product_code, gl_code,
                       contract_reference, debit, credit, 1 AS times
                  FROM journal_lines WHERE entry_id = e.id
                UNION ALL
                SELECT account_id, currency, customer_id, department_id, product_code, gl_code,
                       contract_reference, credit, debit, -1
                  FROM journal_lines WHERE entry_id = e.reverses_id
            ) AS side
            WHERE e.reverses_id IS NOT NULL
            GROUP BY e.id, account_id, currency, customer_id, department_id, product_code, gl_code,
                     contract_reference, debit, credit
        ) AS compared WHERE times <> 0
    """,
    "L3 no entry is reversed twice, no reversal at all": """
        SELECT e.reverses_id FROM journal_entries e JOIN journal_entries o ON o.id = e.reverses_id
        GROUP BY e.reverses_id HAVING count(*) > 1 OR bool_or(o.reverses_id IS NOT NULL)
    """,
    "L4 every entry lies in its period": """
        SELECT e.id, e.posted_on, p.starts_on FROM journal_entries e JOIN accounting_periods p ON p.id = e.period_id
        WHERE e.entity_id <> p.entity_id OR e.posted_on < p.starts_on OR e.posted_on >= p.ends_on
    """,
    "L4 periods follow each other without a gap": """
        SELECT id, entity_id, starts_on FROM (
            SELECT id, entity_id, starts_on, lag(ends_on) OVER (PARTITION BY entity_id ORDER BY starts_on) AS before
            FROM accounting_periods
        ) AS months WHERE before <> starts_on
    """,
    "L4 the closed periods are the earliest": """
        SELECT DISTINCT p.id, p.starts_on FROM accounting_periods p
        JOIN accounting_periods earlier ON earlier.entity_id = p.entity_id AND earlier.starts_on < p.starts_on
        WHERE p.state = 'closed' AND earlier.state <> 'closed'
    """,
    "L4 two people closed every closed period": """
        SELECT id, closing_requested_by, closed_by FROM accounting_periods
        WHERE state = 'closed' AND (closed_by IN ('', closing_requested_by) OR closing_requested_by = '')
    """,
    "L5 every event is booked once": """
        SELECT source, event, count(*) AS entries FROM journal_entries GROUP BY source, event HAVING count(*) > 1
    """,
    "L6 balances are the sums of their lines": """
        SELECT account_id, period_id, currency, kept.debit, kept.credit, lines.debit AS line_debit,
               lines.credit AS line_credit
        FROM account_balances AS kept
        FULL JOIN (
            SELECT l.account_id, e.period_id, l.currency, sum(l.debit) AS debit, sum(l.credit) AS credit
            FROM journal_lines l JOIN journal_entries e ON e.id = l.entry_id GROUP BY 1, 2, 3
        ) AS lines USING (account_id, period_id, currency)
        WHERE (kept.debit, kept.credit) IS DISTINCT FROM (lines.debit, lines.credit)
    """,
    "L6 the trial balance of every entity is zero per currency": """
        SELECT a.entity_id, b.currency, sum(b.debit - b.credit) AS difference
        FROM account_balances b JOIN ledger_accounts a ON a.id = b.account_id
        GROUP BY a.entity_id, b.currency HAVING sum(b.debit) <> sum(b.credit)
    """,
    "L8 every line stays in the books of its entry": """
        SELECT l.id, l.entry_id FROM journal_lines l
        JOIN journal_entries e ON e.id = l.entry_id JOIN ledger_accounts a ON a.id = l.account_id
        WHERE e.entity_id <> l.entity_id OR a.entity_id <> l.entity_id
    """,
}

SAMPLES = 5


def account_must_equal(name: str, account: ChartAccount, documents: str) -> None:
    """Register: the balance of `account` (debits minus credits) equals what the SQL `documents` returns.

    `documents` has the columns entity_id, currency, amount; several rows per entity and currency are added.
    """
    query = _AGAINST_DOCUMENTS.replace("DOCUMENTS", documents.replace("%", "%%"))
    control_total(name)(lambda: violating(query, [account.code]))


def violating(query: str, parameters: list | None = None) -> Differences:
    """How many rows `query` returns, and the first few of them. The rows stay in the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) OVER (), wrong.* FROM ({query}) AS wrong LIMIT {SAMPLES}",  # noqa: S608
            parameters,
        )
        columns = [column.name for column in cursor.description[1:]]
        rows = cursor.fetchall()
    return Differences(count=rows[0][0] if rows else 0, samples=[_sample(columns, row[1:]) for row in rows])


def _sample(columns: Iterable[str], values: Iterable[object]) -> str:
    return ", ".join(f"{column}={value}" for column, value in zip(columns, values, strict=True))


_AGAINST_DOCUMENTS = """
    SELECT entity_id, currency, coalesce(books.amount, 0) AS books, coalesce(documents.amount, 0) AS documents
    FROM (
        SELECT a.entity_id, b.currency, sum(b.debit - b.credit) AS amount
          FROM account_balances b JOIN ledger_accounts a ON a.id = b.account_id
         WHERE a.code = %s GROUP BY 1, 2
    ) AS books
    FULL JOIN (
        SELECT entity_id, currency, sum(amount) AS amount FROM (DOCUMENTS) AS d GROUP BY 1, 2
    ) AS documents USING (entity_id, currency)
    WHERE coalesce(books.amount, 0) <> coalesce(documents.amount, 0)
    ORDER BY entity_id, currency
"""
