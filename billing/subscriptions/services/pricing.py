from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.kernel import audit, money
from billing.kernel.errors import Invalid, NotFound
from billing.subscriptions.core.rating import PriceTerms
from billing.subscriptions.errors import (
    PassThroughIsBeforeTax,
    PassThroughNeedsUsage,
    PriceOutOfOrder,
    ProductNotOnPlan,
)
from billing.subscriptions.models import Basis, Plan, PlanItem, Price, PriceModel, Product

TIERS_MAX = 100
TierText = Mapping[str, str | None]


@transaction.atomic
def add_price(
    *,
    actor: str,
    product_id: UUID,
    currency: str,
    model: str,
    starts_on: date,
    plan_id: UUID | None = None,
    tiers: Sequence[TierText] | None = None,
    tax_inclusive: bool = False,
    **figures: Decimal | int | None,
) -> Price:
    """Append the next version of a product's price in a currency; it holds from `starts_on` on.

    Without a plan it is the list price; with one, the price on that plan, per its interval. `figures` are
    those of the model (`core.rating.NEEDED` and `OPTIONAL`), amounts in the currency and not rounded, 12.5
    for 12.5 %; `tiers` are {"up_to": "10" or None, "unit_price": "0.05", "flat_amount": "0"}, in text. With
    `tax_inclusive` all of them include tax; costs passed through never do. Versions are numbered 1…n per
    product, plan and currency and never edited. Raises NotFound, Invalid, NotAPriceOfItsModel,
    ProductNotOnPlan, PassThroughIsBeforeTax, PassThroughNeedsUsage, and PriceOutOfOrder unless it starts
    after the version before it.
    """
    money.exponent(currency)  # refuses what is no currency
    if len(tiers or ()) > TIERS_MAX:
        raise Invalid(f"A price has at most {TIERS_MAX} tiers.")
    terms = PriceTerms.from_stored(model, tiers, **figures)
    terms.require_valid()
    if tax_inclusive and model == PriceModel.PASS_THROUGH:
        raise PassThroughIsBeforeTax("What somebody else charged comes before tax, and is passed on so.")
    # The product's row is the queue for the versions of its prices, on every plan.
    product = Product.objects.locked().filter(pk=product_id).first()
    if product is None:
        raise NotFound("There is no such product.")
    if plan_id is not None:
        _require_on_plan(product, plan_id, model)
    last = product.prices.filter(plan_id=plan_id, currency=currency).order_by("-number").first()
    if last and starts_on <= last.starts_on:
        raise PriceOutOfOrder(
            f"Version {last.number} starts on {last.starts_on}; the next one starts later.",
            last_starts_on=str(last.starts_on),
        )

    price = Price.objects.create(
        product=product,
        plan_id=plan_id,
        number=last.number + 1 if last else 1,
        currency=currency,
        model=model,
        tax_inclusive=tax_inclusive,
        tiers=[_normal(tier) for tier in terms.stored_tiers()] or None,
        starts_on=starts_on,
        **figures,
    )
    audit.record(
        actor=actor,
        action="price.added",
        subject=price,
        entity_id=product.entity_id,
        detail={
            "product": product.code,
            "number": price.number,
            "currency": currency,
            "model": model,
            "tax_inclusive": tax_inclusive,
            "plan": str(plan_id) if plan_id else None,
        },
    )
    return price


def _require_on_plan(product: Product, plan_id: UUID, model: str) -> None:
    plan = Plan.objects.filter(pk=plan_id, entity_id=product.entity_id).first()
    if plan is None:
        raise NotFound("The seller of the product has no such plan.")
    item = PlanItem.objects.filter(plan=plan, product=product).first()
    if item is None:
        raise ProductNotOnPlan(
            f"'{product.code}' is not on plan '{plan.code}'.", plan=plan.code, product=product.code
        )
    if model == PriceModel.PASS_THROUGH and item.basis != Basis.USAGE:
        raise PassThroughNeedsUsage(
            f"Plan '{plan.code}' charges '{product.code}' by {item.basis}: there is no cost to pass on."
        )


def _normal(tier: TierText) -> dict[str, str | None]:
    """One spelling of each figure: no trailing zeros, no exponent, no minus before zero."""
    return {name: None if text is None else _normal_text(Decimal(text)) for name, text in tier.items()}


def _normal_text(figure: Decimal) -> str:
    return f"{money.EXACT.plus(money.EXACT.normalize(figure)):f}"
