from datetime import date
from uuid import UUID

from django.db import transaction

from billing.kernel import audit, events
from billing.subscriptions.account import Account
from billing.subscriptions.events import SubscriptionPaused, SubscriptionResumed
from billing.subscriptions.models import Subscription
from billing.subscriptions.services.accounts import (
    Preview,
    account_of,
    locked_account,
    plan_items_of,
    preview_of,
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
    day = _pause(account, as_of=as_of, on=on)
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
    day = _resume(account, as_of=as_of, on=on)
    save_accounts([account])
    subscription = account.subscription
    subscription.refresh_from_db()
    audit.record(actor=actor, action="subscription.resumed", subject=subscription, detail={"on": day})
    events.publish(SubscriptionResumed(subscription_id=subscription.pk, entity_id=subscription.entity_id))
    return subscription


def preview_pause(*, subscription_id: UUID, as_of: date, on: date | None = None) -> Preview:
    """What `pause_subscription` with the same terms would credit."""
    account = account_of(subscription_id)
    account.roll_forward(as_of)
    _pause(account, as_of=as_of, on=on)
    return preview_of(account)


def preview_resumption(*, subscription_id: UUID, as_of: date, on: date | None = None) -> Preview:
    """What `resume_subscription` with the same terms would charge."""
    account = account_of(subscription_id)
    account.roll_forward(as_of)
    _resume(account, as_of=as_of, on=on)
    return preview_of(account)


def _pause(account: Account, *, as_of: date, on: date | None) -> date:
    day = on or as_of
    require_not_in_future(day, as_of=as_of)
    account.pause(day)
    return day


def _resume(account: Account, *, as_of: date, on: date | None) -> date:
    day = on or as_of
    require_not_in_future(day, as_of=as_of)
    account.resume(day, plan_items_of(account.subscription.plan))
    return day
