"""Meters, events and quotas, with only the interesting fields said aloud."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

from billing.entities.tests.makers import make_entity
from billing.subscriptions.tests.makers import make_product
from billing.usage import services
from billing.usage.models import Meter, Quota, UsageEvent

_serial = count(1)
NOON = datetime(2024, 9, 15, 12, tzinfo=UTC)


def make_meter(**overrides) -> Meter:
    """`entity` is the seller."""
    if "product" not in overrides:
        overrides["product"] = make_product(entity=overrides.get("entity") or make_entity(is_seller=True))
    number = next(_serial)
    values = {
        "entity": overrides["product"].entity,
        "code": f"meter-{number}",
        "name": f"Meter {number}",
        "unit": "GB",
    }
    return Meter.objects.create(**values | overrides)


def make_customer(meter: Meter, **overrides):
    """An active entity under the seller of the meter."""
    return make_entity(**{"parent": meter.entity, "currency": "USD"} | overrides)


def make_report(**overrides) -> services.UsageReport:
    """A report for `entity` (or a new customer) of `meter` (or a new one), not recorded yet."""
    meter = overrides.pop("meter", None) or make_meter()
    entity = overrides.pop("entity", None) or make_customer(meter)
    department = overrides.pop("department", None)
    values = {
        "source": "test",
        "transaction_id": f"t-{next(_serial)}",
        "entity_id": entity.pk,
        "meter": meter.code,
        "department_id": department and department.pk,
        "occurred_at": NOON,
        "quantity": Decimal(1),
    }
    return services.UsageReport(**values | overrides)


def make_usage_event(**overrides) -> UsageEvent:
    """A recorded event. `entity`, `meter`, `department` are objects; the rest are fields of UsageReport."""
    report = make_report(**overrides)
    [outcome] = services.record_usage(
        actor="test", events=[report], as_of=max(report.occurred_at, NOON), allow_old=True
    )
    assert outcome.status == "accepted", outcome
    return UsageEvent.objects.get(pk=outcome.event_id)


def make_quota(**overrides) -> Quota:
    meter = overrides.pop("meter", None) or make_meter()
    entity = overrides.pop("entity", None) or make_customer(meter)
    values = {"limit_quantity": Decimal(100)} | overrides
    return services.set_quota(actor="test", entity_id=entity.pk, meter_id=meter.pk, **values)
