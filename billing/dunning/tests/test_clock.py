"""Days that count and amounts that may be asked for: examples, and properties of every pause."""

import itertools
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing.dunning.core.clock import Hold, collectable, days_late, interest_periods

DUE = date(2026, 1, 31)
HUNDRED = Decimal("100.00")

days = st.dates(date(2026, 1, 1), date(2026, 12, 31))
cents = st.decimals(Decimal("0.01"), Decimal("500.00"), places=2)


@st.composite
def holds(draw) -> Hold:
    starts_on = draw(days)
    ends_on = draw(st.none() | st.dates(starts_on, date(2027, 1, 31)))
    return Hold(starts_on=starts_on, ends_on=ends_on, amount=draw(st.none() | cents))


def whole(since: int, until: int | None) -> Hold:
    ends_on = None if until is None else DUE + timedelta(days=until)
    return Hold(starts_on=DUE + timedelta(days=since), ends_on=ends_on, amount=None)


def test_days_are_counted_from_the_day_after_the_due_day():
    assert [days_late(DUE, DUE + timedelta(days=n), [], HUNDRED) for n in (-3, 0, 1, 14)] == [-3, 0, 1, 14]


def test_the_clock_of_a_wholly_paused_invoice_stands_still_and_goes_on_after():
    held = [whole(5, 15)]  # ten days, the fifth to the fourteenth
    late = [days_late(DUE, DUE + timedelta(days=n), held, HUNDRED) for n in (4, 5, 14, 15, 20)]
    assert late == [4, 4, 4, 5, 10]


def test_a_disputed_part_leaves_the_rest_collectable_and_its_days_counted():
    held = [Hold(starts_on=DUE, ends_on=None, amount=Decimal("30.00"))]
    assert collectable(HUNDRED, held, DUE) == Decimal("70.00")
    assert days_late(DUE, DUE + timedelta(days=9), held, HUNDRED) == 9


def test_once_the_rest_is_paid_the_disputed_part_has_gathered_no_days():
    held = [Hold(starts_on=DUE + timedelta(days=4), ends_on=None, amount=Decimal("30.00"))]
    assert collectable(Decimal("30.00"), held, DUE + timedelta(days=20)) == 0
    assert days_late(DUE, DUE + timedelta(days=20), held, Decimal("30.00")) == 3


def test_pauses_that_together_cover_everything_stop_the_clock():
    held = [
        Hold(starts_on=DUE, ends_on=None, amount=Decimal("60.00")),
        Hold(starts_on=DUE + timedelta(days=3), ends_on=None, amount=Decimal("40.00")),
    ]
    assert days_late(DUE, DUE + timedelta(days=30), held, HUNDRED) == 2


@given(st.lists(holds(), max_size=5), holds(), days, cents)
def test_one_more_pause_never_makes_anything_later_or_larger(held, more, as_of, amount):
    assert days_late(DUE, as_of, [*held, more], amount) <= days_late(DUE, as_of, held, amount)
    assert 0 <= collectable(amount, [*held, more], as_of) <= collectable(amount, held, as_of) <= amount


@given(st.lists(holds(), max_size=5), days, cents)
def test_days_late_are_those_on_which_something_was_collectable_counted_one_by_one(held, as_of, amount):
    one_by_one = sum(
        collectable(amount, held, DUE + timedelta(days=n)) > 0 for n in range(1, (as_of - DUE).days + 1)
    )
    assert days_late(DUE, as_of, held, amount) == (one_by_one if as_of > DUE else (as_of - DUE).days)


@given(st.lists(holds(), max_size=5), days, cents)
def test_no_day_takes_the_clock_back_or_two_steps_on(held, as_of, amount):
    before = days_late(DUE, as_of, held, amount)
    assert days_late(DUE, as_of + timedelta(days=1), held, amount) - before in {0, 1}


@given(st.lists(holds(), max_size=5), days, st.integers(1, 200), cents)
def test_interest_periods_have_no_gap_or_overlap(held, since, length, amount):
    until = since + timedelta(days=length)
    cut = interest_periods(since, until, held, amount)
    assert (cut[0].since, cut[-1].until) == (since, until)
    assert all(one.until == following.since for one, following in itertools.pairwise(cut))
    assert sum(one.days for one in cut) == length
