"""Interest and compensation for late payment. Pure.

Simple interest, day count actual/365 (fixed), rounded half-up once, at the end.
Directive 2011/7/EU, Article 3: interest runs from the day after the due day; the statutory rate is the reference
rate plus at least eight points (Article 2(6)); Article 6: a fixed sum of at least 40 EUR for recovery costs.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal, localcontext

from billing.dunning.core.clock import InterestPeriod
from billing.kernel.money import EXACT, round_half_up

DAYS_OF_A_YEAR = 365


def interest_on(interest_periods: Sequence[InterestPeriod], *, percent: Decimal, currency: str) -> Decimal:
    """Σ amount × days × percent / 100 / 365, rounded to `currency`'s minor unit. `percent` is a year's."""
    with localcontext(EXACT):
        day_amounts = sum(
            (interest_period.amount * interest_period.days for interest_period in interest_periods),
            Decimal(0),
        )
        exact = day_amounts * percent / (100 * DAYS_OF_A_YEAR)
    return round_half_up(exact, currency)


def unbilled_interest_range(due_on: date, as_of: date, charged_until: date | None) -> tuple[date, date]:
    """The days to charge for, `until` exclusive: from the day after the due day, or where the last charge ended,
    up to and with `as_of`."""
    return charged_until or due_on + timedelta(days=1), as_of + timedelta(days=1)
