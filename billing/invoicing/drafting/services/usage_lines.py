"""What was used becomes lines: priced, and adjusted where a part of the period is billed already.

A bucket (one meter, price and group of a customer's service period) is rated as a whole, whatever the number
of invoices it is billed on: a line comes to the price of everything so far, less what was billed before. So
tiers, packages and highest levels come out as if everything had been reported in time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.entities.models import BillingEntity
from billing.invoicing.drafting.core.line_wording import days_text, description, group_text
from billing.invoicing.drafting.services.usage_claims import Billed, ClaimedLine, billed_before, claim_usage
from billing.invoicing.drafting.services.usage_quantities import NOTHING, Counted, Part, counted_in
from billing.invoicing.errors import PriceMissing
from billing.invoicing.invoices.core.draft_lines import DraftLine, in_proportion, text, unit_prices
from billing.invoicing.models import LineKind
from billing.kernel.money import EXACT, total_of
from billing.subscriptions.core.rating import PriceTerms, Step
from billing.subscriptions.models import Price, PriceModel
from billing.usage.models import Aggregation

ADDITIVE = frozenset({Aggregation.SUM, Aggregation.COUNT})


def usage_lines(*, seller_id: UUID, customers: Mapping[UUID, BillingEntity], as_of: date) -> list[DraftLine]:
    """Claim all usage that is due and rate it. Raises PriceMissing."""
    claimed = claim_usage(seller_id=seller_id, customer_ids=list(customers), as_of=as_of)
    if not claimed:
        return []
    _require_prices(claimed, customers)
    prices = Price.objects.in_bulk({line.price_id for line in claimed})
    before = billed_before(seller_id=seller_id, lines=claimed)
    return [_draft_line(rated) for rated in _rated(claimed, prices, before)]


def _require_prices(claimed: Sequence[ClaimedLine], customers: Mapping[UUID, BillingEntity]) -> None:
    missing = sorted(
        {
            f"{line.product_code} in {line.currency} for {customers[line.customer_id].code}"
            for line in claimed
            if line.price_id is None
        }
    )
    if missing:
        raise PriceMissing(f"No price for {', '.join(missing)}.", missing=missing)


@dataclass(frozen=True)
class Rated:
    """A line's events at their price. `before` is what was billed of the bucket, `after` with these."""

    line: ClaimedLine
    price: Price
    adjusts: tuple[UUID, ...]
    before: Counted | None
    after: Counted
    billed: Decimal  # unrounded, by the lines that are adjusted

    @property
    def exact(self) -> Decimal:
        if self.line.is_trial:
            return NOTHING
        return EXACT.subtract(rate(self.price.terms, self.after), self.billed)

    @property
    def quantity(self) -> Decimal:
        return EXACT.subtract(self.after.quantity, self.before.quantity if self.before else NOTHING)


def rate(terms: PriceTerms, counted: Counted) -> Decimal:
    """What the events cost together, unrounded."""
    return terms.exact_amount(counted.rated(terms.model), events=counted.events)


def _rated(
    claimed: Sequence[ClaimedLine], prices: Mapping[UUID, Price], before: Mapping[UUID, Billed]
) -> list[Rated]:
    """In the order given. Lines of one bucket on several new invoices adjust each other in turn."""
    adjusts: dict[UUID, tuple[UUID, ...]] = {}
    of_bucket: dict[tuple, tuple[UUID, ...]] = {}
    for line in sorted(claimed, key=lambda line: line.invoice_key):
        earlier = before.get(line.line_id, Billed()).line_ids
        adjusts[line.line_id] = earlier + of_bucket.get(line.bucket, ())
        of_bucket[line.bucket] = (*of_bucket.get(line.bucket, ()), line.line_id)
    adjusting = [line for line in claimed if adjusts[line.line_id]]
    groups = [adjusts[line.line_id] for line in adjusting]
    groups += [(*adjusts[line.line_id], line.line_id) for line in adjusting]
    counted = iter(counted_in(groups))
    befores = {line.line_id: next(counted) for line in adjusting}
    afters = {line.line_id: next(counted) for line in adjusting}

    exact: dict[UUID, Decimal] = {}
    rated: dict[UUID, Rated] = {}
    for line in sorted(claimed, key=lambda line: line.invoice_key):
        drafted = [exact[pk] for pk in adjusts[line.line_id] if pk in exact]
        rated[line.line_id] = Rated(
            line=line,
            price=prices[line.price_id],
            adjusts=adjusts[line.line_id],
            before=befores.get(line.line_id),
            after=afters.get(line.line_id, line.counted),
            billed=total_of([before.get(line.line_id, Billed()).exact, *drafted]),
        )
        exact[line.line_id] = rated[line.line_id].exact
    return [rated[line.line_id] for line in claimed]


