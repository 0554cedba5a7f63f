from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.kernel import audit, money
from billing.kernel.errors import Invalid, NotFound
from billing.subscriptions.errors import NotAPriceOfItsModel, PriceOutOfOrder
from billing.subscriptions.models import Price, PriceModel, Product

DECIMALS = 12
BEYOND = Decimal(10) ** 16


@transaction.atomic
def add_price(
    *,
    actor: str,
    product_id: UUID,
    currency: str,
    model: str,
    starts_on: date,
    unit_price: Decimal | None = None,
    markup_percent: Decimal | None = None,
) -> Price:
    """Append the next version of a product's price in a currency; it holds from `starts_on` on.

    `per_unit` has a `unit_price` in the currency, not negative; `pass_through` has a `markup_percent` on
    the cost (12.5 is 12.5 %), above -100. Versions are numbered 1…n per currency and never edited.
    Raises NotFound, PriceOutOfOrder unless it starts after the version before it, NotAPriceOfItsModel, Invalid.
    """
    money.exponent(currency)  # refuses what is no currency
    _require_figure_of(model, unit_price=unit_price, markup_percent=markup_percent)
    product = Product.objects.locked().filter(pk=product_id).first()
    if product is None:
        raise NotFound("There is no such product.")
    last = product.prices.filter(currency=currency).order_by("-number").first()
    if last and starts_on <= last.starts_on:
        raise PriceOutOfOrder(
            f"Version {last.number} starts on {last.starts_on}; the next one starts later.",
            last_starts_on=str(last.starts_on),
        )

    price = Price.objects.create(
        product=product,
        number=last.number + 1 if last else 1,
        currency=currency,
        model=model,
        unit_price=unit_price,
        markup_percent=markup_percent,
        starts_on=starts_on,
    )
    audit.record(
        actor=actor,
        action="price.added",
        subject=price,
        entity_id=product.entity_id,
        detail={"product": product.code, "number": price.number, "currency": currency},
    )
    return price


def _require_figure_of(model: str, *, unit_price: Decimal | None, markup_percent: Decimal | None) -> None:
    if model == PriceModel.PER_UNIT:
        figure, other, least = unit_price, markup_percent, Decimal(0)
    elif model == PriceModel.PASS_THROUGH:
        figure, other, least = markup_percent, unit_price, Decimal(-100)
    else:
        raise Invalid(f"'{model}' is not a price model.", known=PriceModel.values)
    if figure is None or other is not None:
        raise NotAPriceOfItsModel(
            "per_unit takes a unit_price, pass_through a markup_percent, and neither takes both."
        )
    if not figure.is_finite() or abs(figure) >= BEYOND or figure.as_tuple().exponent < -DECIMALS:
        raise Invalid(f"A price has at most {DECIMALS} decimals and 16 digits before them.")
    if figure < least or (model == PriceModel.PASS_THROUGH and figure == least):
        raise NotAPriceOfItsModel("A unit price is not negative; a mark-up is above -100 %.")
