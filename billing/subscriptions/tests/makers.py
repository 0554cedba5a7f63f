"""Products and prices, with only the interesting fields said aloud."""

from datetime import date
from decimal import Decimal
from itertools import count

from billing.entities.tests.makers import make_entity
from billing.subscriptions import services
from billing.subscriptions.models import Price, PriceModel, Product

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
