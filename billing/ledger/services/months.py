"""Accounting periods are calendar months, made when the first entry falls into them, without gaps."""

from collections.abc import Iterable, Iterator
from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Min, Q

from billing.kernel.advisory_locks import LEDGER_MONTHS, PERIOD_CLOSING
from billing.ledger.errors import PeriodClosed, PostingDateOutOfRange
from billing.ledger.models import AccountingPeriod
from billing.ledger.states import PeriodState

MONTHS_MADE_MAX = 240  # a mistyped year must not make ten thousand periods

Month = tuple[UUID, date]


def month_of(day: date) -> date:
    return day.replace(day=1)


def month_after(month: date, count: int = 1) -> date:
    years, months = divmod(month.year * 12 + month.month - 1 + count, 12)
    return date(years, months + 1, 1)


def lock_books(entity_ids: Iterable[UUID]) -> None:
    """Months of these entities are made, closed and reopened one at a time. Comes before any row lock."""
    LEDGER_MONTHS.take_for(entity_ids)


def stop_newcomers(period_id: UUID) -> None:
    """Entries that begin from now on wait until we commit; those under way are waited for."""
    PERIOD_CLOSING.take_for([period_id])


def periods_of(months: set[Month]) -> dict[Month, AccountingPeriod]:
    """The periods of these months, made where missing. One query; four when some were missing.

    Raises PeriodClosed for a missing month before a closed one, PostingDateOutOfRange beyond MONTHS_MADE_MAX.
    """
    found = _existing(months)
    missing = months - found.keys()
    if missing:
        _make(missing)
        found = _existing(months)
    return found


def _existing(months: set[Month]) -> dict[Month, AccountingPeriod]:
    periods = AccountingPeriod.objects.filter(
        entity_id__in={entity_id for entity_id, _ in months}, starts_on__in={month for _, month in months}
    )
    found = {(period.entity_id, period.starts_on): period for period in periods}
    return {month: found[month] for month in months if month in found}


@transaction.atomic
def _make(months: set[Month]) -> None:
    entity_ids = sorted({entity_id for entity_id, _ in months})
    lock_books(entity_ids)
    known = {
        entity_id: (first, last, last_closed)
        for entity_id, first, last, last_closed in AccountingPeriod.objects.filter(entity_id__in=entity_ids)
        .values("entity_id")
        .annotate(
            first=Min("starts_on"),
            last=Max("starts_on"),
            last_closed=Max("starts_on", filter=Q(state=PeriodState.CLOSED)),
        )
        .values_list("entity_id", "first", "last", "last_closed")
    }
    AccountingPeriod.objects.bulk_create(
        AccountingPeriod(entity_id=entity_id, starts_on=month, ends_on=month_after(month))
        for entity_id in entity_ids
        for month in _gapless(sorted(m for e, m in months if e == entity_id), known.get(entity_id))
    )


def _gapless(wanted: list[date], known: tuple[date, date, date | None] | None) -> Iterator[date]:
    """The months to make, each next to one that exists: on from the last, back from the first."""
    if known is None:
        first = last = wanted[0]
        yield first
    else:
        first, last, last_closed = known
        if last_closed is not None and wanted[0] < first:
            raise PeriodClosed(f"The books before {last_closed:%Y-%m} are closed.", month=str(wanted[0]))
    if wanted[-1] > month_after(last, MONTHS_MADE_MAX) or month_after(wanted[0], MONTHS_MADE_MAX) < first:
        raise PostingDateOutOfRange(
            f"The books run from {first:%Y-%m} to {last:%Y-%m}.", month=str(wanted[-1])
        )
    while last < wanted[-1]:
        last = month_after(last)
        yield last
    while first > wanted[0]:
        first = month_after(first, -1)
        yield first
