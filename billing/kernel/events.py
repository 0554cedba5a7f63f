"""Facts that have happened, told without anyone importing upwards.

`publish` stores the fact and one delivery per subscriber in the transaction of the change it describes;
a worker hands each over after commit, at least once. Subscribers must be idempotent.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar
from uuid import UUID

from django.db import connection

from billing.kernel.audit import plain
from billing.kernel.models import EventDelivery, OutboxEvent
from billing.kernel.task_queue import enqueue

Reaction = Callable[[dict], None]
SUBSCRIBERS: dict[str, dict[str, Reaction]] = {}  # event name -> subscriber name -> what it does


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """Past tense, ids only. `name` is the public one, e.g. "invoice.issued"."""

    name: ClassVar[str]
    entity_id: UUID | None = None


def subscribe(event_type: type[Event], *, name: str) -> Callable[[Reaction], Reaction]:
    """Register a reaction. `name` ("budgets.release") is stored with each delivery: never reuse or rename it."""

    def register(reaction: Reaction) -> Reaction:
        SUBSCRIBERS.setdefault(event_type.name, {})[name] = reaction
        return reaction

    return register


def publish(*events: Event) -> None:
    """Store the events in the transaction that makes them true, and have them delivered after it."""
    publish_all(events)


def publish_all(events: Sequence[Event]) -> None:
    assert connection.in_atomic_block, "publish inside the transaction that makes the event true"
    stored = OutboxEvent.objects.bulk_create(
        OutboxEvent(name=event.name, entity_id=event.entity_id, payload=plain(dataclasses.asdict(event)))
        for event in events
    )
    owed = EventDelivery.objects.bulk_create(
        EventDelivery(event=event, subscriber=name)
        for event in stored
        for name in SUBSCRIBERS.get(event.name, {})
    )
    for delivery in owed:
        enqueue("kernel.deliver_event", delivery_id=str(delivery.pk))
