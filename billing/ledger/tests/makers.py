"""Books to post in, and entries, with only the interesting things said aloud."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import count
from uuid import UUID

from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_entity
from billing.ledger import queries, services
from billing.ledger.accounts import RECEIVABLE, REVENUE, ChartAccount
from billing.ledger.models import AccountingPeriod, JournalEntry, JournalLine
from billing.ledger.postings import EntryDraft, Posting, credit, debit

_serial = count(1)
DAY = date(2026, 3, 15)


def make_seller(**overrides) -> BillingEntity:
    number = next(_serial)
    return make_entity(
        **{"code": f"books-{number}", "name": f"Books {number}", "is_seller": True} | overrides
    )


def sale(amount: str = "100.00", currency: str = "EUR", **dimensions: object) -> list[Posting]:
    """The shortest entry there is: receivable against revenue."""
    return [
        debit(RECEIVABLE, Decimal(amount), currency, **dimensions),
        credit(REVENUE, Decimal(amount), currency, **dimensions),
    ]


def make_draft(
    entity: BillingEntity | UUID, lines: Sequence[Posting] | None = None, **overrides
) -> EntryDraft:
    values = {
        "entity_id": getattr(entity, "pk", entity),
        "posted_on": DAY,
        "source": f"test:{next(_serial)}",
        "event": "issued",
        "description": "A sale",
        "lines": sale() if lines is None else lines,
    } | overrides
    return EntryDraft(**values)


def make_entry(
    entity: BillingEntity | None = None, lines: Sequence[Posting] | None = None, **overrides
) -> JournalEntry:
    return services.post_entries([make_draft(entity or make_seller(), lines, **overrides)])[0]


def closed_month(entity: BillingEntity, starts_on: date) -> AccountingPeriod:
    """Asked for by one controller, closed by another."""
    period = AccountingPeriod.objects.get(entity=entity, starts_on=starts_on)
    services.begin_closing_period(period_id=period.pk, actor="user:1")
    return services.close_period(period_id=period.pk, actor="user:2")


def balance_of(
    books: BillingEntity, account: ChartAccount, currency: str = "EUR", *, as_of: date | None = None
) -> Decimal:
    """Debits minus credits of one account."""
    rows = queries.trial_balance(books.pk, as_of=as_of, currency=currency)
    return sum((row.balance for row in rows if row.code == account.code), Decimal(0))


def balances_from_lines(
    books: BillingEntity, *, as_of: date | None = None, period: AccountingPeriod | None = None
) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    """Debits and credits by account code and currency, summed line by line: what `trial_balance` must equal."""
    lines = JournalLine.objects.filter(entity=books).select_related("account")
    if period is not None:
        lines = lines.filter(entry__period=period)
    if as_of is not None:
        lines = lines.filter(entry__posted_on__lte=as_of)
    sums = defaultdict(lambda: (Decimal(0), Decimal(0)))
    for line in lines:
        debits, credits = sums[line.account.code, line.currency]
        sums[line.account.code, line.currency] = debits + line.debit, credits + line.credit
    return dict(sums)