def _draft_line(rated: Rated) -> DraftLine:
    line, price = rated.line, rated.price
    is_adjustment = bool(rated.adjusts)
    passes_through = price.model == PriceModel.PASS_THROUGH
    exact = rated.exact
    return DraftLine(
        line_id=line.line_id,
        customer_id=line.customer_id,
        currency=line.currency,
        invoice_key=line.invoice_key,
        kind=LineKind.ADJUSTMENT if is_adjustment else LineKind.USAGE,
        product_id=line.product_id,
        tax_category=line.tax_category,
        is_goods=line.is_goods,
        gl_code=line.gl_code,
        description=_description(line, is_adjustment=is_adjustment),
        quantity=rated.quantity,
        unit=line.unit,
        **unit_prices(price),
        exact=exact,
        service_starts_on=line.service_starts_on,
        service_ends_on=line.service_ends_on,
        derivation=_derivation(rated, exact, shares_of(rated, exact)),
        owed_on=line.service_ends_on,
        adjusts=rated.adjusts,
        takes_back=rated.adjusts,
        in_stream=passes_through,
        # A cost passed through and credited at once belongs to its stream; the stream is rounded as a whole.
        may_wait=exact < 0 and (is_adjustment or not passes_through),
    )


def _description(line: ClaimedLine, *, is_adjustment: bool) -> str:
    return description(
        line.product_name,
        group_text(line.group_values),
        days_text(line.service_starts_on, line.service_ends_on) if line.item_id else "",
        "trial" if line.is_trial else "",
        "adjustment" if is_adjustment else "",
    )


def shares_of(rated: Rated, exact: Decimal) -> list[tuple[Part, Decimal]]:
    """Each department's part of the line, unrounded; they sum to `exact`.

    Where the amount is a sum over events (per unit of what is added up, costs passed through), a part is what
    the department's own events cost. Tiers, packages, levels and distinct values belong to no event alone:
    there the amount is divided in proportion to the departments' quantities in sum (their events, where
    events are counted), and the last takes what the division leaves.
    """
    counted, terms = rated.line.counted, rated.price.terms
    own = [_own_amount(counted, terms, part) for part in counted.parts]
    if _is_linear(rated) and total_of(own) == exact:
        return list(zip(counted.parts, own, strict=True))
    weights = [counted.quantity_of(part) for part in counted.parts]
    if min(weights) < 0 or not any(weights):
        weights = [Decimal(part.events) for part in counted.parts]
    return list(zip(counted.parts, in_proportion(exact, weights), strict=True))


def _is_linear(rated: Rated) -> bool:
    if rated.line.is_trial:
        return False
    model = rated.price.model
    return model == PriceModel.PASS_THROUGH or (
        model == PriceModel.PER_UNIT and rated.line.counted.aggregation in ADDITIVE
    )


def _own_amount(counted: Counted, terms: PriceTerms, part: Part) -> Decimal:
    passed_through = terms.model == PriceModel.PASS_THROUGH
    return terms.exact_amount((part.cost or NOTHING) if passed_through else counted.quantity_of(part))


def _derivation(rated: Rated, exact: Decimal, shares: list[tuple[Part, Decimal]]) -> dict:
    """How the amount came about, exactly and as text, so that it can be computed again."""
    line, price, after = rated.line, rated.price, rated.after
    told = {
        "from": "usage",
        "meter": str(line.meter_id),
        "aggregation": line.counted.aggregation,
        "price": str(price.pk),
        "model": price.model,
        "unit_price": text(price.unit_price),
        "markup_percent": text(price.markup_percent),
        "events": line.counted.events,
        "quantity": text(rated.quantity),
        "exact": text(exact),
        "rounding": "stream" if price.model == PriceModel.PASS_THROUGH else "line",
        "shares": [
            {
                "department": str(part.department_id) if part.department_id else None,
                "quantity": text(line.counted.quantity_of(part)),
                "cost": text(part.cost),
                "exact": text(amount),
            }
            for part, amount in shares
        ],
    }
    if price.tax_inclusive:
        told |= {"tax_inclusive": True}
    if line.group_key:
        told |= {"group_key": line.group_key, "group": line.group_values}
    if line.item_id:
        told |= {"subscription": str(line.subscription_id), "item": str(line.item_id)}
    if line.is_trial:
        return told | {"trial": True}
    if rated.adjusts:
        told |= {
            "adjusts": [str(pk) for pk in rated.adjusts],
            "before": {
                "quantity": text(rated.before.rated(price.model)),
                "events": rated.before.events,
                "exact": text(rated.billed),
            },
            "after": {
                "quantity": text(after.rated(price.model)),
                "events": after.events,
                "exact": text(EXACT.add(exact, rated.billed)),
            },
        }
    steps = price.terms.steps(after.rated(price.model), events=after.events)
    return told | {"steps": [step_told(step) for step in steps]}


def step_told(step: Step) -> dict:
    return {
        "label": step.label,
        "quantity": text(step.quantity),
        "unit_price": text(step.unit_price),
        "amount": text(step.amount),
    }
