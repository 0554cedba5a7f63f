from billing.subscriptions.services.plans import (
    INTERVAL_COUNT_MAX,
    ITEMS_MAX,
    TRIAL_DAYS_MAX,
    create_plan,
    update_plan,
)
from billing.subscriptions.services.pricing import TIERS_MAX, add_price
from billing.subscriptions.services.products import create_product, update_product

__all__ = [
    "INTERVAL_COUNT_MAX",
    "ITEMS_MAX",
    "TIERS_MAX",
    "TRIAL_DAYS_MAX",
    "add_price",
    "create_plan",
    "create_product",
    "update_plan",
    "update_product",
]
