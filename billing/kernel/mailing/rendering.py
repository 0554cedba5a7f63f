"""A mail as it will be read."""

from dataclasses import dataclass
from decimal import Decimal

from babel import Locale
from babel.numbers import format_decimal

from billing.kernel.money import exponent


@dataclass(frozen=True)
class Rendered:
    subject: str
    text: str
    html: str


def money(amount: Decimal, currency: str, locale: Locale) -> str:
    """All decimals of the currency, and its code: there is more than one dollar."""
    decimals = exponent(currency)
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return f"{format_decimal(amount, format=pattern, locale=locale)}\N{NO-BREAK SPACE}{currency}"
