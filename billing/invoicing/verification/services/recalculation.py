"""Every line once more, from what is stored: its events, its price, its charge's days, its stream's rounding, and
its shares by rules.

What differs is said with why. Nothing of the line's own derivation is believed but which price it names,
which lines it adjusts, and what those came to (they are recomputed themselves, in their own month).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from billing.invoicing.allocation.services.verification import redivided_of
from billing.invoicing.discounts.services.application import StoredDiscounts
from billing.invoicing.drafting.hooks import RECOMPUTATIONS
from billing.invoicing.drafting.services.one_off_lines import as_written
from billing.invoicing.drafting.services.usage_lines import rate
from billing.invoicing.drafting.services.usage_quantities import NOTHING, Counted, counted_in
from billing.invoicing.invoices.core.draft_lines import ONE_OFF, nets_of
from billing.invoicing.models import ChargeClaim, Invoice, InvoiceLine
from billing.kernel.money import EXACT, round_half_up, total_of
from billing.subscriptions.core.periods import Period
from billing.subscriptions.core.proration import prorated
from billing.subscriptions.models import (
    Basis,
    ChargeKind,
    Price,
    SubscriptionCharge,
    SubscriptionPeriod,
)
from billing.tax.core.inclusive_prices import before_tax

CHUNK = 100


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A figure of a line that does not come out as it is stored."""

    invoice: str
    position: int
    line_id: UUID
    what: str
    stored: str
    recomputed: str
    why: str


def recompute(invoices: QuerySet[Invoice]) -> Iterator[tuple[int, list[Difference]]]:
    """In chunks: how many lines were recomputed, and what differs among them. Memory stays bounded."""
    ids = list(invoices.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), CHUNK):
        chunk = Invoice.objects.filter(pk__in=ids[start : start + CHUNK]).order_by("pk")
        lines = InvoiceLine.objects.filter(invoice__in=chunk.values("pk")).select_related("invoice")
        yield _recompute(list(lines.order_by("invoice_id", "position")))


def differences_in(invoice: Invoice) -> list[Difference]:
    """Of one invoice; none if every line comes out as it stands. A constant number of statements."""
    return _recompute(list(invoice.lines.select_related("invoice").order_by("position")))[1]


def _recompute(lines: Sequence[InvoiceLine]) -> tuple[int, list[Difference]]:
    facts = _Facts(lines)
    found = [difference for line in lines for difference in _of_line(line, facts)]
    found += _shares_by_rules(lines)
    by_invoice: dict[UUID, list[InvoiceLine]] = {}
    for line in lines:
        by_invoice.setdefault(line.invoice_id, []).append(line)
    for together in by_invoice.values():
        found += _rounding(together, facts)
    return len(lines), found


