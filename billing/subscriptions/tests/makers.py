"""Products, plans and prices, with only the interesting fields said aloud."""

from datetime import date
from decimal import Decimal
from itertools import count

from billing.entities.tests.makers import make_entity
from billing.subscriptions import services
from billing.subscriptions.models import Plan, Price, PriceModel, Product, Subscription

_serial = count(1)


def make_product(**overrides) -> Product:
    if "entity" not in overrides:
        overrides["entity"] = make_entity(is_seller=True)
    number = next(_serial)
    values = {"code": f"product-{number}", "name": f"Product {number}", "unit": "GB", "gl_code": "6400"}
    return Product.objects.create(**values | overrides)


# The figures a price of each model has unless a test says otherwise.
TIERS = [
    {"up_to": "100", "unit_price": "0.50", "flat_amount": "5"},
    {"up_to": "1000", "unit_price": "0.40", "flat_amount": "0"},
    {"up_to": None, "unit_price": "0.25", "flat_amount": "0"},
]
FIGURES = {
    PriceModel.FLAT: {"flat_amount": Decimal("49.90")},
    PriceModel.PER_UNIT: {"unit_price": Decimal("0.25")},
    PriceModel.GRADUATED: {"tiers": TIERS},
    PriceModel.VOLUME: {"tiers": TIERS},
    PriceModel.PACKAGE: {"unit_price": Decimal(10), "package_size": Decimal(1000)},
    PriceModel.PERCENTAGE: {"percent": Decimal("2.9")},
    PriceModel.PASS_THROUGH: {"markup_percent": Decimal(0)},
}


def make_price(**overrides) -> Price:
    """Of the list, or on `plan`."""
    if "product" not in overrides:
        overrides["product"] = make_product()
    values = {"currency": "USD", "model": PriceModel.PER_UNIT, "starts_on": date(2024, 1, 1)} | overrides
    if plan := values.pop("plan", None):
        values["plan_id"] = plan.pk
    figures = FIGURES[PriceModel(values["model"])]
    return services.add_price(actor="test", product_id=values.pop("product").pk, **figures | values)


def item(product: Product, timing: str = "in_advance", basis: str = "quantity") -> dict:
    return {"product_id": product.pk, "timing": timing, "basis": basis}


def make_plan(**overrides) -> Plan:
    """A monthly plan: of `products`, each in advance by quantity, or of `items` (rows, or product, timing, basis).

    `prices`: for each item what `make_price` takes beyond the product. With nothing said, one product at 30.00 USD.
    """
    prices = overrides.pop("prices", None)
    if "items" not in overrides:
        products = overrides.pop("products", None)
        if products is None:
            products = [make_product(entity=overrides.get("entity") or make_entity(is_seller=True))]
            prices = [{"unit_price": Decimal(30)}] if prices is None else prices
        overrides["items"] = [item(product) for product in products]
        overrides.setdefault("entity", products[0].entity)
    overrides["items"] = [row if isinstance(row, dict) else item(*row) for row in overrides["items"]]
    number = next(_serial)
    values = {"code": f"plan-{number}", "name": f"Plan {number}", "interval": "month"} | overrides
    plan = services.create_plan(actor="test", entity_id=values.pop("entity").pk, **values)
    for row, price in zip(overrides["items"], prices or [], strict=False):
        make_price(product=Product.objects.get(pk=row["product_id"]), **price)
    return plan


def make_subscription(**overrides) -> Subscription:
    """One of a new active customer, begun and charged on 1 September 2024 unless said otherwise."""
    plan = overrides.pop("plan", None) or make_plan()
    entity = overrides.pop("entity", None) or make_entity(parent=plan.entity, currency="USD")
    values = {"starts_on": date(2024, 9, 1)} | overrides
    values.setdefault("as_of", values["starts_on"])
    return services.create_subscription(actor="test", entity_id=entity.pk, plan_id=plan.pk, **values)
