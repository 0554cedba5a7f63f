"""What a subscription owes becomes lines: one for each of its charges, at the charge's own amount."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

from billing.entities.models import BillingEntity
from billing.invoicing.drafting.core.line_wording import days_text, description
from billing.invoicing.invoices.core.draft_lines import SUBSCRIPTIONS, DraftLine, unit_prices
from billing.invoicing.models import ChargeClaim, LineKind
from billing.invoicing.queries import unbilled_charges
from billing.kernel.ids import uuid7
from billing.subscriptions.models import ChargeKind, SubscriptionCharge

FOR_DAYS = frozenset({ChargeKind.RECURRING, ChargeKind.PRORATION})
WHAT_IT_IS = {
    ChargeKind.PRORATION: "rest of the period",
    ChargeKind.CREDIT: "unused days",
    ChargeKind.TRUE_UP: "seats beyond those included",
}


def charge_lines(*, seller_id: UUID, customers: Mapping[UUID, BillingEntity], as_of: date) -> list[DraftLine]:
    """The charges due by `as_of` that no live line bills, by customer and currency, the oldest first."""
    due = (
        unbilled_charges(seller_id=seller_id, as_of=as_of)
        .filter(subscription__entity_id__in=list(customers))
        .select_related("subscription", "item__product", "item__price")
        .order_by("subscription__entity_id", "currency", "subscription_id", "due_on", "pk")
    )
    charges = list(due)
    lines = [_draft_line(charge) for charge in charges]
    return _with_what_they_take_back(charges, lines)


def _with_what_they_take_back(
    charges: Sequence[SubscriptionCharge], lines: list[DraftLine]
) -> list[DraftLine]:
    """Credits for unused days name the lines that charged those days, on an earlier invoice or beside them."""
    credits = [
        (charge, line)
        for charge, line in zip(charges, lines, strict=True)
        if charge.kind == ChargeKind.CREDIT
    ]
    if not credits:
        return lines
    items = {charge.item_id for charge, _ in credits}
    claims = ChargeClaim.objects.filter(charge__item__in=items, released_at__isnull=True)
    billed = [(claim.charge, claim.line_id) for claim in claims.select_related("charge").order_by("pk")]
    billed += [(charge, line.line_id) for charge, line in zip(charges, lines, strict=True)]
    for credit, line in credits:
        line.takes_back = tuple(line_id for charge, line_id in billed if _charged(charge, credit))
    return lines


def _charged(charge: SubscriptionCharge, credit: SubscriptionCharge) -> bool:
    return (
        (charge.item_id, charge.kind in FOR_DAYS) == (credit.item_id, True)
        and charge.service_starts_on <= credit.service_starts_on
        and credit.service_ends_on <= charge.service_ends_on
    )


def _draft_line(charge: SubscriptionCharge) -> DraftLine:
    product, price, subscription = charge.item.product, charge.item.price, charge.subscription
    is_one_off, line_id = charge.kind == ChargeKind.ONE_OFF, uuid7()
    return DraftLine(
        line_id=line_id,
        customer_id=subscription.entity_id,
        currency=charge.currency,
        invoice_key=SUBSCRIPTIONS,
        kind=LineKind.ONE_OFF if is_one_off else LineKind.SUBSCRIPTION,
        product_id=product.pk,
        tax_category=product.tax_category,
        is_goods=product.is_goods,
        gl_code=product.gl_code,
        description=description(
            product.name,
            WHAT_IT_IS.get(charge.kind, ""),
            days_text(charge.service_starts_on, charge.service_ends_on),
        ),
        quantity=charge.quantity,
        unit=product.unit,
        **unit_prices(price),
        exact=charge.amount,
        service_starts_on=charge.service_starts_on,
        service_ends_on=charge.service_ends_on,
        derivation=_derivation(charge),
        owed_on=charge.due_on,
        may_wait=charge.amount < 0,
        claim=ChargeClaim(charge=charge, line_id=line_id),
    )


def _derivation(charge: SubscriptionCharge) -> dict:
    department_id = charge.subscription.department_id
    exact = charge.derivation["exact"]
    told = {
        **charge.derivation,
        "from": "charge",
        "charge": str(charge.pk),
        "kind": charge.kind,
        "subscription": str(charge.subscription_id),
        "rounding": "line",
        "shares": [{"department": str(department_id) if department_id else None, "exact": exact}],
    }
    return told | {"tax_inclusive": True} if charge.tax_inclusive else told
