"""Interest for late payment: published examples, and properties of the formula."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.dunning.core.clock import InterestPeriod
from billing.dunning.core.interest import interest_on, unbilled_interest_range

START = date(2026, 2, 1)
amounts = st.decimals(Decimal("0.01"), Decimal("10000000.00"), places=2)
percents = st.decimals(Decimal("0.0001"), Decimal("100.0000"), places=4)
lengths = st.integers(1, 1000)


def interest_period(amount, days: int, since: date = START) -> InterestPeriod:
    return InterestPeriod(since=since, until=since + timedelta(days=days), amount=Decimal(amount))


def test_the_worked_example_of_statutory_interest_at_eight_points_above_a_base_of_half_a_percent():
    """GOV.UK, "Late commercial payments: charging interest and debt recovery": owed 1,000 at 8 % + 0.5 %,
    85 a year, 85 / 365 = 0.23 a day, 50 days late: 0.23 × 50 = 11.50. Rounded once, not by the day, it is 11.64.
    """
    a_year = interest_on([interest_period("1000.00", 365)], percent=Decimal("8.5"), currency="GBP")
    a_day = interest_on([interest_period("1000.00", 1)], percent=Decimal("8.5"), currency="GBP")
    assert (a_year, a_day) == (Decimal("85.00"), Decimal("0.23"))
    assert interest_on([interest_period("1000.00", 50)], percent=Decimal("8.5"), currency="GBP") == Decimal(
        "11.64"
    )


def test_halves_are_rounded_up_once_at_the_end_in_the_currencys_own_unit():
    # 73.00 × 10 % × 25 / 365 = 0.50 exactly; 36.50 × 1 % × 5 / 365 = 0.005
    assert interest_on([interest_period("36.50", 5)], percent=Decimal(1), currency="EUR") == Decimal("0.01")
    assert interest_on([interest_period("73.00", 25)], percent=Decimal(10), currency="JPY") == Decimal(1)
    assert interest_on([interest_period("73.00", 25)], percent=Decimal(10), currency="KWD") == Decimal(
        "0.500"
    )


def test_a_part_bears_interest_only_while_it_is_not_disputed():
    held = [interest_period("60.00", 10), interest_period("100.00", 20, START + timedelta(days=10))]
    # (600 + 2,000) × 9 % / 365 = 0.641…
    assert interest_on(held, percent=Decimal(9), currency="EUR") == Decimal("0.64")


def test_the_period_is_from_the_day_after_the_due_day_or_where_the_last_charge_ended():
    due, as_of = date(2026, 1, 31), date(2026, 3, 7)
    assert unbilled_interest_range(due, as_of, None) == (date(2026, 2, 1), date(2026, 3, 8))
    assert unbilled_interest_range(due, as_of, date(2026, 2, 20)) == (date(2026, 2, 20), date(2026, 3, 8))


@given(amounts, percents, lengths)
def test_it_is_within_half_a_cent_of_the_exact_quotient(amount, percent, days):
    charged = interest_on([interest_period(amount, days)], percent=percent, currency="EUR")
    assert charged == charged.quantize(Decimal("0.01"))
    assert abs(charged * 36500 - amount * percent * days) <= Decimal("0.005") * 36500


@given(amounts, percents, lengths, st.integers(1, 100))
def test_more_money_days_or_percent_never_bear_less(amount, percent, days, more):
    base = interest_on([interest_period(amount, days)], percent=percent, currency="EUR")
    assert interest_on([interest_period(amount + more, days)], percent=percent, currency="EUR") >= base
    assert interest_on([interest_period(amount, days + more)], percent=percent, currency="EUR") >= base
    assert interest_on([interest_period(amount, days)], percent=percent + more, currency="EUR") >= base


@given(amounts, percents, st.lists(lengths, min_size=2, max_size=6))
def test_splitting_an_interest_period_changes_nothing(amount, percent, parts):
    since, cut = START, []
    for days in parts:
        cut.append(interest_period(amount, days, since))
        since += timedelta(days=days)
    whole = interest_on([interest_period(amount, sum(parts))], percent=percent, currency="EUR")
    assert interest_on(cut, percent=percent, currency="EUR") == whole


def test_nothing_bears_nothing():
    assert interest_on([], percent=Decimal(9), currency="EUR") == 0
