"""Is a report well-formed in itself? No database, no clock: only the row."""

import json
import re
from decimal import Decimal

from billing.kernel import money
from billing.kernel.errors import Invalid
from billing.usage.reports import UsageReport

DECIMALS = 12
BEYOND = Decimal(10) ** 16
SOURCE_LENGTH, TRANSACTION_LENGTH = 100, 200
# PostgreSQL stores neither the NUL character nor half a surrogate pair.
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def fault(report: UsageReport) -> tuple[str, str] | None:
    """The code and the text of what is wrong with the row, or None."""
    return _identity_fault(report) or _figures_fault(report) or _properties_fault(report)


def _identity_fault(report: UsageReport) -> tuple[str, str] | None:
    for name, text, longest in (
        ("source", report.source, SOURCE_LENGTH),
        ("transaction_id", report.transaction_id, TRANSACTION_LENGTH),
    ):
        if not text or len(text) > longest or UNSTORABLE.search(text):
            return f"invalid-{name.replace('_', '-')}", f"{name} has 1 to {longest} characters and no NUL."
    if report.occurred_at.tzinfo is None:
        return "timestamp-without-zone", "occurred_at is an instant: give it a zone."
    return None


def _figures_fault(report: UsageReport) -> tuple[str, str] | None:
    figures = [("quantity", report.quantity)]
    if report.cost is not None:
        figures.append(("cost", report.cost))
    for name, figure in figures:
        if not figure.is_finite():
            return "not-finite", f"{name} is not a finite number."
        if too_fine(figure):
            return "too-many-decimals", f"{name} has more than {DECIMALS} decimals."
        if abs(figure) >= BEYOND:
            return "too-large", f"{name} has more than 16 digits before the point."
    if (report.cost is None) != (report.currency == ""):
        return "currency-unknown", "A cost has a currency, and a currency a cost."
    if report.currency and not _is_currency(report.currency):
        return "currency-unknown", f"'{report.currency[:8]}' is not an ISO 4217 currency code."
    return None


def too_fine(figure: Decimal) -> bool:
    """More decimals than are stored? Zeros at the end do not count."""
    _, digits, exponent = figure.as_tuple()
    surplus = -exponent - DECIMALS
    return surplus > 0 and any(digits[-surplus:])


def _is_currency(code: str) -> bool:
    try:
        money.exponent(code)
    except Invalid:
        return False
    return True


def _properties_fault(report: UsageReport) -> tuple[str, str] | None:
    if report.properties and not is_storable(report.properties):
        return "invalid-properties", "properties is a JSON object without NUL, NaN or infinity."
    return None


def is_storable(value: object) -> bool:
    """Can PostgreSQL keep it as jsonb?"""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return False
    return not any(UNSTORABLE.search(text) for text in _texts(value))


def _texts(value: object):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
