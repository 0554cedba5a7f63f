from datetime import date
from uuid import UUID

from django.db import transaction

from billing.kernel import audit, events
from billing.subscriptions.events import SubscriptionPaused, SubscriptionResumed
from billing.subscriptions.models import Subscription
from billing.subscriptions.services.accounts import (
    locked_account,
    plan_items_of,
    require_not_in_future,
    save_accounts,
)


@transaction.atomic
def pause_subscription(
    *, actor: str, subscription_id: UUID, as_of: date, on: date | None = None, version: int | None = None
) -> Subscription:
    """Charge nothing recurring from `on` (today), and credit the days paid for in advance.

    Usage goes on being counted and billed. Raises NotFound, PreconditionFailed, IllegalMove,
    DayOutsidePeriod, DayInFuture.
    """
    account = locked_account(subscription_id, as_of=as_of, version=version)
    day = on or as_of
    require_not_in_future(day, as_of=as_of)
    account.pause(day)
    save_accounts([account])
    subscription = account.subscription
    subscription.refresh_from_db()
    audit.record(actor=actor, action="subscription.paused", subject=subscription, detail={"on": day})
    events.publish(SubscriptionPaused(subscription_id=subscription.pk, entity_id=subscription.entity_id))
    return subscription


@transaction.atomic
def resume_subscription(
    *, actor: str, subscription_id: UUID, as_of: date, on: date | None = None, version: int | None = None
) -> Subscription:
    """Charge again from `on` (today): the rest of the period by day, at the prices it had before.

    Raises NotFound, PreconditionFailed, IllegalMove, DayOutsidePeriod, DayInFuture.
    """
    account = locked_account(subscription_id, as_of=as_of, version=version)
    day = on or as_of
    require_not_in_future(day, as_of=as_of)
    account.resume(day, plan_items_of(account.subscription.plan))
    save_accounts([account])
    subscription = account.subscription
    subscription.refresh_from_db()
    audit.record(actor=actor, action="subscription.resumed", subject=subscription, detail={"on": day})
    events.publish(SubscriptionResumed(subscription_id=subscription.pk, entity_id=subscription.entity_id))
    return subscription
