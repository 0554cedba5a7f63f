from datetime import date
from decimal import Decimal

from django.db import transaction

from billing.invoicing.exchange_rates.queries import known_rates
from billing.invoicing.models import ExchangeRate
from billing.kernel import audit
from billing.kernel.errors import Invalid
from billing.kernel.money import exponent


@transaction.atomic
def add_exchange_rate(
    *, actor: str, from_currency: str, to_currency: str, rate: Decimal, rate_on: date, source: str
) -> ExchangeRate:
    """From `rate_on` one unit of `from_currency` is `rate` of `to_currency`, until a later day has another.

    The rate in force added again changes nothing. A different one for the same day takes its place for what
    is consolidated from now on; documents keep theirs. Raises Invalid.
    """
    for currency in (from_currency, to_currency):
        exponent(currency)
    if from_currency == to_currency:
        raise Invalid("A currency is worth itself.", field="to_currency")
    if not rate.is_finite() or rate <= 0:
        raise Invalid("A rate is more than zero.", field="rate")
    if not source.strip():
        raise Invalid("Say who published the rate.", field="source")
    known = known_rates(from_currency, to_currency, on=rate_on).filter(rate_on=rate_on).first()
    if known is not None and (known.rate, known.source) == (rate, source):
        return known
    added = ExchangeRate.objects.create(
        from_currency=from_currency, to_currency=to_currency, rate=rate, rate_on=rate_on, source=source
    )
    audit.record(
        actor=actor,
        action="exchange_rate.added",
        subject=added,
        detail={"rate": str(added), "source": source, "instead_of": known and str(known.rate)},
    )
    return added
