"""Valid rows of the kernel's tables, with only the interesting fields said aloud."""

from itertools import count

from billing.kernel.models import AuditEntry, AuditKind, EventDelivery, OutboxEvent

_serial = count(1)


def make_line(**overrides) -> AuditEntry:
    number = next(_serial)
    values = {
        "kind": AuditKind.VERB,
        "action": "thing.done",
        "subject_type": "things",
        "subject_id": str(number),
        "actor": "user:1",
        "detail": {"amount": "10.00"},
    } | overrides
    return AuditEntry.objects.create(**values)


def make_delivery(**overrides) -> EventDelivery:
    if "event" not in overrides:
        overrides["event"] = OutboxEvent.objects.create(name="thing.happened", payload={"thing": "1"})
    values = {"subscriber": "test.reaction"} | overrides
    return EventDelivery.objects.create(**values)
