"""What the books say. Balances are debits minus credits; `as_of` includes the entries of that day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import DecimalField, F, Max, Prefetch, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from billing.access.models import User
from billing.entities.reach import visible
from billing.ledger.accounts import RECEIVABLE, ChartAccount
from billing.ledger.models import AccountBalance, AccountingPeriod, JournalEntry, JournalLine, LedgerAccount
from billing.ledger.states import PeriodState

VIEW_ACCOUNT = "ledger.view_ledgeraccount"
VIEW_ENTRY = "ledger.view_journalentry"
VIEW_PERIOD = "ledger.view_accountingperiod"

# Sums may be wider than the numeric(19,4) of their addends.
_AMOUNT = DecimalField(max_digits=40, decimal_places=4)
_ZERO = Value(Decimal(0), output_field=_AMOUNT)


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
    return visible(LedgerAccount.objects.all(), user=user, verb=VIEW_ACCOUNT)


def entries_for(user: User) -> QuerySet[JournalEntry]:
    return visible(JournalEntry.objects.all(), user=user, verb=VIEW_ENTRY)


def with_lines(entries: QuerySet[JournalEntry]) -> QuerySet[JournalEntry]:
    """The entries with their lines and the accounts of these, in one more query."""
    return entries.prefetch_related(
        Prefetch("lines", JournalLine.objects.select_related("account").order_by("pk"))
    )


def periods_for(user: User, verb: str = VIEW_PERIOD) -> QuerySet[AccountingPeriod]:
    return visible(AccountingPeriod.objects.all(), user=user, verb=verb)


def posting_day(entity_id: UUID, day: date) -> date:
    """The day on which something of `day` is booked: `day` if its month is not closed, else the first day
    after the closed months. (They are always the earliest ones.) Keep `day` itself as the service date."""
    return posting_days([(entity_id, day)])[entity_id, day]


def posting_days(wanted: Iterable[tuple[UUID, date]]) -> dict[tuple[UUID, date], date]:
    """`posting_day` for many, in one query."""
    wanted = set(wanted)
    closed_until = dict(
        AccountingPeriod.objects.filter(
            entity_id__in={entity_id for entity_id, _ in wanted}, state=PeriodState.CLOSED
        )
        .values_list("entity_id")
        .annotate(until=Max("ends_on"))
    )
    return {(entity_id, day): max(day, closed_until.get(entity_id, day)) for entity_id, day in wanted}


def balance_of(
    entity_id: UUID, account: ChartAccount, currency: str, *, as_of: date | None = None
) -> Decimal:
    """Debits minus credits of one account, up to the end of `as_of` (or of everything)."""
    lines = JournalLine.objects.filter(
        account__entity_id=entity_id, account__code=account.code, currency=currency
    )
    if as_of is None:
        kept = AccountBalance.objects.filter(
            account__entity_id=entity_id, account__code=account.code, currency=currency
        )
        return kept.aggregate(net=_net())["net"]
    return lines.filter(entry__posted_on__lte=as_of).aggregate(net=_net())["net"]


def trial_balance(
    entity_id: UUID, *, as_of: date | None = None, period: AccountingPeriod | None = None, currency: str = ""
) -> list[TrialBalanceRow]:
    """Debits and credits per account and currency, by code: of everything, up to `as_of`, or of one period.

    Whole months come from the kept balances; only the month `as_of` falls into is read line by line.
    """
    kept = AccountBalance.objects.filter(account__entity_id=entity_id)
    if period is not None:
        kept = kept.filter(period=period)
    if as_of is not None:
        kept = kept.filter(period__ends_on__lte=as_of)
    rows = _rows(kept, currency)
    if as_of is None:
        return rows
    begun = JournalLine.objects.filter(
        entity_id=entity_id,
        entry__period__starts_on__lte=as_of,
        entry__period__ends_on__gt=as_of,
        entry__posted_on__lte=as_of,
    )
    if period is not None:
        begun = begun.filter(entry__period=period)
    return _added(rows, _rows(begun, currency))


def trial_balance_from_lines(
    entity_id: UUID, *, as_of: date | None = None, period: AccountingPeriod | None = None, currency: str = ""
) -> list[TrialBalanceRow]:
    """The same figures the slow way, from every line: what `trial_balance` is verified against."""
    lines = JournalLine.objects.filter(entity_id=entity_id)
    if period is not None:
        lines = lines.filter(entry__period=period)
    if as_of is not None:
        lines = lines.filter(entry__posted_on__lte=as_of)
    return _rows(lines, currency)


def account_lines(
    entity_id: UUID,
    account: ChartAccount,
    *,
    currency: str = "",
    from_day: date | None = None,
    until_day: date | None = None,
) -> QuerySet[JournalLine]:
    """The register of one account in the order of posting; `from_day` included, `until_day` excluded."""
    lines = JournalLine.objects.filter(account__entity_id=entity_id, account__code=account.code)
    if currency:
        lines = lines.filter(currency=currency)
    if from_day is not None:
        lines = lines.filter(entry__posted_on__gte=from_day)
    if until_day is not None:
        lines = lines.filter(entry__posted_on__lt=until_day)
    return lines.select_related("entry", "account").order_by("entry__posted_on", "entry_id", "pk")


def receivable_by_customer(
    entity_id: UUID, currency: str, *, as_of: date | None = None
) -> dict[UUID, Decimal]:
    """What each customer owes the books of `entity_id` by the receivable account; settled ones left out."""
    lines = JournalLine.objects.filter(
        account__entity_id=entity_id, account__code=RECEIVABLE.code, currency=currency
    )
    if as_of is not None:
        lines = lines.filter(entry__posted_on__lte=as_of)
    owed = lines.values("customer_id").annotate(net=_net()).exclude(net=0).order_by("customer_id")
    return {row["customer_id"]: row["net"] for row in owed}


def _net():
    return Coalesce(Sum("debit", output_field=_AMOUNT), _ZERO) - Coalesce(
        Sum("credit", output_field=_AMOUNT), _ZERO
    )


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
        .annotate(debits=Sum("debit", output_field=_AMOUNT), credits=Sum("credit", output_field=_AMOUNT))
        .order_by("code", "currency")
    )
    return [
        TrialBalanceRow(
            row["account_id"],
            row["code"],
            row["name"],
            row["normal_side"],
            row["currency"],
            row["debits"],
            row["credits"],
        )
        for row in grouped
    ]


def _added(whole: list[TrialBalanceRow], begun: list[TrialBalanceRow]) -> list[TrialBalanceRow]:
    together = {(row.code, row.currency): row for row in whole}
    for row in begun:
        known = together.get((row.code, row.currency))
        if known:
            row = TrialBalanceRow(
                row.account_id,
                row.code,
                row.name,
                row.normal_side,
                row.currency,
                known.debit + row.debit,
                known.credit + row.credit,
            )
        together[row.code, row.currency] = row
    return [together[key] for key in sorted(together)]
