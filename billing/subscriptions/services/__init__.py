from billing.subscriptions.services.licensing import (
    change_license,
    create_license,
    expire_licenses,
    revoke_license,
)
from billing.subscriptions.services.pricing import add_price
from billing.subscriptions.services.products import create_product, update_product
from billing.subscriptions.services.seating import assign_seat, release_seat

__all__ = [
    "add_price",
    "assign_seat",
    "change_license",
    "create_license",
    "create_product",
    "expire_licenses",
    "release_seat",
    "revoke_license",
    "update_product",
]
