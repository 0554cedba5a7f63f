"""What a meter makes of an event: does it count, in which group, with which value. No database."""

from billing.usage.models import VALUE_LENGTH, Aggregation, Meter
from billing.usage.reports import UsageReport


def counts(meter: Meter, properties: dict) -> bool:
    """True if each property the meter filters by has one of the values asked for."""
    return all(text_of(properties, wanted["property"]) in wanted["values"] for wanted in meter.filters)


def group_of(meter: Meter, properties: dict) -> dict[str, str]:
    """The values of the properties the meter groups by. One that is not there is the empty text."""
    return {name: text_of(properties, name) or "" for name in meter.group_by}


def value_of(meter: Meter, properties: dict) -> str | None:
    """The value a unique count counts; None for other meters."""
    if meter.aggregation != Aggregation.UNIQUE_COUNT:
        return None
    return text_of(properties, meter.counted_property)


def text_of(properties: dict, name: str) -> str | None:
    """A property as text, as the database would say it; None for what is no text, whole number or truth value."""
    given = properties.get(name)
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, str | int):
        return str(given)
    return None


def fault(meter: Meter, report: UsageReport) -> tuple[str, str] | None:
    """The code and the text of why the meter cannot take the report, or None."""
    if report.quantity < 0 and report.cost is None and not meter.allows_negative:
        return (
            "negative-quantity",
            "The meter takes no corrections; only a row with a cost (a credit) may be negative.",
        )
    if not counts(meter, report.properties):
        return None
    if meter.counted_property and report.properties.get(meter.counted_property) is None:
        return "property-missing", f"The meter counts the values of '{meter.counted_property}'."
    for name in {*meter.group_by, meter.counted_property} - {""}:
        text = text_of(report.properties, name)
        if report.properties.get(name) is not None and (text is None or len(text) > VALUE_LENGTH):
            return (
                "invalid-property",
                f"'{name}' must be a text, whole number or truth value of at most {VALUE_LENGTH} characters.",
            )
    return None
