"""Seats used at most, and those beyond what is included: against counting at every moment that could matter."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.kernel.ids import uuid7
from billing.subscriptions import queries
from billing.subscriptions.tests.license_makers import (
    make_license,
    make_licensed,
    make_seat,
    make_subscriber,
    make_terms,
)

pytestmark = pytest.mark.django_db

MARCH = (date(2026, 3, 1), date(2026, 4, 1))


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def peak(license, starts_on=MARCH[0], ends_on=MARCH[1]) -> int:
    return queries.peak_seats([license.pk], starts_on, ends_on)[license.pk]


@pytest.mark.parametrize(
    ("_case", "seats", "most"),
    [
        ("none", [], 0),
        ("held through", [((1, 1), None)], 1),
        ("one after the other, handed over at once", [((2, 0), (5, 0)), ((5, 0), (9, 0))], 1),
        ("overlapping for an hour", [((2, 0), (5, 1)), ((5, 0), (9, 0))], 2),
        ("given back the moment it was taken", [((5, 0), (5, 0))], 0),
        ("given back as the period begins", [((0, 0), (1, 0))], 0),
        ("taken as the period ends", [((32, 0), None)], 0),
        ("given back an hour into the period", [((0, 0), (1, 1))], 1),
        ("taken in the last hour of the period", [((31, 23), None)], 1),
    ],
)
def test_the_peak_is_the_most_seats_at_any_moment_of_the_period(_case, seats, most):
    start = at(1) - timedelta(days=1)
    license = make_license()
    for taken, given_back in seats:
        day, hour = taken
        make_seat(
            license,
            start + timedelta(days=day, hours=hour),
            released_at=given_back and start + timedelta(days=given_back[0], hours=given_back[1]),
        )

    assert peak(license) == most


def test_days_are_those_of_the_entitys_time_zone():
    customer, product = make_licensed(time_zone="Asia/Kathmandu")  # midnight is 18:15 UTC of the day before
    license = make_license(entity=customer, product=product)
    make_seat(license, at(14, 18), released_at=datetime(2026, 3, 14, 18, 15, tzinfo=UTC))

    assert peak(license, date(2026, 3, 14), date(2026, 3, 15)) == 1
    assert peak(license, date(2026, 3, 15), date(2026, 3, 16)) == 0


def test_seats_count_only_while_the_licence_is_valid():
    license = make_license(ends_on=date(2026, 2, 1))
    make_seat(license)

    assert peak(license, date(2026, 1, 1), date(2026, 2, 1)) == 1
    assert peak(license) == 0

    make_terms(license, starts_on=date(2026, 4, 10), ends_on=None)

    assert peak(license) == 0  # a renewal does not reach back into a period that was billed
    assert peak(license, date(2026, 4, 1), date(2026, 5, 1)) == 1


def subscribed(**overrides):
    customer, product = make_licensed()
    subscription = make_subscriber(customer, product.entity)
    license = make_license(entity=customer, product=product, subscription=subscription, **overrides)
    return subscription, license


def trued_up(subscription, period=MARCH) -> Decimal:
    return queries.seats_to_true_up({subscription.pk: period})[subscription.pk]


def test_what_one_licence_leaves_unused_does_not_pay_for_another():
    subscription, license = subscribed(seats=5, included_seats=2)
    other = make_license(
        entity=license.entity, product=license.product, subscription=subscription, seats=9, included_seats=9
    )
    for _ in range(5):
        make_seat(license)
    make_seat(other)

    assert trued_up(subscription) == Decimal(3)


def test_the_most_included_in_the_period_is_included():
    subscription, license = subscribed(seats=8, included_seats=2)
    for _ in range(8):
        make_seat(license)
    make_terms(license, starts_on=date(2026, 3, 10), included_seats=7)
    make_terms(license, starts_on=date(2026, 3, 10), included_seats=5)  # the same day: 7 never was in force
    make_terms(license, starts_on=date(2026, 4, 1), included_seats=0)

    assert trued_up(subscription) == Decimal(3)
    assert trued_up(subscription, (date(2026, 4, 1), date(2026, 5, 1))) == Decimal(8)


def test_each_moment_is_trued_up_with_the_subscription_that_paid_for_it():
    first, license = subscribed(seats=6, included_seats=1)
    second = make_subscriber(license.entity, license.product.entity)
    for _ in range(3):
        make_seat(license)
    make_terms(license, starts_on=date(2026, 3, 16), subscription=second)
    for _ in range(2):
        make_seat(license, at(20))

    assert (trued_up(first), trued_up(second)) == (Decimal(2), Decimal(4))
    assert peak(license) == 5


def test_one_query_answers_for_every_subscription_in_its_own_period():
    charged, license = subscribed(included_seats=0)
    make_seat(license, at(20))
    later, other = subscribed(included_seats=0)
    make_seat(other, at(20))
    without, unknown = make_subscriber(license.entity, license.product.entity), uuid7()

    with CaptureQueriesContext(connection) as statements:
        answer = queries.seats_to_true_up(
            {
                charged.pk: MARCH,
                later.pk: (date(2026, 3, 1), date(2026, 3, 20)),
                without.pk: MARCH,
                unknown: MARCH,
            }
        )

    assert len(statements) == 1
    assert answer == {charged.pk: 1, later.pk: 0, without.pk: 0, unknown: 0}
    assert {type(seats) for seats in answer.values()} == {Decimal}
    assert (queries.seats_to_true_up({}), queries.peak_seats([], *MARCH)) == ({}, {})


FIRST = date(2026, 3, 20)  # clocks change within the weeks that follow, in Berlin and before it in none
HOURS = st.integers(min_value=0, max_value=24 * 20)
DAYS = st.integers(min_value=0, max_value=20)
SEATS = st.lists(st.tuples(HOURS, st.none() | HOURS), max_size=9)
TERMS = st.lists(
    st.tuples(DAYS, st.none() | st.integers(1, 12), st.integers(0, 4), st.integers(0, 2)), max_size=4
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York"])


def slow_answer(license, payers, payer, starts_on: date, ends_on: date) -> tuple[int, int]:
    """(most seats, most included) by looking at every moment at which either may have risen."""
    zone = ZoneInfo(license.entity.time_zone)
    midnight = [
        datetime.combine(starts_on + timedelta(days=n), time.min, zone).astimezone(UTC)
        for n in range((ends_on - starts_on).days + 1)
    ]
    seats, terms = list(license.assignments.all()), list(license.terms.order_by("number"))
    moments = {*midnight, *(seat.assigned_at for seat in seats)}
    most = included = 0
    for moment in moments:
        if not midnight[0] <= moment < midnight[-1]:
            continue
        day = moment.astimezone(zone).date()
        started = [t for t in terms if t.starts_on <= day]
        if not started or (started[-1].ends_on and day >= started[-1].ends_on):
            continue
        if payer is not None and started[-1].subscription_id != payers[payer].pk:
            continue
        held = [
            s for s in seats if s.assigned_at <= moment and (s.released_at is None or moment < s.released_at)
        ]
        most, included = max(most, len(held)), max(included, started[-1].included_seats)
    return most, included


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(zone=ZONES, terms=TERMS, seats=SEATS, period=st.tuples(DAYS, DAYS))
def test_agrees_with_counting_at_every_moment(zone, terms, seats, period):
    customer, product = make_licensed(time_zone=zone)
    payers = [make_subscriber(customer, product.entity) for _ in range(2)]
    payers.append(None)
    starts_on, ends_on = (FIRST + timedelta(days=n) for n in sorted(period))
    license = make_license(
        entity=customer, product=product, subscription=payers[0], included_seats=1, starts_on=FIRST
    )
    for day, lasts, included, payer in sorted(terms, key=lambda term: term[0]):
        from_day = FIRST + timedelta(days=day)
        make_terms(
            license,
            starts_on=from_day,
            ends_on=lasts and from_day + timedelta(days=lasts),
            included_seats=included,
            subscription=payers[payer],
        )
    opening = datetime.combine(FIRST, time.min, UTC)
    for taken, lasts in seats:
        since = opening + timedelta(hours=taken)
        until = None if lasts is None else since + timedelta(hours=lasts)
        make_seat(license, since, released_at=until)

    assert peak(license, starts_on, ends_on) == slow_answer(license, payers, None, starts_on, ends_on)[0]
    for index in (0, 1):
        most, included = slow_answer(license, payers, index, starts_on, ends_on)
        assert trued_up(payers[index], (starts_on, ends_on)) == max(0, most - included)
