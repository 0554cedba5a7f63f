from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import count
from uuid import UUID

from billing.invoicing.discounts.core.discount_amounts import NOTHING, Reduction, Taken, taken_back, taken_off
from billing.invoicing.invoices.core.draft_lines import DraftLine, text
from billing.invoicing.models import (
    DiscountDuration,
    DiscountGrant,
    DiscountKind,
    DiscountUse,
    Invoice,
    InvoiceLine,
)
from billing.kernel.money import EXACT
from billing.subscriptions.core.periods import Cycle, Interval

Once = tuple[UUID, date]  # a grant, and the first day of the stretch of time in which it is taken once
Billed = tuple[Decimal, Decimal]  # gross and discount of a line


@dataclass(frozen=True)
class DiscountTable:
    """What customers were granted, what of it live invoices have taken, and what lines that are credited came to.

    Read once per drafting, after its drafts were taken back.
    """

    grants: tuple["Granted", ...] = ()
    taken: frozenset[Once] = frozenset()
    billed: Mapping[UUID, Billed] = field(default_factory=dict)

    @classmethod
    def load(cls, *, customer_ids: Collection[UUID], lines: Iterable[DraftLine]) -> "DiscountTable":
        found = (
            DiscountGrant.objects.filter(customer__in=customer_ids)
            .select_related("discount")
            .prefetch_related("discount__amounts", "discount__product_rows")
        )
        grants = in_order(Granted(grant) for grant in found)
        uses = DiscountUse.objects.filter(
            grant__customer__in=customer_ids,
            released_at__isnull=True,
            period_starts_on__isnull=False,
            number=1,
        )
        taken = frozenset(uses.values_list("grant_id", "period_starts_on")) if grants else frozenset()
        return cls(grants, taken, billed_of({pk for line in lines for pk in line.takes_back}))

    @cached_property
    def of_customer(self) -> dict[UUID, list["Granted"]]:
        found: dict[UUID, list[Granted]] = {}
        for granted in self.grants:
            found.setdefault(granted.grant.customer_id, []).append(granted)
        return found

    @cached_property
    def names(self) -> dict[UUID, tuple[str, str]]:
        """Code and name of each grant's discount."""
        return {each.grant.pk: (each.grant.discount.code, each.grant.discount.name) for each in self.grants}

    def begin(self) -> "Discounts":
        """Before the first invoice of a drafting is composed."""
        return Discounts(self)


def billed_of(line_ids: Collection[UUID]) -> dict[UUID, Billed]:
    """Gross and discount of stored lines."""
    if not line_ids:
        return {}
    rows = InvoiceLine.objects.filter(pk__in=line_ids).values_list("pk", "gross_amount", "discount_amount")
    return {pk: (gross, discount) for pk, gross, discount in rows}


@dataclass(frozen=True)
class Granted:
    """A grant with its discount, and which lines it is taken off."""

    grant: DiscountGrant

    @cached_property
    def products(self) -> frozenset[UUID]:
        return frozenset(row.product_id for row in self.grant.discount.product_rows.all())

    @cached_property
    def amounts(self) -> dict[str, Decimal]:
        return {row.currency: row.amount for row in self.grant.discount.amounts.all()}

    @property
    def rank(self) -> tuple:
        """Percentages before amounts, then the older grant first."""
        is_amount = self.grant.discount.kind == DiscountKind.AMOUNT
        return is_amount, self.grant.starts_on, self.grant.pk

    def covers(self, line: DraftLine) -> bool:
        """By product, subscription, and the first day of the line's service. Only off what is sold."""
        grant, day = self.grant, line.service_starts_on
        return (
            line.product_id is not None
            and grant.starts_on <= day
            and (grant.ends_on is None or day < grant.ends_on)
            and (not self.products or line.product_id in self.products)
            and (
                grant.subscription_id is None
                or line.derivation.get("subscription") == str(grant.subscription_id)
            )
        )

    def reductions(self, lines: Sequence[DraftLine], currency: str) -> Iterator[Reduction]:
        """One for each stretch of time in which it is taken once: all of it, or a month; else one of all lines."""
        discount = self.grant.discount
        if discount.kind == DiscountKind.AMOUNT and currency not in self.amounts:
            return
        for period, ids in self._by_period(lines).items():
            yield self.reduction(period, tuple(ids), currency)

    def reduction(self, period: date | None, line_ids: tuple[UUID, ...], currency: str) -> Reduction:
        is_percent = self.grant.discount.kind == DiscountKind.PERCENT
        return Reduction(
            grant_id=self.grant.pk,
            period_starts_on=period,
            line_ids=line_ids,
            percent=self.grant.discount.percent if is_percent else None,
            amount=None if is_percent else self.amounts[currency],
        )

    def _by_period(self, lines: Sequence[DraftLine]) -> dict[date | None, list[UUID]]:
        found: dict[date | None, list[UUID]] = {}
        for line in sorted(lines, key=lambda line: line.service_starts_on):
            found.setdefault(self._period_of(line.service_starts_on), []).append(line.line_id)
        return found

    def _period_of(self, day: date) -> date | None:
        discount, starts_on = self.grant.discount, self.grant.starts_on
        if discount.duration == DiscountDuration.ONCE:
            return starts_on
        if discount.kind == DiscountKind.PERCENT:
            return None
        return Cycle.anniversary(Interval.MONTH, 1, starts_on).period_of(day).starts_on


