"""What was used in a period is read from sums that move with the events, and says the same as the events."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.access.roles import Role
from billing.entities.tests.makers import make_department, make_grant
from billing.kernel.invariant_checks import find_violations
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.usage import services, totals
from billing.usage.errors import UsageTooDetailed
from billing.usage.models import Aggregation, UsageEvent, UsageRollup, UsageUnique
from billing.usage.tests.makers import NOON, make_customer, make_meter, make_report
from billing.usage.totals import Granularity

YEAR = {"starts_on": date(2024, 1, 1), "ends_on": date(2025, 1, 1)}


def record(*reports, as_of=NOON):
    outcomes = services.record_usage(actor="test", events=list(reports), as_of=as_of, allow_old=True)
    assert {outcome.status for outcome in outcomes} <= {"accepted", "duplicate"}, outcomes
    return outcomes


def viewer_of(entity):
    return make_grant(role=Role.VIEWER, entity=entity).user


def used(customer, **question):
    """(code, starts_on, group, currency) -> quantity."""
    question = YEAR | {"entity": customer} | question
    rows = totals.usage_totals(viewer_of(customer), **question)
    return {
        (row["code"], row["starts_on"].isoformat(), *row["group"].values(), row["currency"]): row["quantity"]
        for row in rows
    }


def on(day, hour=0):
    return datetime(2024, 9, day, hour, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("aggregation", "first_week", "second_week", "both"),
    [("sum", 8, 4, 12), ("count", 2, 2, 4), ("max", 5, 3, 5), ("latest", 3, 1, 1), ("unique_count", 2, 2, 3)],
)
def test_each_aggregation_is_exact_over_any_period(aggregation, first_week, second_week, both):
    unique = aggregation == "unique_count"
    meter = make_meter(aggregation=aggregation, counted_property="user" if unique else "")
    customer = make_customer(meter)
    for day, quantity, user in ((1, 5, "a"), (7, 3, "b"), (8, 3, "b"), (9, 1, "c")):
        record(
            make_report(
                meter=meter,
                entity=customer,
                occurred_at=on(day),
                quantity=Decimal(quantity),
                properties={"user": user},
            )
        )
    weeks = (date(2024, 9, 1), date(2024, 9, 8), date(2024, 9, 15))

    found = [
        list(used(customer, starts_on=start, ends_on=end).values())
        for start, end in ((weeks[0], weeks[1]), (weeks[1], weeks[2]), (weeks[0], weeks[2]))
    ]

    assert found == [[first_week], [second_week], [both]]
    assert_invariants_hold()


@pytest.mark.django_db
def test_is_told_in_all_by_month_or_by_day_within_the_period():
    meter = make_meter(code="m")
    customer = make_customer(meter)
    for day in (date(2024, 8, 30), date(2024, 8, 31), date(2024, 9, 1), date(2024, 9, 2)):
        record(
            make_report(
                meter=meter, entity=customer, occurred_at=datetime(day.year, day.month, day.day, tzinfo=UTC)
            )
        )
    period = {"starts_on": date(2024, 8, 31), "ends_on": date(2024, 9, 2), "entity": customer}

    def told(granularity):
        rows = totals.usage_totals(viewer_of(customer), **period, granularity=granularity)
        return [(str(row["starts_on"]), str(row["ends_on"]), row["quantity"]) for row in rows]

    assert told(Granularity.TOTAL) == [("2024-08-31", "2024-09-02", 2)]
    assert told(Granularity.MONTH) == [("2024-08-31", "2024-09-01", 1), ("2024-09-01", "2024-09-02", 1)]
    assert told(Granularity.DAY) == told(Granularity.MONTH)


@pytest.mark.django_db
def test_groups_are_counted_by_themselves_and_together():
    meter = make_meter(code="m", aggregation="max", group_by=["region", "tier"])
    customer = make_customer(meter)
    for quantity, properties in (
        (3, {"region": "eu", "tier": 1}),
        (5, {"tier": 1, "region": "eu", "other": "x"}),
        (4, {"region": "us", "tier": True}),
        (2, {}),
        (1, {"region": "", "tier": None}),
    ):
        record(make_report(meter=meter, entity=customer, quantity=Decimal(quantity), properties=properties))

    grouped = totals.usage_totals(viewer_of(customer), entity=customer, by_group=True, **YEAR)

    assert {(row["group"]["region"], row["group"]["tier"]): row["quantity"] for row in grouped} == {
        ("eu", "1"): 5,
        ("us", "true"): 4,
        ("", ""): 2,
    }
    assert list(used(customer).values()) == [5]
    assert len(set(UsageEvent.objects.values_list("group_key", flat=True))) == 3
    assert_invariants_hold()


@pytest.mark.django_db
def test_what_matches_no_filter_is_kept_and_not_counted():
    wanted = [{"property": "region", "values": ["eu", "us"]}, {"property": "paid", "values": ["true"]}]
    meter = make_meter(filters=wanted, group_by=["region"])
    customer = make_customer(meter)

    record(
        *(
            make_report(meter=meter, entity=customer, properties=properties)
            for properties in (
                {"region": "eu", "paid": True},
                {"region": "us", "paid": "true"},
                {"region": "asia", "paid": True},
                {"region": "eu", "paid": False},
                {"region": "eu"},
                {"region": ["eu"], "paid": True},
                {},
            )
        )
    )

    assert list(used(customer).values()) == [2]
    assert UsageEvent.objects.filter(counts=True).count() == 2
    assert set(UsageEvent.objects.filter(counts=False).values_list("group_key", flat=True)) == {""}
    assert UsageEvent.objects.count() == 7
    assert_invariants_hold()


@pytest.mark.django_db
def test_of_one_moment_the_later_recorded_is_the_latest_whatever_comes_when():
    meter = make_meter(aggregation="latest")
    customer = make_customer(meter)
    reports = [
        make_report(meter=meter, entity=customer, occurred_at=on(2, hour), quantity=Decimal(quantity))
        for hour, quantity in ((10, 1), (12, 2), (12, 3), (11, 4))
    ]

    for report in reports:
        record(report)

    assert list(used(customer).values()) == [3]
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_reader_of_one_department_sees_its_part():
    meter = make_meter(aggregation="unique_count", counted_property="user")
    customer = make_customer(meter)
    theirs, other = make_department(entity=customer), make_department(entity=customer)
    for department, user in ((theirs, "a"), (theirs, "b"), (other, "a"), (other, "c"), (None, "d")):
        record(make_report(meter=meter, entity=customer, department=department, properties={"user": user}))
    owner = make_grant(role=Role.VIEWER, entity=customer, department=theirs).user

    [row] = totals.usage_totals(owner, entity=customer, **YEAR)

    assert (row["quantity"], row["event_count"]) == (2, 2)
    assert list(used(customer).values()) == [4]


@pytest.mark.django_db
def test_currencies_stay_apart_and_corrections_are_subtracted():
    meter = make_meter(code="m", allows_negative=True)
    customer = make_customer(meter)
    record(
        make_report(meter=meter, entity=customer, quantity=Decimal(5)),
        make_report(meter=meter, entity=customer, quantity=Decimal(-2)),
        make_report(meter=meter, entity=customer, quantity=Decimal(1), cost=Decimal("0.1"), currency="USD"),
        make_report(meter=meter, entity=customer, quantity=Decimal(1), cost=Decimal("0.2"), currency="USD"),
    )

    rows = totals.usage_totals(viewer_of(customer), entity=customer, **YEAR)

    assert [(row["currency"], row["quantity"], row["cost"]) for row in rows] == [
        ("", 3, None),
        ("USD", 2, Decimal("0.3")),
    ]
    assert_invariants_hold()


@pytest.mark.django_db
def test_sums_are_wider_than_any_event():
    meter = make_meter()
    customer = make_customer(meter)

    record(*(make_report(meter=meter, entity=customer, quantity=Decimal(10) ** 16 - 1) for _ in range(3)))

    assert list(used(customer).values()) == [3 * (Decimal(10) ** 16 - 1)]
    assert_invariants_hold()


@pytest.mark.django_db
def test_an_answer_of_too_many_rows_is_refused(monkeypatch):
    monkeypatch.setattr(totals, "ROWS_MAX", 1)
    meter = make_meter()
    customer = make_customer(meter)
    record(*(make_report(meter=meter, entity=customer, occurred_at=on(day)) for day in (1, 2)))

    with pytest.raises(UsageTooDetailed):
        used(customer, granularity=Granularity.DAY)

    assert list(used(customer).values()) == [2]


@pytest.mark.django_db
def test_no_number_of_events_makes_the_answer_dearer():
    meter = make_meter(aggregation="unique_count", counted_property="user")
    customer = make_customer(meter)
    user = viewer_of(customer)

    def statements(count):
        record(
            *(
                make_report(meter=meter, entity=customer, properties={"user": f"{count} {i}"})
                for i in range(count)
            )
        )
        with CaptureQueriesContext(connection) as queries:
            totals.usage_totals(user, entity=customer, **YEAR)
        assert not any("usage_events" in query["sql"] for query in queries)
        return len(queries)

    statements(1)
    assert statements(2) == statements(50) == 2


METERS = {
    Aggregation.SUM: {"allows_negative": True},
    Aggregation.COUNT: {"filters": [{"property": "user", "values": ["a", "b"]}]},
    Aggregation.MAX: {"group_by": ["region"]},
    Aggregation.LATEST: {"group_by": ["region"]},
    Aggregation.UNIQUE_COUNT: {"counted_property": "user", "group_by": ["region"]},
}
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(METERS)),
        st.integers(0, 70),  # days after 1 July
        st.integers(0, 2),  # hours
        st.decimals(0, 9, places=3),
        st.sampled_from("abcd"),
        st.sampled_from(["eu", "us", None]),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(EVENTS, min_size=1, max_size=3), start=st.integers(0, 60), days=st.integers(1, 40))
def test_the_sums_say_what_the_events_say(batches, start, days):
    seller = make_meter().entity
    meters = {
        kind: make_meter(entity=seller, code=kind, aggregation=kind, **definition)
        for kind, definition in METERS.items()
    }
    customer = make_customer(meters[Aggregation.SUM])
    department = make_department(entity=customer)
    for batch in batches:
        record(
            *(
                make_report(
                    meter=meters[kind],
                    entity=customer,
                    department=department if in_department else None,
                    occurred_at=datetime(2024, 7, 1, hour, tzinfo=UTC) + timedelta(days=day),
                    quantity=-quantity if kind == Aggregation.SUM and in_department else quantity,
                    properties={"user": user} | ({"region": region} if region else {}),
                )
                for kind, day, hour, quantity, user, region, in_department in batch
            )
        )
    first = date(2024, 7, 1) + timedelta(days=start)
    period = {"starts_on": first, "ends_on": first + timedelta(days=days)}

    for by_group in (False, True):
        for granularity in Granularity:
            rows = totals.usage_totals(
                viewer_of(customer), entity=customer, by_group=by_group, granularity=granularity, **period
            )
            found = {
                (row["code"], row["starts_on"], row["group"].get("region")): row["quantity"] for row in rows
            }
            assert found == _from_events(customer, by_group, granularity, **period)
    assert_invariants_hold()


def _from_events(customer, by_group, granularity, starts_on, ends_on):
    """The same, event by event."""
    buckets = defaultdict(list)
    for event in UsageEvent.objects.filter(entity=customer).select_related("meter"):
        meter, user = event.meter.code, event.properties["user"]
        if not starts_on <= event.billed_on < ends_on or (meter == "count" and user not in "ab"):
            continue
        bucket = {
            Granularity.TOTAL: starts_on,
            Granularity.DAY: event.billed_on,
            Granularity.MONTH: max(event.billed_on.replace(day=1), starts_on),
        }[granularity]
        grouped = by_group and meter in ("max", "latest", "unique_count")
        region = event.properties.get("region", "") if grouped else None
        buckets[meter, bucket, region].append(event)
    reduced = {
        "sum": lambda events: sum(event.quantity for event in events),
        "count": len,
        "max": lambda events: max(event.quantity for event in events),
        "latest": lambda events: max(events, key=lambda event: (event.occurred_at, event.pk)).quantity,
        "unique_count": lambda events: len({event.properties["user"] for event in events}),
    }
    return {key: reduced[key[0]](events) for key, events in buckets.items()}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("aggregation", Aggregation.values)
def test_the_second_of_two_waits_and_adds_to_what_the_first_left(aggregation):
    unique = aggregation == "unique_count"
    meter = make_meter(aggregation=aggregation, counted_property="user" if unique else "")
    customer = make_customer(meter)
    first, second = (
        make_report(
            meter=meter,
            entity=customer,
            occurred_at=on(1, hour),
            quantity=Decimal(quantity),
            properties={"user": "same"},
        )
        for hour, quantity in ((2, 5), (1, 3))
    )

    with transaction.atomic():
        record(first)
        rival = start_rival(lambda: record(second))
    rival.result(timeout=5)

    expected = {"sum": 8, "count": 2, "max": 5, "latest": 5, "unique_count": 1}[aggregation]
    assert list(used(customer).values()) == [expected]
    assert UsageRollup.objects.get().event_count == 2
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("tampering", "invariant"),
    [
        ("UPDATE usage_rollups SET quantity = quantity + 1", "U6"),
        ("UPDATE usage_rollups SET latest_at = now()", "U6"),
        ("INSERT INTO usage_uniques SELECT id + 1000, 'z', billed_on, currency, group_key, department_id, entity_id, meter_id FROM usage_uniques", "U7"),
        ("UPDATE usage_events SET counts = false", "U6 U7 U8"),
        ("UPDATE usage_events SET group_key = 'x'", "U6 U7 U8"),
    ],
)  # fmt: skip
def test_a_sum_that_is_not_that_of_the_events_is_found(tampering, invariant):
    meter = make_meter(aggregation="unique_count", counted_property="user", group_by=["region"])
    record(make_report(meter=meter, properties={"user": "a", "region": "eu"}))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(tampering)
        cursor.execute("SET LOCAL session_replication_role = origin")

    broken = [finding.invariant for finding in find_violations("usage") if finding.violations]

    assert " ".join(name[:2] for name in broken) == invariant


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM usage_rollups",
        "TRUNCATE usage_rollups",
        "DELETE FROM usage_uniques",
        "TRUNCATE usage_uniques",
    ],
)
def test_sums_are_never_deleted(statement):
    record(
        make_report(meter=make_meter(aggregation="unique_count", counted_property="u"), properties={"u": "a"})
    )
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert (UsageRollup.objects.count(), UsageUnique.objects.count()) == (1, 1)
