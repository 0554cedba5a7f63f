"""Handing stored events to those who asked for them: at least once, one subscriber at a time."""

import logging
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from billing.kernel import audit
from billing.kernel.context import acting
from billing.kernel.errors import DomainError
from billing.kernel.events import SUBSCRIBERS, Reaction
from billing.kernel.models import DELIVERY_MOVES, DeliveryState, EventDelivery
from billing.kernel.retrying import retrying
from billing.kernel.states import next_state
from billing.kernel.task_queue import enqueue

ATTEMPTS_MAX = 12
LEASE = timedelta(seconds=60)  # how long a worker that died keeps its delivery; see `_claim`
PAUSE_MAX = timedelta(hours=1)

logger = logging.getLogger(__name__)


def pause_after(attempts: int) -> timedelta:
    """1 s, 4 s, 16 s … and never more than an hour."""
    return min(timedelta(seconds=4 ** min(attempts - 1, 10)), PAUSE_MAX)


def deliver_event(*, delivery_id: UUID) -> bool:
    """Run the reaction that is owed; True if it ran. A repeated or early call finds nothing to do.

    The attempt is counted before the work, so that a reaction which kills its worker is found out.
    The reaction and the mark that it ran commit together. A reaction that fails leaves its error
    and a later due date; after ATTEMPTS_MAX the delivery is dead and waits for a person.
    """
    delivery = _claim(delivery_id)
    if delivery is None:
        return False
    reaction = SUBSCRIBERS.get(delivery.event.name, {}).get(delivery.subscriber)
    if reaction is None:
        _give_up(delivery, f"There is no subscriber named '{delivery.subscriber}'.")
        return False
    try:
        return _react(delivery, reaction)
    except Exception as error:  # whatever it is, it is this subscriber's and nobody else's
        if not isinstance(error, DomainError):
            logger.exception("reaction failed", extra={"delivery": str(delivery.pk)})
        _fail(delivery, f"{type(error).__name__}: {error}")
        return False


def sweep_outbox(*, limit: int = 500) -> int:
    """Deliver what is due and was not kicked, oldest first; returns how many reactions ran."""
    due = EventDelivery.objects.filter(state=DeliveryState.PENDING, due_at__lte=Now())
    ids = list(due.order_by("due_at", "pk").values_list("pk", flat=True)[:limit])
    return sum(deliver_event(delivery_id=pk) for pk in ids)


@retrying
@transaction.atomic
def retry_delivery(*, delivery_id: UUID, actor: str, reason: str = "") -> EventDelivery:
    """Owe a dead delivery again, with all its attempts. Raises IllegalMove unless it is dead."""
    delivery = EventDelivery.objects.select_related("event").locked().get(pk=delivery_id)
    delivery.state = next_state(DELIVERY_MOVES, action="retry", current=delivery.state)
    delivery.attempts, delivery.due_at = 0, Now()
    delivery.save(update_fields=["state", "attempts", "due_at"])
    audit.record(
        actor=actor,
        action="delivery.retried",
        subject=delivery,
        entity_id=delivery.event.entity_id,
        reason=reason,
    )
    enqueue("kernel.deliver_event", delivery_id=str(delivery.pk))
    return delivery


@retrying
@transaction.atomic(durable=True)
def _claim(delivery_id: UUID) -> EventDelivery | None:
    """Count the attempt and put the due date behind the lease.

    The lease only says when to look again after a crash. That no reaction runs twice at a time
    is held by the row lock of `_react`, which a claim skips.
    """
    claimable = EventDelivery.objects.filter(pk=delivery_id, state=DeliveryState.PENDING, due_at__lte=Now())
    delivery = claimable.select_related("event").locked(skip_locked=True).first()
    if delivery is None:
        return None
    if delivery.attempts >= ATTEMPTS_MAX:  # its worker died in the last attempt
        _give_up(delivery, f"Gave up: attempt {delivery.attempts} never came back.")
        return None
    delivery.attempts += 1
    delivery.due_at = Now() + max(LEASE, pause_after(delivery.attempts))
    delivery.save(update_fields=["attempts", "due_at"])
    return delivery


@retrying
@transaction.atomic(durable=True)
def _react(delivery: EventDelivery, reaction: Reaction) -> bool:
    still_ours = _ours(delivery).locked(skip_locked=True).first()
    if still_ours is None:
        return False
    with acting(actor=f"reaction:{delivery.subscriber}", request_id=str(delivery.event_id)):
        reaction(delivery.event.payload)
        _ours(delivery).update(state=DeliveryState.DELIVERED, delivered_at=Now(), last_error="")
    return True


def _fail(delivery: EventDelivery, error: str) -> None:
    if delivery.attempts >= ATTEMPTS_MAX:
        _give_up(delivery, error)
    else:
        _ours(delivery).update(last_error=error, due_at=Now() + pause_after(delivery.attempts))


def _give_up(delivery: EventDelivery, reason: str) -> None:
    logger.error("delivery is dead", extra={"delivery": str(delivery.pk), "reason": reason})
    _ours(delivery).update(state=DeliveryState.DEAD, last_error=reason)


def _ours(delivery: EventDelivery):
    """The row, unless somebody else has claimed or finished it since."""
    return EventDelivery.objects.filter(
        pk=delivery.pk, state=DeliveryState.PENDING, attempts=delivery.attempts
    )
