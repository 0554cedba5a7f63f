"""Which exchange rate is in force on a day."""

from collections.abc import Collection
from datetime import date

from django.db.models import QuerySet

from billing.invoicing.errors import ExchangeRateMissing
from billing.invoicing.models import ExchangeRate


def rates_to(currency: str, *, of: Collection[str], on: date) -> dict[str, ExchangeRate | None]:
    """The rate of each currency in force on a day; None for the currency itself. Raises ExchangeRateMissing.

    Rates are never inverted nor crossed: what is not known as such is asked for.
    """
    found = {
        each: None if each == currency else known_rates(each, currency, on=on).first() for each in sorted(of)
    }
    if missing := [each for each, rate in found.items() if rate is None and each != currency]:
        raise ExchangeRateMissing(
            f"There is no rate from {' and '.join(missing)} to {currency} on {on} or before."
            " Add one under exchange rates, then try again.",
            from_currencies=missing,
            to_currency=currency,
            on=str(on),
        )
    return found


def known_rates(from_currency: str, to_currency: str, *, on: date) -> QuerySet[ExchangeRate]:
    """Those of that day and before, the one in force first."""
    known = ExchangeRate.objects.filter(from_currency=from_currency, to_currency=to_currency, rate_on__lte=on)
    return known.order_by("-rate_on", "-pk")
