"""A part of a period costs its share of the whole period's days."""

from decimal import Decimal

from billing.kernel.money import EXACT
from billing.subscriptions.core.periods import Period


def prorated(exact: Decimal, used: Period, whole: Period) -> Decimal:
    """`exact` × days used / days of the whole period, unrounded; divided last, to 60 digits.

    Raises ValueError unless `used` lies inside `whole`.
    """
    _require_inside(used, whole)
    return EXACT.divide(EXACT.multiply(exact, Decimal(used.days)), Decimal(whole.days))


def fraction_text(used: Period, whole: Period) -> str:
    """ "12/30", not reduced: the reader is to recognise the days. Raises ValueError as `prorated` does."""
    _require_inside(used, whole)
    return f"{used.days}/{whole.days}"


def _require_inside(used: Period, whole: Period) -> None:
    if used.overlap(whole) != used:
        raise ValueError(f"{used} is not inside {whole}")
