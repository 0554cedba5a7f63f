from calendar import monthrange
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kernel.errors import Invalid
from billing.kernel.money import EXACT, minor_unit, round_half_up
from billing.subscriptions.core.periods import Cycle, Interval, Period
from billing.subscriptions.core.proration import fraction_text, prorated

ONE_DAY = timedelta(days=1)

days = st.dates(date(2000, 1, 1), date(2100, 12, 31))
intervals = st.sampled_from(Interval)
counts = st.integers(1, 12)
alignments = st.sampled_from([Cycle.anniversary, Cycle.calendar])
amounts = st.decimals(-(10**9), 10**9, places=12, allow_nan=False)


@st.composite
def cycles(draw):
    return draw(alignments)(draw(intervals), draw(counts), draw(days))


@st.composite
def partitions(draw):
    """A whole period, cut into parts that leave nothing out."""
    start = draw(days)
    whole = Period(start, start + timedelta(days=draw(st.integers(1, 800))))
    cuts = draw(st.sets(st.integers(1, whole.days - 1), max_size=6)) if whole.days > 1 else set()
    edges = [whole.starts_on, *(whole.starts_on + timedelta(days=cut) for cut in sorted(cuts)), whole.ends_on]
    return whole, [Period(*pair) for pair in pairwise(edges)]


def span(starts_on: str, ends_on: str) -> Period:
    return Period(date.fromisoformat(starts_on), date.fromisoformat(ends_on))


# Periods


def test_a_period_includes_its_first_day_and_excludes_its_last():
    period = span("2026-02-01", "2026-03-01")
    assert period.days == 28
    assert date(2026, 2, 1) in period
    assert date(2026, 2, 28) in period
    assert date(2026, 3, 1) not in period
    assert date(2026, 1, 31) not in period
    assert str(period) == "[2026-02-01, 2026-03-01)"


@pytest.mark.parametrize("ends_on", ["2026-02-01", "2026-01-31"])
def test_a_period_has_at_least_one_day(ends_on):
    with pytest.raises(Invalid):
        span("2026-02-01", ends_on)


@given(days, st.integers(1, 60), days, st.integers(1, 60))
def test_an_overlap_is_the_days_both_have(start, length, other_start, other_length):
    other_start = start + (other_start - start) % timedelta(days=80) - timedelta(days=40)
    one = Period(start, start + timedelta(days=length))
    other = Period(other_start, other_start + timedelta(days=other_length))
    shared = [day for day in each_day(one) if day in other]
    overlap = one.overlap(other)
    assert overlap == other.overlap(one)
    assert (list(each_day(overlap)) if overlap else []) == shared


def each_day(period: Period):
    return (period.starts_on + timedelta(days=n) for n in range(period.days))


# Cycles


@given(cycles(), st.integers(-8, 8))
def test_boundaries_rise_and_their_periods_meet(cycle, n):
    assert cycle.boundary(n) < cycle.boundary(n + 1)
    period = Period(cycle.boundary(n), cycle.boundary(n + 1))
    assert cycle.period_of(period.starts_on) == period
    assert cycle.period_of(period.ends_on - ONE_DAY) == period
    assert cycle.period_after(period) == Period(cycle.boundary(n + 1), cycle.boundary(n + 2))


@given(cycles(), days)
def test_every_day_is_in_its_period_and_in_neither_neighbour(cycle, day):
    period = cycle.period_of(day)
    assert day in period
    assert day not in cycle.period_after(period)
    assert day not in cycle.period_of(period.starts_on - ONE_DAY)
    assert cycle.period_of(period.starts_on - ONE_DAY).ends_on == period.starts_on


@given(intervals, counts, days)
def test_an_anniversary_is_a_boundary_of_its_own_cycle(interval, count, day):
    cycle = Cycle.anniversary(interval, count, day)
    assert cycle.boundary(0) == day
    assert cycle.period_of(day).starts_on == day


@given(st.sampled_from(["month", "year"]), counts, days, st.integers(-8, 8))
def test_a_boundary_keeps_the_anchors_day_or_ends_the_month(interval, count, anchor, n):
    boundary = Cycle(interval, count, anchor).boundary(n)
    last = monthrange(boundary.year, boundary.month)[1]
    assert boundary.day == min(anchor.day, last)
    months = (boundary.year - anchor.year) * 12 + boundary.month - anchor.month
    assert months == n * count * (12 if interval == "year" else 1)


@given(st.sampled_from([("day", 1), ("week", 7)]), counts, days, st.integers(-50, 50))
def test_days_and_weeks_are_counted(interval, count, anchor, n):
    name, length = interval
    assert Cycle(name, count, anchor).boundary(n) == anchor + timedelta(days=n * count * length)


