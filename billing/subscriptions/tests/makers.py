"""Products, plans and prices, with only the interesting fields said aloud."""

from datetime import date
from decimal import Decimal
from itertools import count

from billing.entities.tests.makers import make_entity
from billing.subscriptions import services
from billing.subscriptions.models import Plan, Price, PriceModel, Product

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
    """A monthly plan of one product, or with `products` of those, charged in advance by quantity."""
    if "items" not in overrides:
        products = overrides.pop("products", None) or [make_product()]
        overrides["items"] = [item(product) for product in products]
        overrides.setdefault("entity", products[0].entity)
    number = next(_serial)
    values = {"code": f"plan-{number}", "name": f"Plan {number}", "interval": "month"} | overrides
    return services.create_plan(actor="test", entity_id=values.pop("entity").pk, **values)
