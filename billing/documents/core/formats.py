"""Numbers, days and parties as text in the reader's language."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal

from billing.kernel.money import exponent

PRICE_DECIMALS = 12  # as prices are kept


class Formats:
    """Numbers and days as a language writes them; amounts with the decimals ISO 4217 has for the currency.

    The same figures and days stand on many lines: each is worded once per document.
    """

    def __init__(self, language: str, currency: str) -> None:
        self.language, self.locale, self.decimals = language, Locale.parse(language), exponent(currency)
        signs = self.locale.number_symbols["latn"]
        self.signs = str.maketrans({",": signs["group"], ".": signs["decimal"], "-": signs["minusSign"]})
        self.number, self.price = cache(self._number), cache(self._price)
        self.day, self.period = cache(self._day), cache(self._period)

    def money(self, amount: Decimal) -> str:
        """Grouped by thousands: what babel says, in a seventh of its time."""
        return f"{amount:,.{self.decimals}f}".translate(self.signs)

    def percent(self, value: Decimal) -> str:
        return f"{self.number(value)}\N{NO-BREAK SPACE}%"

    def _price(self, value: Decimal) -> str:
        """All that is there, and at least the decimals of an amount."""
        always, more = "0" * self.decimals, "#" * (PRICE_DECIMALS - self.decimals)
        return format_decimal(value, format=f"#,##0.{always}{more}", locale=self.locale)

    def _number(self, value: Decimal) -> str:
        """All that is there and no more."""
        return format_decimal(value, format="#,##0.############", locale=self.locale)

    def _day(self, day: date) -> str:
        return format_date(day, format="medium", locale=self.locale)

    def _period(self, starts_on: date, ends_on: date) -> str:
        """As people say it, the last day included; `ends_on` is exclusive."""
        last = ends_on - timedelta(days=1)
        return self.day(last) if starts_on == last else f"{self.day(starts_on)} – {self.day(last)}"


def party(snapshot: Mapping, language: str) -> dict:
    """One of the parties of a document from its frozen snapshot."""
    address = snapshot.get("address") or {}
    town = " ".join(str(address[key]) for key in ("postal_code", "city") if address.get(key))
    places = [address.get("line1"), address.get("line2"), town, address.get("region")]
    code = address.get("country") or snapshot["country"]
    country = Locale.parse(language).territories.get(code, code)
    return {
        "name": snapshot["legal_name"],
        "address": [str(place) for place in [*places, country] if place],
        "tax_id": snapshot["tax_id"] or "",
        "email": snapshot["email"] or "",
    }