def forty_years(cycle: Cycle) -> list[Period]:
    return list(cycle.periods(date(2000, 1, 1), date(2040, 1, 1)))


@pytest.mark.parametrize(
    ("interval", "count", "anchor"),
    [
        *[("month", 1, date(2000, 1, day)) for day in (1, 15, 28, 29, 30, 31)],
        *[("month", count, date(1999, 8, 31)) for count in (2, 3, 5, 6, 7)],
        *[("year", count, date(2004, 2, 29)) for count in (1, 2, 3, 4)],
        ("week", 1, date(2011, 5, 5)),
        ("week", 2, date(2030, 1, 7)),
        ("day", 1, date(2000, 1, 1)),
        ("day", 30, date(2000, 2, 29)),
    ],
)
def test_forty_years_have_no_gap_no_overlap_and_no_drift(interval, count, anchor):
    cycle = Cycle(interval, count, anchor)
    periods = forty_years(cycle)
    assert all(one.ends_on == following.starts_on for one, following in pairwise(periods))
    assert date(2000, 1, 1) in periods[0]
    assert date(2039, 12, 31) in periods[-1]
    in_order = iter(periods)
    period = next(in_order)
    day = date(2000, 1, 1)
    while day < date(2040, 1, 1):
        if day == period.ends_on:
            period = next(in_order)
        assert day in period
        assert cycle.period_of(day) == period
        day += ONE_DAY
    if interval in ("month", "year"):
        for period in periods:
            last = monthrange(period.starts_on.year, period.starts_on.month)[1]
            assert period.starts_on.day == min(anchor.day, last)


def test_the_31st_is_clamped_and_comes_back():
    cycle = Cycle.anniversary("month", 1, date(2027, 1, 31))
    assert [cycle.boundary(n) for n in range(-2, 5)] == [
        date(2026, 11, 30),
        date(2026, 12, 31),
        date(2027, 1, 31),
        date(2027, 2, 28),
        date(2027, 3, 31),
        date(2027, 4, 30),
        date(2027, 5, 31),
    ]
    assert cycle.boundary(13) == date(2028, 2, 29)
    assert cycle.period_of(date(2027, 2, 27)) == span("2027-01-31", "2027-02-28")
    assert cycle.period_of(date(2027, 2, 28)) == span("2027-02-28", "2027-03-31")
    assert cycle.period_of(date(2027, 3, 30)) == span("2027-02-28", "2027-03-31")


def test_29_february_is_28_in_common_years_and_itself_in_leap_years():
    cycle = Cycle.anniversary("year", 1, date(2024, 2, 29))
    assert [cycle.boundary(n) for n in range(5)] == [
        date(2024, 2, 29),
        date(2025, 2, 28),
        date(2026, 2, 28),
        date(2027, 2, 28),
        date(2028, 2, 29),
    ]


@pytest.mark.parametrize(
    ("_case", "interval", "count", "starts_on", "expected"),
    [
        ("a month", "month", 1, date(2026, 5, 17), span("2026-05-01", "2026-06-01")),
        ("a quarter", "month", 3, date(2026, 5, 17), span("2026-04-01", "2026-07-01")),
        ("a half-year", "month", 6, date(2026, 12, 31), span("2026-07-01", "2027-01-01")),
        ("a year", "year", 1, date(2026, 5, 17), span("2026-01-01", "2027-01-01")),
        ("two years", "year", 2, date(2026, 5, 17), span("2026-01-01", "2028-01-01")),
        ("a week, from Sunday", "week", 1, date(2026, 5, 17), span("2026-05-11", "2026-05-18")),
        ("a week, from Monday", "week", 1, date(2026, 5, 18), span("2026-05-18", "2026-05-25")),
        ("two weeks", "week", 2, date(2026, 5, 17), span("2026-05-11", "2026-05-25")),
        ("ten days", "day", 10, date(2026, 5, 17), span("2026-05-17", "2026-05-27")),
    ],
)
def test_calendar_periods_lie_on_the_calendars_edges(_case, interval, count, starts_on, expected):
    assert Cycle.calendar(interval, count, starts_on).period_of(starts_on) == expected


def test_after_a_stub_comes_the_whole_period_that_begins_where_it_ends():
    cycle = Cycle.calendar("month", 1, date(2026, 5, 17))
    assert cycle.period_after(span("2026-05-17", "2026-06-01")) == span("2026-06-01", "2026-07-01")


