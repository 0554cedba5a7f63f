from billing.subscriptions.services.pricing import add_price
from billing.subscriptions.services.products import create_product, update_product

__all__ = ["add_price", "create_product", "update_product"]
