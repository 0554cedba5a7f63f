"""One reported event as text, from the API or a file, read to the letter."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from billing.usage.reports import UsageReport

REQUIRED = ("source", "transaction_id", "entity", "meter", "occurred_at")
MEMBERS = (*REQUIRED, "quantity", "cost", "currency", "department", "billed_on", "properties", "subscription")
IDENTIFIER = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
# Also what the rules refuse (NaN, too many decimals), so that the answer can say which rule.
DECIMAL = re.compile(r"-?((0|[1-9][0-9]{0,30})(\.[0-9]{1,40})?|NaN|Infinity)", re.ASCII)
YEARS = range(1900, 3000)


class Malformed(Exception):
    """`errors` maps each member that cannot be read to what it should be."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in errors.items()))
        self.errors = errors


def read_row(row: object) -> UsageReport:
    """The report in a JSON object. Raises Malformed, naming everything that is wrong with it."""
    if not isinstance(row, dict):
        raise Malformed({"": "Must be an object."})
    errors = {name: "This member is not known here." for name in row if name not in MEMBERS}
    errors |= {name: "This member is required." for name in REQUIRED if row.get(name) is None}
    values = {}
    for name, read in READERS.items():
        given = row.get(name)
        if given is None or name in errors:
            continue
        try:
            values[name] = read(given)
        except ValueError as error:
            errors[name] = str(error)
    if errors:
        raise Malformed(errors)
    return UsageReport(
        entity_id=values.pop("entity"),
        department_id=values.pop("department", None),
        subscription_id=values.pop("subscription", None),
        **values,
    )


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError("Must be a string.")
    return given


def _identifier(given: object) -> UUID:
    if not isinstance(given, str) or not IDENTIFIER.fullmatch(given):
        raise ValueError("Must be an id, or in a file a known code.")
    return UUID(given)


def _decimal(given: object) -> Decimal:
    if not isinstance(given, str) or not DECIMAL.fullmatch(given):
        raise ValueError("Must be a plain decimal in a string, such as '12.5'.")
    return Decimal(given)


def _instant(given: object) -> datetime:
    if not isinstance(given, str) or not INSTANT.fullmatch(given):
        raise ValueError("Must be an instant with its offset, such as '2026-01-31T12:00:00Z'.")
    try:
        instant = datetime.fromisoformat(given).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("There is no such instant.") from None
    return _within_years(instant)


def _day(given: object) -> date:
    if not isinstance(given, str) or not DAY.fullmatch(given):
        raise ValueError("Must be a date such as '2026-01-31'.")
    try:
        day = date.fromisoformat(given)
    except ValueError:
        raise ValueError("There is no such day.") from None
    return _within_years(day)


def _within_years(when):
    if when.year not in YEARS:
        raise ValueError(f"The year must be from {YEARS[0]} to {YEARS[-1]}.")
    return when


def _properties(given: object) -> dict:
    if not isinstance(given, dict):
        raise ValueError("Must be an object.")
    return exact(given)


def exact(value: object) -> object:
    """Numbers with decimals as text: JSON readers would make them inexact."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {name: exact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return value


READERS = {
    "source": _text,
    "transaction_id": _text,
    "entity": _identifier,
    "meter": _text,
    "occurred_at": _instant,
    "quantity": _decimal,
    "cost": _decimal,
    "currency": _text,
    "department": _identifier,
    "billed_on": _day,
    "properties": _properties,
    "subscription": _identifier,
}
