"""Fields that take one spelling of each value. What is not exactly right is refused, never repaired."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from uuid import UUID
from zoneinfo import available_timezones

from babel import Locale
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import get_attribute

from billing.kernel.errors import Invalid
from billing.kernel.money import currencies, minor_unit
from billing.kernel.text import is_unseen

MONEY = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?", re.ASCII)
EXACT = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?", re.ASCII)
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
IDENTIFIER = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1900, 2999


class _DecimalText(serializers.Field):
    """A decimal as text, in and out. `min_value` and `max_value` are inclusive, `above` is not."""

    pattern: re.Pattern
    default_error_messages = {
        "not_text": "Must be a decimal in a string, such as '1250.00', not a JSON number.",
        "invalid": "Must be a plain decimal such as '1250.00'.",
        "min_value": "Must be {bound} or more.",
        "max_value": "Must be {bound} or less.",
        "above": "Must be more than {bound}.",
    }

    def __init__(
        self,
        *,
        min_value: Decimal | int | None = None,
        max_value: Decimal | int | None = None,
        above: Decimal | int | None = None,
        **kwargs,
    ):
        for settled in ("max_digits", "decimal_places"):  # offered by ModelSerializer; the column fixes them
            kwargs.pop(settled, None)
        self.min_value, self.max_value, self.above = min_value, max_value, above
        super().__init__(**kwargs)

    def to_internal_value(self, data: object) -> Decimal:
        if not isinstance(data, str):
            self.fail("not_text")
        if not self.pattern.fullmatch(data):
            self.fail("invalid")
        value = Decimal(data)
        if not value and data.startswith("-"):
            self.fail("invalid")
        if self.min_value is not None and value < self.min_value:
            self.fail("min_value", bound=self.min_value)
        if self.max_value is not None and value > self.max_value:
            self.fail("max_value", bound=self.max_value)
        if self.above is not None and value <= self.above:
            self.fail("above", bound=self.above)
        return value


@extend_schema_field({"type": "string", "pattern": f"^{MONEY.pattern}$", "examples": ["1250.00"]})
class MoneyAmountField(_DecimalText):
    """An amount of money. In: exact text; the sibling `currency_field`, if sent, limits the decimals.

    Out: with exactly the decimals of `currency_source` (a path from the object): "1250.00" USD, "1250" JPY.
    """

    pattern = MONEY

    def __init__(self, *, currency_source: str = "currency", currency_field: str = "currency", **kwargs):
        self.currency_source, self.currency_field = currency_source, currency_field
        super().__init__(**kwargs)

    def get_attribute(self, instance: object):
        amount = super().get_attribute(instance)
        if not isinstance(amount, Decimal):
            return amount
        return amount, get_attribute(instance, self.currency_source.split("."))

    def to_representation(self, value) -> str:
        amount, currency = value if isinstance(value, tuple) else (value, None)
        return money_text(amount, currency)


def money_text(amount: Decimal, currency: str | None) -> str:
    """The amount as the wire shows it. Decimals beyond the currency's are shown, not hidden."""
    if currency:
        payable = amount.quantize(minor_unit(currency))
        amount = payable if payable == amount else amount
    return format(amount + 0 if amount else abs(amount), "f")


