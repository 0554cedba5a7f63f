"""Products and prices, with only the interesting fields said aloud."""

from datetime import date
from decimal import Decimal
from itertools import count

from billing.entities.tests.makers import make_entity
from billing.subscriptions import services
from billing.subscriptions.models import (
    Basis,
    Plan,
    PlanItem,
    Price,
    PriceModel,
    Product,
    Subscription,
    Timing,
)

_serial = count(1)


def make_product(**overrides) -> Product:
    if "entity" not in overrides:
        overrides["entity"] = make_entity(is_seller=True)
    number = next(_serial)
    values = {"code": f"product-{number}", "name": f"Product {number}", "unit": "GB", "gl_code": "6400"}
    return Product.objects.create(**values | overrides)


def make_price(**overrides) -> Price:
    if "product" not in overrides:
        overrides["product"] = make_product()
    values = {
        "currency": "USD",
        "model": PriceModel.PER_UNIT,
        "starts_on": date(2024, 1, 1),
    } | overrides
    product = values.pop("product")
    figure = "unit_price" if values["model"] == PriceModel.PER_UNIT else "markup_percent"
    values.setdefault(figure, Decimal("0.25") if figure == "unit_price" else Decimal(0))
    return services.add_price(actor="test", product_id=product.pk, **values)


def make_plan(*, items=None, prices=None, **overrides) -> Plan:
    """A monthly plan. `items`: (product, timing, basis); without, one in advance per unit at 30.00 USD.

    `prices`: for each item what `make_price` takes beyond product and plan.
    """
    if "entity" not in overrides:
        overrides["entity"] = make_entity(is_seller=True)
    if items is None:
        items = [(make_product(entity=overrides["entity"]), Timing.IN_ADVANCE, Basis.QUANTITY)]
        prices = [{"unit_price": Decimal(30)}] if prices is None else prices
    number = next(_serial)
    plan = Plan.objects.create(**{"code": f"plan-{number}", "name": f"Plan {number}"} | overrides)
    for position, (product, timing, basis) in enumerate(items, start=1):
        PlanItem.objects.create(plan=plan, position=position, product=product, timing=timing, basis=basis)
    for (product, _, _), price in zip(items, prices or [], strict=False):
        make_price(product=product, **price)
    return plan


def make_subscription(**overrides) -> Subscription:
    """One of a new active customer, begun and charged on 1 September 2024 unless said otherwise."""
    plan = overrides.pop("plan", None) or make_plan()
    entity = overrides.pop("entity", None) or make_entity(parent=plan.entity, currency="USD")
    values = {"starts_on": date(2024, 9, 1)} | overrides
    values.setdefault("as_of", values["starts_on"])
    return services.create_subscription(actor="test", entity_id=entity.pk, plan_id=plan.pk, **values)
