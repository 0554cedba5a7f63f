"""Whether a subscription's invoices are paid in time. Who knows that tells us."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from billing.kernel import audit
from billing.kernel.states import next_state
from billing.subscriptions.models import Subscription
from billing.subscriptions.states import SUBSCRIPTION_MOVES, SubscriptionState


@transaction.atomic
def mark_past_due(*, actor: str, subscription_ids: Sequence[UUID]) -> int:
    """Active ones fall past due; others stay. Returns how many."""
    return _move("fall_past_due", SubscriptionState.ACTIVE, actor=actor, subscription_ids=subscription_ids)


@transaction.atomic
def mark_recovered(*, actor: str, subscription_ids: Sequence[UUID]) -> int:
    """Those past due are active again; others stay. Returns how many."""
    return _move("recover", SubscriptionState.PAST_DUE, actor=actor, subscription_ids=subscription_ids)


def _move(action: str, current: str, *, actor: str, subscription_ids: Sequence[UUID]) -> int:
    moving = list(Subscription.objects.locked().filter(pk__in=subscription_ids, state=current))
    for subscription in moving:
        subscription.state = next_state(SUBSCRIPTION_MOVES, action=action, current=subscription.state)
    Subscription.objects.bulk_update(moving, ["state"])
    audit.record_all(
        [audit.line(actor=actor, action=f"subscription.{action}", subject=one) for one in moving]
    )
    return len(moving)
