"""Control totals: the balance of a ledger account must equal the total of the documents.

The ledger knows no invoices. An app above it registers its side when it is loaded, and `verify_ledger`
compares: "accounts receivable = open invoices", "deferred revenue = what the schedules still hold".
"""

from collections.abc import Iterable

from django.db import connection

from billing.ledger.accounts import ChartAccount
from billing.ledger.hooks import Differences, control_total

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
