"""What an amount is worth in the currency of the bands: by the stored exchange rate in force on a day."""

from datetime import date
from decimal import Decimal

from billing.invoicing.exchange_rates.queries import known_rates


def rate_on(currency: str, base_currency: str, *, day: date) -> Decimal | None:
    """One unit of `currency` in `base_currency`. None if no rate is known: never inverted, never crossed."""
    if currency == base_currency:
        return Decimal(1)
    return known_rates(currency, base_currency, on=day).values_list("rate", flat=True).first()