class _Facts:
    """What the lines are recomputed from, read for all of them at once."""

    def __init__(self, lines: Sequence[InvoiceLine]):
        of_usage = [line for line in lines if line.derivation.get("from") == "usage"]
        adjusted = {line.pk: [UUID(pk) for pk in line.derivation.get("adjusts", ())] for line in of_usage}
        groups = [group for pk, others in adjusted.items() for group in ([pk], others, [*others, pk])]
        counted = iter(counted_in(groups))
        self.counted: dict[UUID, tuple[Counted | None, Counted | None, Counted | None]] = {
            pk: (next(counted), next(counted), next(counted)) for pk in adjusted
        }
        self.billed = self._exact_of({pk for others in adjusted.values() for pk in others})
        self.adjusted = adjusted
        self.charges: dict[UUID, SubscriptionCharge] = {
            claim.line_id: claim.charge
            for claim in ChargeClaim.objects.filter(
                line__in=[line.pk for line in lines if line.derivation.get("from") == "charge"]
            ).select_related("charge__item__price")
        }
        named = {line.derivation["price"] for line in of_usage}
        self.prices: Mapping[UUID, Price] = Price.objects.in_bulk([UUID(pk) for pk in named])
        self.periods = self._periods(lines)
        self.known_above = _known_above(lines)
        self.discounts = StoredDiscounts(lines)
        self.exact = {line.pk: self._exact(line) for line in lines}

    @staticmethod
    def _exact_of(line_ids: set[UUID]) -> dict[UUID, Decimal]:
        rows = InvoiceLine.objects.filter(pk__in=line_ids).values_list("pk", "derivation__exact")
        return {pk: Decimal(exact) for pk, exact in rows}

    @staticmethod
    def _periods(lines: Sequence[InvoiceLine]) -> dict[str, list[SubscriptionPeriod]]:
        wanted = {line.derivation["subscription"] for line in lines if "subscription" in line.derivation}
        found: dict[str, list[SubscriptionPeriod]] = {}
        for period in SubscriptionPeriod.objects.filter(subscription__in=wanted):
            found.setdefault(str(period.subscription_id), []).append(period)
        return found

    def _exact(self, line: InvoiceLine) -> Decimal | None:
        """Unrounded; None where there is nothing to compute it from."""
        if line.derivation.get("from") == ONE_OFF:
            return as_written(line).exact
        if line.derivation.get("from") in RECOMPUTATIONS:
            return self.known_above.get(line.pk)
        if line.pk in self.charges:
            return _exact_charge(self.charges[line.pk], self._whole_of(line))
        price, after = self._price(line), self.counted.get(line.pk, (None,) * 3)[2]
        if price is None or after is None:
            return None
        if self.is_in_trial(line):
            return NOTHING
        before = total_of([self.billed.get(pk, NOTHING) for pk in self.adjusted[line.pk]])
        return EXACT.subtract(rate(price.terms, after), before)

    def _price(self, line: InvoiceLine) -> Price | None:
        return self.prices.get(UUID(line.derivation["price"])) if "price" in line.derivation else None

    def _whole_of(self, line: InvoiceLine) -> Period | None:
        """The whole period that the line's days are a part of, as its derivation says how long that was."""
        whole = line.derivation["days"].split("/")[1]
        for period in self.periods.get(line.derivation["subscription"], ()):
            days = Period(period.whole_starts_on, period.whole_ends_on)
            covers = days.starts_on <= line.service_starts_on and line.service_ends_on <= days.ends_on
            if covers and str(days.days) == whole:
                return days
        return None

    def includes_tax(self, line: InvoiceLine) -> bool:
        """As its price of the catalogue says; of what was written by hand, the line itself."""
        if line.pk in self.charges:
            return self.charges[line.pk].tax_inclusive
        price = self._price(line)
        return line.inclusive_amount is not None if price is None else price.tax_inclusive

    def is_in_trial(self, line: InvoiceLine) -> bool:
        return "item" in line.derivation and any(
            period.is_trial and period.starts_on <= line.service_starts_on < period.ends_on
            for period in self.periods.get(line.derivation["subscription"], ())
        )


def _known_above(lines: Sequence[InvoiceLine]) -> dict[UUID, Decimal]:
    """What higher apps bill, as they compute it."""
    found: dict[UUID, Decimal] = {}
    for name, recomputation in RECOMPUTATIONS.items():
        if ids := [line.pk for line in lines if line.derivation.get("from") == name]:
            found |= recomputation(ids)
    return found


def _exact_charge(charge: SubscriptionCharge, whole: Period | None) -> Decimal | None:
    days = Period(charge.service_starts_on, charge.service_ends_on)
    if charge.kind == ChargeKind.ONE_OFF:
        whole = days
    if whole is None:
        return None
    exact = prorated(charge.item.price.terms.exact_amount(charge.quantity), days, whole)
    return EXACT.minus(exact) if charge.kind == ChargeKind.CREDIT else exact


