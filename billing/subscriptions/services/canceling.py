from datetime import date
from uuid import UUID

from django.db import transaction

from billing.kernel import audit, events
from billing.subscriptions.account import Account
from billing.subscriptions.events import SubscriptionCanceled
from billing.subscriptions.models import Subscription
from billing.subscriptions.services.accounts import (
    Preview,
    account_of,
    locked_account,
    preview_of,
    require_not_in_future,
    save_accounts,
)
from billing.subscriptions.states import SubscriptionState


@transaction.atomic
def cancel_subscription(
    *,
    actor: str,
    subscription_id: UUID,
    as_of: date,
    on: date | None = None,
    at_period_end: bool = False,
    credit_unused: bool = True,
    reason: str = "",
    version: int | None = None,
) -> Subscription:
    """End it now (`on`, today unless named, is the first day not covered), or at the end of the period.

    Canceled now, the days left of what was charged in advance are credited unless `credit_unused` is
    False, and what is billed in arrears is due for the days it ran. Raises NotFound, PreconditionFailed,
    IllegalMove, DayOutsidePeriod, DayInFuture.
    """
    account = locked_account(subscription_id, as_of=as_of, version=version)
    _cancel(account, as_of=as_of, on=on, at_period_end=at_period_end, credit_unused=credit_unused)
    save_accounts([account])
    subscription = account.subscription
    subscription.refresh_from_db()
    ended = subscription.state == SubscriptionState.CANCELED
    audit.record(
        actor=actor,
        action="subscription.canceled" if ended else "subscription.cancellation_scheduled",
        subject=subscription,
        detail={"on": subscription.ended_on or subscription.cancels_on},
        reason=reason,
    )
    if ended:
        events.publish(
            SubscriptionCanceled(subscription_id=subscription.pk, entity_id=subscription.entity_id)
        )
    return subscription


def preview_cancellation(
    *,
    subscription_id: UUID,
    as_of: date,
    on: date | None = None,
    at_period_end: bool = False,
    credit_unused: bool = True,
) -> Preview:
    """What `cancel_subscription` with the same terms would charge and credit."""
    account = account_of(subscription_id)
    account.roll_forward(as_of)
    _cancel(account, as_of=as_of, on=on, at_period_end=at_period_end, credit_unused=credit_unused)
    return preview_of(account)


def _cancel(
    account: Account, *, as_of: date, on: date | None, at_period_end: bool, credit_unused: bool
) -> None:
    if at_period_end:
        account.cancel_at_period_end()
        return
    day = on or as_of
    require_not_in_future(day, as_of=as_of)
    account.cancel(day, credit_unused=credit_unused)