def test_the_periods_of_a_span_are_those_that_touch_it():
    cycle = Cycle.calendar("month", 1, date(2026, 1, 1))
    touched = list(cycle.periods(date(2026, 1, 31), date(2026, 3, 1)))
    assert touched == [span("2026-01-01", "2026-02-01"), span("2026-02-01", "2026-03-01")]
    assert len(list(cycle.periods(date(2026, 1, 31), date(2026, 3, 2)))) == 3
    assert list(cycle.periods(date(2026, 3, 1), date(2026, 3, 1))) == []
    assert list(cycle.periods(date(2026, 3, 2), date(2026, 3, 1))) == []


@pytest.mark.parametrize(
    ("interval", "count", "anchor"),
    [
        ("fortnight", 1, date(2026, 1, 1)),
        ("", 1, date(2026, 1, 1)),
        ("month", 0, date(2026, 1, 1)),
        ("month", -1, date(2026, 1, 1)),
        ("month", True, date(2026, 1, 1)),
        ("month", 1.0, date(2026, 1, 1)),
        ("month", 1, date(1899, 12, 31)),
        ("month", 1, date(3000, 1, 1)),
    ],
)
def test_what_is_no_cycle_is_refused(interval, count, anchor):
    with pytest.raises(Invalid):
        Cycle(interval, count, anchor)


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize("n", [10**6, -(10**6), 10**30, -(10**30)])
def test_boundaries_beyond_our_years_are_refused(interval, n):
    with pytest.raises(Invalid):
        Cycle(interval, 1, date(2026, 1, 31)).boundary(n)


def test_the_first_and_the_last_boundary_are_in_our_years():
    monthly = Cycle("month", 1, date(1900, 1, 1))
    assert monthly.boundary(1100 * 12 - 1) == date(2999, 12, 1)
    daily = Cycle("day", 1, date(2999, 12, 31))
    assert daily.boundary(0) == date(2999, 12, 31)
    for cycle, n in [(monthly, -1), (monthly, 1100 * 12), (daily, 1)]:
        with pytest.raises(Invalid):
            cycle.boundary(n)
    with pytest.raises(Invalid):
        monthly.period_of(date(2999, 12, 31))


# Proration


@given(partitions(), amounts)
def test_the_parts_of_a_period_cost_what_the_whole_costs(partition, amount):
    whole, parts = partition
    shares = [Fraction(amount) * part.days / whole.days for part in parts]
    assert sum(shares) == Fraction(amount)
    for part, share in zip(parts, shares, strict=True):
        assert abs(Fraction(prorated(amount, part, whole)) - share) < Fraction(1, 10**45)


@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])
@given(partition=partitions(), amount=amounts)
def test_rounded_parts_are_within_half_a_unit_each(currency, partition, amount):
    whole, parts = partition
    half = Fraction(minor_unit(currency)) / 2
    rounded = [Fraction(round_half_up(prorated(amount, part, whole), currency)) for part in parts]
    for part, net in zip(parts, rounded, strict=True):
        assert abs(net - Fraction(amount) * part.days / whole.days) <= half
    assert abs(sum(rounded) - Fraction(amount)) <= half * len(parts)


@given(partitions(), amounts)
def test_a_whole_period_costs_exactly_the_amount(partition, amount):
    whole, _parts = partition
    assert prorated(amount, whole, whole) == amount


def test_proration_divides_last():
    """A third of a year's 12.00 is 4, not 3.999…: 12.00 × 122 ÷ 366."""
    assert prorated(Decimal("12.00"), span("2024-01-01", "2024-05-02"), span("2024-01-01", "2025-01-01")) == 4


def test_proration_keeps_sixty_digits_whatever_the_surrounding_context():
    used, whole = span("2026-01-01", "2026-01-02"), span("2026-01-01", "2026-01-08")
    assert prorated(Decimal(1), used, whole) == EXACT.divide(Decimal(1), Decimal(7))


@pytest.mark.parametrize(
    ("_case", "used"),
    [
        ("begins before", span("2026-03-31", "2026-04-10")),
        ("ends after", span("2026-04-10", "2026-05-02")),
        ("is elsewhere", span("2026-06-01", "2026-06-02")),
        ("is larger", span("2026-03-01", "2026-06-01")),
    ],
)
def test_what_is_used_lies_inside_the_whole(_case, used):
    april = span("2026-04-01", "2026-05-01")
    with pytest.raises(ValueError, match="is not inside"):
        prorated(Decimal(1), used, april)
    with pytest.raises(ValueError, match="is not inside"):
        fraction_text(used, april)


def test_the_fraction_shows_the_days_and_is_not_reduced():
    april = span("2026-04-01", "2026-05-01")
    assert fraction_text(span("2026-04-19", "2026-05-01"), april) == "12/30"
    assert fraction_text(april, april) == "30/30"