def _shares_by_rules(lines: Sequence[InvoiceLine]) -> Iterator[Difference]:
    by_id = {line.pk: line for line in lines}
    for each in redivided_of(by_id):
        what = f"share of {each.department}"
        why = "the rule's targets and the weights kept with the shares"
        yield _differs(by_id[each.line_id], what, each.posted, each.redivided, why)


def _of_line(line: InvoiceLine, facts: _Facts) -> Iterator[Difference]:
    stored, exact = line.derivation.get("exact"), facts.exact[line.pk]
    if exact is None:
        yield _differs(line, "exact amount", stored, None, "no events, price or period to compute it from")
        return
    if stored is None or Decimal(stored) != exact:
        yield _differs(line, "exact amount", stored, exact, "price of the stored events or days")
    shares = total_of([Decimal(share["exact"]) for share in line.derivation["shares"]])
    if shares != exact:
        yield _differs(line, "shares of departments", shares, exact, "sum of the shares")
    yield from _quantity(line, facts)


def _quantity(line: InvoiceLine, facts: _Facts) -> Iterator[Difference]:
    if charge := facts.charges.get(line.pk):
        if charge.item.basis != Basis.SEATS and charge.quantity != charge.item.quantity:
            yield _differs(line, "quantity", charge.quantity, charge.item.quantity, "subscribed quantity")
        quantity = charge.quantity
    elif line.pk in facts.known_above:
        quantity = line.quantity  # the database holds that a late fee is one
    elif line.derivation.get("from") == ONE_OFF:
        quantity = Decimal(line.derivation["quantity"])
    else:
        own, before, after = facts.counted[line.pk]
        quantity = EXACT.subtract(after.quantity, before.quantity if before else NOTHING)
        if line.derivation["events"] != own.events:
            yield _differs(line, "events", line.derivation["events"], own.events, "claimed events")
    if line.quantity != quantity:
        yield _differs(line, "quantity", line.quantity, quantity, "aggregation of the stored events")


def _rounding(lines: Sequence[InvoiceLine], facts: _Facts) -> Iterator[Difference]:
    """Lines rounded each, streams once and split: from the recomputed amounts of the whole invoice."""
    if any(facts.exact[line.pk] is None for line in lines):
        return
    currency = lines[0].invoice.currency
    amounts = [
        (
            # A charge is rounded when it is made; its line only repeats it.
            round_half_up(facts.exact[line.pk], currency)
            if line.pk in facts.charges
            else facts.exact[line.pk],
            line.derivation.get("rounding") == "stream",
        )
        for line in lines
    ]
    rounded = dict(zip((line.pk for line in lines), nets_of(amounts, currency), strict=True))
    inclusive = [line.pk for line in lines if facts.includes_tax(line)]
    for line in lines:
        told = rounded[line.pk] if line.pk in inclusive else None
        if line.inclusive_amount != told:
            yield _differs(line, "amount with tax", line.inclusive_amount, told, "what its price comes to")
    taxed = {line.pk: (line.tax_category, line.tax_percent) for line in lines}
    grosses = before_tax(rounded, taxed, inclusive, currency)
    discounts = facts.discounts.off(lines, grosses, currency)
    for line in lines:
        discount = discounts[line.pk]
        net = EXACT.subtract(grosses[line.pk], discount)
        if line.discount_amount != discount:
            yield _differs(line, "discount", line.discount_amount, discount, "the discounts it was granted")
        if line.net_amount != net:
            yield _differs(line, "net amount", line.net_amount, net, "rounding of the recomputed amount")


def _differs(line: InvoiceLine, what: str, stored: object, recomputed: object, why: str) -> Difference:
    return Difference(
        invoice=str(line.invoice),
        position=line.position,
        line_id=line.pk,
        what=what,
        stored=_shown(stored),
        recomputed=_shown(recomputed),
        why=why,
    )


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    return f"{value.normalize(EXACT):f}" if isinstance(value, Decimal) else str(value)
