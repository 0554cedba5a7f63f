from billing.subscriptions.services.accounts import Preview
from billing.subscriptions.services.canceling import cancel_subscription, preview_cancellation
from billing.subscriptions.services.changing import change_subscription, preview_change, withdraw_change
from billing.subscriptions.services.licensing import (
    change_license,
    create_license,
    expire_licenses,
    revoke_license,
)
from billing.subscriptions.services.pausing import (
    pause_subscription,
    preview_pause,
    preview_resumption,
    resume_subscription,
)
from billing.subscriptions.services.plans import (
    INTERVAL_COUNT_MAX,
    ITEMS_MAX,
    TRIAL_DAYS_MAX,
    create_plan,
    update_plan,
)
from billing.subscriptions.services.pricing import TIERS_MAX, add_price
from billing.subscriptions.services.products import create_product, update_product
from billing.subscriptions.services.rolling import roll_everything_forward, roll_forward
from billing.subscriptions.services.seating import assign_seat, release_seat
from billing.subscriptions.services.standing import mark_past_due, mark_recovered
from billing.subscriptions.services.subscribing import create_subscription, preview_subscription
from billing.subscriptions.services.updating import update_subscription

__all__ = [
    "INTERVAL_COUNT_MAX",
    "ITEMS_MAX",
    "TIERS_MAX",
    "TRIAL_DAYS_MAX",
    "Preview",
    "add_price",
    "assign_seat",
    "cancel_subscription",
    "change_license",
    "change_subscription",
    "create_license",
    "create_plan",
    "create_product",
    "create_subscription",
    "expire_licenses",
    "mark_past_due",
    "mark_recovered",
    "pause_subscription",
    "preview_cancellation",
    "preview_change",
    "preview_pause",
    "preview_resumption",
    "preview_subscription",
    "release_seat",
    "resume_subscription",
    "revoke_license",
    "roll_everything_forward",
    "roll_forward",
    "update_plan",
    "update_product",
    "update_subscription",
    "withdraw_change",
]