def in_order(grants: Iterable[Granted]) -> tuple[Granted, ...]:
    return tuple(sorted(grants, key=lambda each: each.rank))


@dataclass
class Discounts:
    """The table while invoices are composed one after the other: what the first takes, the next cannot take again."""

    table: DiscountTable
    spent: set[Once] = field(default_factory=set)
    composed: dict[UUID, Billed] = field(default_factory=dict)

    def off(self, invoice: Invoice, lines: Sequence[DraftLine], grosses: Mapping[UUID, Decimal]) -> "Reduced":
        """What is taken off the lines if these are all that are on the invoice; `grosses` are before tax."""
        positive = [line for line in lines if grosses[line.line_id] > 0]
        taken = taken_off(grosses, list(self._reductions(invoice, positive)), invoice.currency)
        discounts = dict.fromkeys(grosses, NOTHING)
        for each in taken:
            discounts[each.line_id] = EXACT.add(discounts[each.line_id], each.amount)
        beside = {line_id: (gross, discounts[line_id]) for line_id, gross in grosses.items()}
        for line in lines:
            if grosses[line.line_id] < 0:
                originals = [self._billed(pk, beside) for pk in line.takes_back]
                discounts[line.line_id] = taken_back(grosses[line.line_id], originals, invoice.currency)
        return Reduced(grosses, discounts, taken, self.table.names)

    def note(self, reduced: "Reduced") -> None:
        """It is composed: what it took is taken."""
        for each in reduced.taken:
            if each.amount and each.reduction.period_starts_on:
                self.spent.add((each.reduction.grant_id, each.reduction.period_starts_on))
        for line_id, gross in reduced.grosses.items():
            self.composed[line_id] = (gross, reduced.discounts[line_id])

    def _billed(self, line_id: UUID, beside: Mapping[UUID, Billed]) -> Billed:
        """On the same invoice, one composed before it, or one that is issued; nothing if it waits."""
        for known in (beside, self.composed, self.table.billed):
            if line_id in known:
                return known[line_id]
        return NOTHING, NOTHING

    def _reductions(self, invoice: Invoice, lines: Sequence[DraftLine]) -> Iterator[Reduction]:
        for granted in self.table.of_customer.get(invoice.customer_id, ()):
            grant = granted.grant
            if grant.discount.seller_id != invoice.seller_id:
                continue
            covered = [line for line in lines if granted.covers(line)]
            for reduction in granted.reductions(covered, invoice.currency):
                once = (grant.pk, reduction.period_starts_on)
                if once not in self.table.taken and once not in self.spent:
                    yield reduction