@extend_schema_field({"type": "string", "pattern": f"^{EXACT.pattern}$", "examples": ["0.0125"]})
class ExactAmountField(_DecimalText):
    """A unit price, rate or quantity: up to 12 decimals, shown without trailing zeros."""

    pattern = EXACT

    def to_representation(self, value: Decimal) -> str:
        text = format(value, "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text


class _Text(serializers.Field):
    """A field whose JSON type is string, checked before anything else looks at the value."""

    default_error_messages = {"not_text": "Must be a string."}

    def require_text(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("not_text")
        return data


@extend_schema_field({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]})
class CurrencyCodeField(_Text):
    default_error_messages = {"invalid": "Must be an ISO 4217 currency code in capitals, such as 'EUR'."}

    def to_internal_value(self, data: object) -> str:
        if self.require_text(data) not in currencies():
            self.fail("invalid")
        return data

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field({"type": "string", "pattern": "^[A-Z]{2}$", "examples": ["DE"]})
class CountryField(_Text):
    default_error_messages = {"invalid": "Must be an ISO 3166 country code of two capitals, such as 'DE'."}

    def to_internal_value(self, data: object) -> str:
        if self.require_text(data) not in countries():
            self.fail("invalid")
        return data

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field({"type": "string", "examples": ["Europe/Berlin"]})
class TimeZoneField(_Text):
    default_error_messages = {"invalid": "Must be an IANA time zone, such as 'Europe/Berlin'."}

    def to_internal_value(self, data: object) -> str:
        if self.require_text(data) not in time_zones():
            self.fail("invalid")
        return data

    def to_representation(self, value: str) -> str:
        return value


@cache
def countries() -> frozenset[str]:
    """ISO 3166-1 alpha-2, with the codes it reserves for the Canary Islands (IC) and for Ceuta and Melilla (EA): they
    have taxes of their own. CLDR adds groupings and private codes, which nobody can be invoiced in."""
    not_countries = {"AC", "CP", "CQ", "DG", "EU", "EZ", "QO", "TA", "UN", "XA", "XB", "XK", "ZZ"}
    codes = {code for code in Locale("en").territories if len(code) == 2 and code.isalpha()}
    return frozenset(codes - not_countries)


@cache
def time_zones() -> frozenset[str]:
    return frozenset({name for name in available_timezones() if "/" in name} | {"UTC"})


class StrictCharField(serializers.CharField):
    """One line of text; `multiline=True` also takes line breaks and tabs. Nothing is trimmed."""

    default_error_messages = {
        "invalid": "Must be a string.",
        "control": "Must not contain control characters.",
        "surrounding_space": "Must not begin or end with white space.",
    }

    def __init__(self, *, multiline: bool = False, **kwargs):
        self.multiline = multiline
        kwargs["trim_whitespace"] = False
        super().__init__(**kwargs)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        welcome = "\n\r\t" if self.multiline else ""
        if any(is_unseen(sign) for sign in data if sign not in welcome):
            self.fail("control")
        if not data.strip() and not self.allow_blank:
            self.fail("blank")
        if not self.multiline and data != data.strip():
            self.fail("surrounding_space")
        return data


@extend_schema_field({"type": "string", "format": "date", "examples": ["2026-01-31"]})
class StrictDateField(serializers.DateField):
    default_error_messages = {
        "invalid": "Must be a date such as '2026-01-31'.",
        "year": f"The year must be from {FIRST_YEAR} to {LAST_YEAR}.",
    }

    def to_internal_value(self, value: object) -> date:
        if not isinstance(value, str) or not DATE.fullmatch(value):
            self.fail("invalid")
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail("invalid")
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            self.fail("year")
        return day


@extend_schema_field({"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00Z"]})
class StrictDateTimeField(serializers.DateTimeField):
    """RFC 3339 with an offset, kept and shown in UTC."""

    default_error_messages = {
        "invalid": "Must be an instant with its offset, such as '2026-01-31T12:00:00Z'.",
        "year": f"The year must be from {FIRST_YEAR} to {LAST_YEAR}.",
    }

    def to_internal_value(self, value: object) -> datetime:
        if not isinstance(value, str) or not INSTANT.fullmatch(value):
            self.fail("invalid")
        try:
            instant = datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")
        if not FIRST_YEAR <= instant.year <= LAST_YEAR:
            self.fail("year")
        return instant

    def to_representation(self, value: datetime | None) -> str | None:
        return instant_text(value) if value else None


def instant_text(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class StrictBooleanField(serializers.BooleanField):
    default_error_messages = {"invalid": "Must be true or false."}

    def to_internal_value(self, data: object) -> bool:
        if data is None and self.allow_null:
            return None
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class StrictIntegerField(serializers.IntegerField):
    default_error_messages = {"invalid": "Must be a JSON integer."}

    def __init__(self, **kwargs):
        kwargs.setdefault("min_value", -(2**31))
        kwargs.setdefault("max_value", 2**31 - 1)
        super().__init__(**kwargs)

    def to_internal_value(self, data: object) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return data


class StrictChoiceField(serializers.ChoiceField):
    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str) or (not data and not self.allow_blank):
            self.fail("invalid_choice", input=data if isinstance(data, int) else str(data)[:100])
        return super().to_internal_value(data)


class IdField(serializers.UUIDField):
    """An id, in the one spelling this API prints it in (capitals are tolerated)."""

    default_error_messages = {"invalid": "Must be an id such as '0197f3c2-8d5e-7a31-9b2c-4f60a1d2e3f4'."}

    def to_internal_value(self, data: object) -> UUID:
        if not isinstance(data, str) or not IDENTIFIER.fullmatch(data):
            self.fail("invalid")
        return UUID(data)


def payable_in(amount: Decimal, currency: str) -> bool:
    """True unless the amount has more decimals than the currency (whether that exists is not asked here)."""
    try:
        unit = minor_unit(currency)
    except Invalid:
        return True
    return amount == amount.quantize(unit)
