"""A record of a FOCUS 1.0 file (FinOps Open Cost and Usage Specification), read to the letter."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

from django.utils.text import slugify

from billing.kernel.money import EXACT, currencies
from billing.usage import rows, soundness

NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
QUANTITY_UNIT = Decimal(1).scaleb(-soundness.DECIMALS)
OTHER = "Other"
DIMENSIONS = (
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ConsumedUnit",
    "ServiceName",
    "SkuId",
    "ResourceId",
    "RegionId",
    "SubAccountId",
)


@dataclass(frozen=True, slots=True)
class Account:
    """Who is billed, as the provider calls them."""

    reference: str
    name: str
    currency: str

    @property
    def code(self) -> str:
        return distinct_code(self.name, self.reference)


@dataclass(frozen=True, slots=True)
class Charge:
    account: Account
    sub_account: str
    sub_account_name: str
    category: str
    source: str
    transaction_id: str  # empty where the file has no Id
    occurred_at: datetime
    billed_on: date
    period_starts_on: date
    quantity: Decimal
    cost: Decimal
    properties: dict

    @property
    def product_code(self) -> str:
        return product_code(self.category)


def read_charge(values: Mapping[str, str]) -> Charge:
    """The charge in a record. `NULL` and empty are null. Raises rows.Malformed, naming all that is wrong."""
    if any("\x00" in (text or "") for text in values.values()):
        raise rows.Malformed({"": "Contains a NUL character."})
    reader = _Reader(values)
    reference = reader.text("BillingAccountId", longest=200)
    account = Account(
        reference=reference,
        name=(_value(values, "BillingAccountName") or reference)[:200],
        currency=reader.text("BillingCurrency", longest=3),
    )
    provider = reader.text("ProviderName", longest=200)
    cost = reader.number("BilledCost")
    quantity = reader.number("ConsumedQuantity", empty=Decimal(0))
    occurred_at = reader.instant("ChargePeriodStart")
    period_start, period_end = reader.instant("BillingPeriodStart"), reader.instant("BillingPeriodEnd")
    sub_account = _value(values, "SubAccountId")
    if account.currency and account.currency not in currencies():
        reader.errors["BillingCurrency"] = "Must be an ISO 4217 currency code."
    if len(sub_account) > 200:
        reader.errors["SubAccountId"] = "Has more than 200 characters."
    if reader.errors:
        raise rows.Malformed(reader.errors)
    return Charge(
        account=account,
        sub_account=sub_account,
        sub_account_name=(_value(values, "SubAccountName") or sub_account)[:200],
        category=(_value(values, "ServiceCategory") or OTHER)[:200],
        source=shortened(f"focus:{provider}:{reference}", soundness.SOURCE_LENGTH),
        transaction_id=shortened(_value(values, "Id"), soundness.TRANSACTION_LENGTH),
        occurred_at=occurred_at,
        # What is charged for a day outside of its billing period is billed in that period all the same.
        billed_on=(occurred_at if period_start <= occurred_at < period_end else period_start).date(),
        period_starts_on=period_start.date(),
        quantity=storable_quantity(quantity),
        cost=cost,
        properties=_properties(values, quantity),
    )


def content_id(values: Mapping[str, str]) -> str:
    """The same for every record that says the same, whatever the order of the columns."""
    content = json.dumps(sorted(values.items()), ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()


def product_code(category: str) -> str:
    return f"focus-{slugify(category)[:50] or hashlib.sha256(category.encode()).hexdigest()[:12]}"


def distinct_code(name: str, reference: str) -> str:
    """Readable, and different for different references of the same name."""
    digest = hashlib.sha256(reference.encode()).hexdigest()[:8]
    return f"{slugify(name)[:40].strip('-') or 'account'}-{digest}"


def shortened(text: str, longest: int) -> str:
    """`text`, or what still tells it from others of the same beginning."""
    if len(text) <= longest:
        return text
    return f"{text[: longest - 33]}#{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def storable_quantity(quantity: Decimal) -> Decimal:
    """To 12 decimals. It is the cost that is billed; the exact quantity stays in the properties."""
    if not quantity.is_finite() or abs(quantity) >= soundness.BEYOND or not soundness.too_fine(quantity):
        return quantity
    return quantity.quantize(QUANTITY_UNIT, ROUND_HALF_UP, context=EXACT)


def _properties(values: Mapping[str, str], quantity: Decimal) -> dict:
    properties: dict[str, object] = {name: text for name in DIMENSIONS if (text := _value(values, name))}
    if tags := _value(values, "Tags"):
        try:
            properties["Tags"] = rows.exact(json.loads(tags, parse_float=Decimal))
        except (ValueError, RecursionError):
            properties["Tags"] = tags
    if quantity.is_finite() and soundness.too_fine(quantity):
        properties["ConsumedQuantity"] = _value(values, "ConsumedQuantity")
    return properties


def _value(values: Mapping[str, str], name: str) -> str:
    text = (values.get(name) or "").strip()
    return "" if text == "NULL" else text


class _Reader:
    """Collects everything that is wrong with a record."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.errors: dict[str, str] = {}

    def text(self, name: str, *, longest: int) -> str:
        text = _value(self.values, name)
        if not text or len(text) > longest:
            self.errors[name] = f"Must have 1 to {longest} characters."
        return text

    def number(self, name: str, *, empty: Decimal | None = None) -> Decimal:
        text = _value(self.values, name)
        if not text and empty is not None:
            return empty
        if not NUMBER.fullmatch(text):
            self.errors[name] = "Must be a number."
            return Decimal(0)
        return Decimal(text)

    def instant(self, name: str) -> datetime:
        """`YYYY-MM-DD HH:MM:SS` or ISO 8601; UTC where no offset is given."""
        try:
            instant = datetime.fromisoformat(_value(self.values, name))
            instant = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
            if instant.year not in rows.YEARS:
                raise ValueError
        except (ValueError, OverflowError):
            self.errors[name] = "Must be an instant such as '2026-01-31 00:00:00'."
            return datetime(1970, 1, 1, tzinfo=UTC)
        return instant
