"""What a meter may say about how it counts."""

from billing.kernel.errors import Invalid
from billing.usage.errors import UnsoundDefinition
from billing.usage.models import (
    FILTERS_MAX,
    GROUPS_MAX,
    PROPERTY_LENGTH,
    VALUE_LENGTH,
    Aggregation,
    LatePolicy,
    Meter,
)
from billing.usage.soundness import UNSTORABLE

VALUES_MAX = 100
LATE_DAYS_MAX = 3650


def require_sound(meter: Meter) -> None:
    """Raises Invalid for an unknown aggregation or late policy, UnsoundDefinition for what contradicts itself."""
    if meter.aggregation not in Aggregation.values:
        raise Invalid(f"'{meter.aggregation}' is not an aggregation.", known=Aggregation.values)
    if meter.late_policy not in LatePolicy.values:
        raise Invalid(f"'{meter.late_policy}' is not a policy for late events.", known=LatePolicy.values)
    _require_counted_property(meter)
    _require_filters(meter.filters)
    _require_names(meter.group_by, "group_by", GROUPS_MAX)
    if meter.allows_negative and meter.aggregation != Aggregation.SUM:
        raise UnsoundDefinition(
            "Only a sum can be corrected by negative quantities.", field="allows_negative"
        )
    _require_late_days(meter)


def _require_counted_property(meter: Meter) -> None:
    if (meter.aggregation == Aggregation.UNIQUE_COUNT) != (meter.counted_property != ""):
        raise UnsoundDefinition(
            "A unique count names the property whose values it counts; others name none.",
            field="counted_property",
        )
    if meter.counted_property:
        _require_names([meter.counted_property], "counted_property", 1)


def _require_filters(filters: object) -> None:
    if not isinstance(filters, list) or any(
        not isinstance(wanted, dict) or wanted.keys() != {"property", "values"} for wanted in filters
    ):
        raise UnsoundDefinition('filters are a list of {"property": …, "values": […]}.', field="filters")
    _require_names([wanted["property"] for wanted in filters], "filters", FILTERS_MAX)
    for wanted in filters:
        values = wanted["values"]
        if (
            not isinstance(values, list)
            or not 1 <= len(values) <= VALUES_MAX
            or not all(_is_text(value, VALUE_LENGTH) for value in values)
            or len(set(values)) != len(values)
        ):
            raise UnsoundDefinition(f"A filter has 1 to {VALUES_MAX} different values.", field="filters")


def _require_names(names: object, field: str, longest: int) -> None:
    if (
        not isinstance(names, list)
        or len(names) > longest
        or not all(_is_text(name, PROPERTY_LENGTH) and name for name in names)
        or len(set(names)) != len(names)
    ):
        raise UnsoundDefinition(
            f"At most {longest} different properties, of 1 to {PROPERTY_LENGTH} characters each.", field=field
        )


def _require_late_days(meter: Meter) -> None:
    days = meter.late_days
    if (meter.late_policy == LatePolicy.REJECT_AFTER_DAYS) != (days is not None):
        raise UnsoundDefinition(
            "reject_after_days says after how many; other policies do not.", field="late_days"
        )
    if days is not None and not 1 <= days <= LATE_DAYS_MAX:
        raise UnsoundDefinition(f"Late is after 1 to {LATE_DAYS_MAX} days.", field="late_days")


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest and not UNSTORABLE.search(value)
