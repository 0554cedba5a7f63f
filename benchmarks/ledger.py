"""Booking entries through the service, against the same rows by plain SQL.

Both sides write the same entries and lines into the same tables with the same triggers, and commit as often.
"""

import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal

from django.db import connection, transaction

from billing.entities.models import BillingEntity
from billing.entities.states import EntityState
from billing.kernel.ids import uuid7
from billing.ledger import services
from billing.ledger.accounts import CUSTOMER_BALANCE, RECEIVABLE, REVENUE, TAX_PAYABLE
from billing.ledger.models import AccountingPeriod
from billing.ledger.postings import EntryDraft, Posting, credit, debit

DAY = date(2026, 3, 15)
BATCH = 500
ENTRY_COLUMNS = "id, entity_id, period_id, posted_on, source, event, description, transaction_number"
LINE_COLUMNS = (
    "entry_id, entity_id, account_id, currency, debit, credit, product_code, gl_code, contract_reference"
)


def run(size: int = 500) -> list[dict]:
    """`size` entries of 7 legs, one per transaction and in batches of 500; rates are entries per second."""
    books = _books()
    services.post_entries([_draft(books)])  # the chart and the month exist
    return [
        _compared("post_entry, 7 legs, one per transaction", size, _sql_single, _ours_single, books),
        _compared(
            f"post_entries, {BATCH} entries of 7 legs per transaction", size, _sql_batch, _ours_batch, books
        ),
    ]


def _compared(
    work: str, size: int, plain: Callable[..., None], ours: Callable[..., None], books: BillingEntity
) -> dict:
    plain_rate, our_rate = _rate(size, plain, books), _rate(size, ours, books)
    return {
        "work": work,
        "plain_sql_per_second": round(plain_rate),
        "ours_per_second": round(our_rate),
        "ratio": round(our_rate / plain_rate, 2),
    }


def _rate(size: int, write: Callable[..., None], books: BillingEntity) -> Decimal:
    write(books, min(size, BATCH))  # warm
    began = time.perf_counter_ns()
    write(books, size)
    return Decimal(size) * 10**9 / (time.perf_counter_ns() - began)


def _books() -> BillingEntity:
    code = f"bench-{uuid7().hex}"
    return BillingEntity.objects.create(
        code=code, name=code, state=EntityState.ACTIVE, is_seller=True, currency="EUR", country="DE"
    )


def _legs() -> list[Posting]:
    shares = [("CPU", "4001"), ("DISK", "4002"), ("NET", "4003"), ("SUPPORT", "4004")]
    return [
        debit(RECEIVABLE, Decimal("119.00"), "EUR"),
        credit(TAX_PAYABLE, Decimal("19.00"), "EUR"),
        credit(CUSTOMER_BALANCE, Decimal("20.00"), "EUR"),
        *(
            credit(REVENUE, Decimal("20.00"), "EUR", product_code=product, gl_code=gl)
            for product, gl in shares
        ),
    ]


def _draft(books: BillingEntity) -> EntryDraft:
    return EntryDraft(
        entity_id=books.pk,
        posted_on=DAY,
        source=f"bench:{uuid7()}",
        event="issued",
        description="Benchmark",
        lines=_legs(),
    )


def _ours_single(books: BillingEntity, size: int) -> None:
    for _ in range(size):
        services.post_entry(
            entity_id=books.pk,
            posted_on=DAY,
            source=f"bench:{uuid7()}",
            event="issued",
            description="Benchmark",
            lines=_legs(),
        )


def _ours_batch(books: BillingEntity, size: int) -> None:
    for start in range(0, size, BATCH):
        services.post_entries([_draft(books) for _ in range(min(BATCH, size - start))])


def _sql_single(books: BillingEntity, size: int) -> None:
    _sql(books, size, per_transaction=1)


def _sql_batch(books: BillingEntity, size: int) -> None:
    _sql(books, size, per_transaction=BATCH)


def _sql(books: BillingEntity, size: int, *, per_transaction: int) -> None:
    """Two INSERTs of many rows per transaction: as fast as these tables can be written."""
    accounts = services.accounts_of([books.pk])
    period = AccountingPeriod.objects.get(entity=books, starts_on=DAY.replace(day=1))
    legs = [
        (accounts[books.pk, leg.account], leg.debit, leg.credit, leg.product_code, leg.gl_code)
        for leg in _legs()
    ]
    for start in range(0, size, per_transaction):
        entries, lines = [], []
        for _ in range(min(per_transaction, size - start)):
            entry_id = uuid7()
            entries += [
                entry_id, books.pk, period.pk, DAY, f"bench:{entry_id}", "issued", "Benchmark", 0,
            ]  # fmt: skip
            for account_id, debited, credited, product, gl in legs:
                lines += [entry_id, books.pk, account_id, "EUR", debited, credited, product, gl, ""]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO journal_entries ({ENTRY_COLUMNS}) VALUES {_rows(len(entries), 8)}",
                entries,
            )
            cursor.execute(
                f"INSERT INTO journal_lines ({LINE_COLUMNS}) VALUES {_rows(len(lines), 9)}",
                lines,
            )


def _rows(values: int, columns: int) -> str:
    row = f"({', '.join(['%s'] * columns)})"
    return ", ".join([row] * (values // columns))
