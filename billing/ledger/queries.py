"""Reads of the ledger. Balances are debits minus credits; `as_of` includes the entries of that day."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import DecimalField, F, Max, Prefetch, QuerySet, Sum

from billing.access.models import User
from billing.entities.reach import visible
from billing.ledger.models import AccountBalance, AccountingPeriod, JournalEntry, JournalLine, LedgerAccount
from billing.ledger.states import PeriodState

VIEW_ACCOUNT = "ledger.view_ledgeraccount"
VIEW_ENTRY = "ledger.view_journalentry"
VIEW_PERIOD = "ledger.view_accountingperiod"

# Sums may be wider than the numeric(19,4) of their addends.
_AMOUNT = DecimalField(max_digits=40, decimal_places=4)


@dataclass(frozen=True)
class TrialBalanceRow:
    account_id: UUID
    code: str
    name: str
    normal_side: str
    currency: str
    debit: Decimal
    credit: Decimal

    @property
    def balance(self) -> Decimal:
        """Debits minus credits: positive on the debit side, whatever the account."""
        return self.debit - self.credit


def accounts_for(user: User) -> QuerySet[LedgerAccount]:
    return visible(LedgerAccount.objects.all(), user=user, permission=VIEW_ACCOUNT)


def entries_for(user: User) -> QuerySet[JournalEntry]:
    return visible(JournalEntry.objects.all(), user=user, permission=VIEW_ENTRY)


def with_lines(entries: QuerySet[JournalEntry]) -> QuerySet[JournalEntry]:
    """The entries with their lines and the accounts of these, in one more query."""
    return entries.prefetch_related(
        Prefetch("lines", JournalLine.objects.select_related("account").order_by("pk"))
    )


def periods_for(user: User, permission: str = VIEW_PERIOD) -> QuerySet[AccountingPeriod]:
    return visible(AccountingPeriod.objects.all(), user=user, permission=permission)


def posting_day(entity_id: UUID, day: date) -> date:
    """The posting date for an event of `day`: `day` if its period is not closed, else the first day after the closed
    periods, which are always the earliest. Keep `day` itself as the service date."""
    return posting_days([(entity_id, day)])[entity_id, day]


def posting_days(entity_days: Iterable[tuple[UUID, date]]) -> dict[tuple[UUID, date], date]:
    """`posting_day` for many, in one query."""
    entity_days = set(entity_days)
    closed_until = dict(
        AccountingPeriod.objects.filter(
            entity_id__in={entity_id for entity_id, _ in entity_days}, state=PeriodState.CLOSED
        )
        .values_list("entity_id")
        .annotate(until=Max("ends_on"))
    )
    return {(entity_id, day): max(day, closed_until.get(entity_id, day)) for entity_id, day in entity_days}


def trial_balance(
    entity_id: UUID, *, as_of: date | None = None, period: AccountingPeriod | None = None, currency: str = ""
) -> list[TrialBalanceRow]:
    """Debits and credits per account and currency, ordered by code: in total, up to `as_of`, or of one period.

    Complete months come from `account_balances`; only the month that contains `as_of` is read line by line.
    """
    balances = AccountBalance.objects.filter(account__entity_id=entity_id)
    if period is not None:
        balances = balances.filter(period=period)
    if as_of is not None:
        balances = balances.filter(period__ends_on__lte=as_of)
    rows = _rows(balances, currency)
    if as_of is None:
        return rows
    partial_month = JournalLine.objects.filter(
        entity_id=entity_id,
        entry__period__starts_on__lte=as_of,
        entry__period__ends_on__gt=as_of,
        entry__posted_on__lte=as_of,
    )
    if period is not None:
        partial_month = partial_month.filter(entry__period=period)
    return _added(rows, _rows(partial_month, currency))


def _rows(sums: QuerySet, currency: str) -> list[TrialBalanceRow]:
    if currency:
        sums = sums.filter(currency=currency)
    grouped = (
        sums.values(
            "account_id",
            "currency",
            code=F("account__code"),
            name=F("account__name"),
            normal_side=F("account__normal_side"),
        )
        .annotate(debit=Sum("debit", output_field=_AMOUNT), credit=Sum("credit", output_field=_AMOUNT))
        .order_by("code", "currency")
    )
    return [TrialBalanceRow(**row) for row in grouped]


def _added(
    complete_months: list[TrialBalanceRow], partial_month: list[TrialBalanceRow]
) -> list[TrialBalanceRow]:
    total = {(row.code, row.currency): row for row in complete_months}
    for row in partial_month:
        if before := total.get((row.code, row.currency)):
            row = replace(row, debit=before.debit + row.debit, credit=before.credit + row.credit)
        total[row.code, row.currency] = row
    return [total[key] for key in sorted(total)]