@dataclass(frozen=True)
class Reduced:
    """Gross and discount of every line of an invoice, and what each discount took off which."""

    grosses: Mapping[UUID, Decimal]
    discounts: Mapping[UUID, Decimal]
    taken: Sequence[Taken]
    names: Mapping[UUID, tuple[str, str]]  # code and name of each grant's discount

    @cached_property
    def of_line(self) -> dict[UUID, list[Taken]]:
        found: dict[UUID, list[Taken]] = {}
        for each in self.taken:
            found.setdefault(each.line_id, []).append(each)
        return found

    def net(self, line_id: UUID) -> Decimal:
        return EXACT.subtract(self.grosses[line_id], self.discounts[line_id])

    def told(self, line: DraftLine) -> dict:
        """The line's derivation, with its discounts in the order in which they were taken."""
        if taken := self.of_line.get(line.line_id):
            return line.derivation | {"discounts": [self._told(each) for each in taken]}
        if self.discounts[line.line_id]:
            return line.derivation | {"discount_of": [str(pk) for pk in line.takes_back]}
        return line.derivation

    def uses(self, currency: str) -> list[DiscountUse]:
        numbers: dict[tuple, Iterator[int]] = {}
        return [
            DiscountUse(
                grant_id=each.reduction.grant_id,
                line_id=each.line_id,
                period_starts_on=each.reduction.period_starts_on,
                number=next(
                    numbers.setdefault((each.reduction.grant_id, each.reduction.period_starts_on), count(1))
                ),
                amount=each.amount,
                currency=currency,
            )
            for each in self.taken
            if each.amount
        ]

    def _told(self, taken: Taken) -> dict:
        code, name = self.names[taken.reduction.grant_id]
        period = taken.reduction.period_starts_on
        return {
            "grant": str(taken.reduction.grant_id),
            "code": code,
            "name": name,
            "percent": text(taken.reduction.percent),
            "period": str(period) if period else None,
            "amount": text(taken.amount),
        }


class StoredDiscounts:
    """The discounts that stored lines name, to be taken off them once more.

    Of a line's derivation only this is believed: which grants it was under, and which lines it credits.
    Percentages and amounts are read from the discounts themselves, which never change.
    """

    def __init__(self, lines: Iterable[InvoiceLine]):
        told = {line.pk: line.derivation for line in lines}
        self.under: dict[UUID, list[tuple[UUID, date | None]]] = {
            pk: [(UUID(each["grant"]), _day(each["period"])) for each in derivation.get("discounts", ())]
            for pk, derivation in told.items()
        }
        self.credited = {
            pk: [UUID(each) for each in derivation.get("discount_of", ())] for pk, derivation in told.items()
        }
        self.grants = self._grants({grant_id for named in self.under.values() for grant_id, _ in named})
        self.billed = billed_of({pk for credited in self.credited.values() for pk in credited})

    @staticmethod
    def _grants(grant_ids: set[UUID]) -> tuple[Granted, ...]:
        if not grant_ids:
            return ()
        found = DiscountGrant.objects.filter(pk__in=grant_ids).select_related("discount")
        return in_order(Granted(grant) for grant in found.prefetch_related("discount__amounts"))

    def off(
        self, lines: Sequence[InvoiceLine], grosses: Mapping[UUID, Decimal], currency: str
    ) -> dict[UUID, Decimal]:
        """By line, of all lines of one invoice."""
        discounts = dict.fromkeys(grosses, NOTHING)
        for each in taken_off(grosses, list(self._reductions(lines, currency)), currency):
            discounts[each.line_id] = EXACT.add(discounts[each.line_id], each.amount)
        for line in lines:
            if self.credited[line.pk]:
                originals = [self.billed.get(pk, (NOTHING, NOTHING)) for pk in self.credited[line.pk]]
                discounts[line.pk] = taken_back(grosses[line.pk], originals, currency)
        return discounts

    def _reductions(self, lines: Sequence[InvoiceLine], currency: str) -> Iterator[Reduction]:
        for granted in self.grants:
            under: dict[date | None, list[UUID]] = {}
            for line in sorted(lines, key=lambda line: (line.service_starts_on, line.position)):
                for grant_id, period in self.under[line.pk]:
                    if grant_id == granted.grant.pk:
                        under.setdefault(period, []).append(line.pk)
            for period, line_ids in under.items():
                yield granted.reduction(period, tuple(line_ids), currency)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
