"""Quotas on every aggregation: what fits, what a window has counted, and which thresholds were reached."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.kernel.invariant_checks import find_violations
from billing.kernel.models import OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.usage import queries, services
from billing.usage.errors import QuotaOutOfRange
from billing.usage.models import Quota, QuotaAlert, QuotaCounter, QuotaMode, QuotaWindow, UsageEvent
from billing.usage.tests.makers import NOON, make_customer, make_meter, make_quota, make_report

OK, EXCEEDED, WARNED = "accepted", "quota-exceeded", "accepted quota-exceeded"


def make_quota_on(aggregation, limit, *, meter=None, **overrides):
    unique = {"counted_property": "user"} if aggregation == "unique_count" else {}
    meter = make_meter(aggregation=aggregation, **unique | (meter or {}))
    return make_quota(meter=meter, limit_quantity=Decimal(limit), **overrides)


def under(quota, given, *, hour=12, day=15, **overrides):
    """`given`: the quantity, or the value of a unique count."""
    if quota.meter.aggregation == "unique_count":
        overrides.setdefault("properties", {"user": given})
        given = 1
    return make_report(
        meter=quota.meter,
        entity=quota.entity,
        quantity=Decimal(given),
        occurred_at=datetime(2024, 9, day, hour, tzinfo=UTC),
        **overrides,
    )


def record(*reports):
    outcomes = services.record_usage(actor="test", events=list(reports), as_of=NOON + timedelta(days=10))
    return [
        outcome.code if outcome.status == "rejected" else f"{outcome.status} {outcome.code}".strip()
        for outcome in outcomes
    ]


def used():
    return list(QuotaCounter.objects.order_by("starts_on").values_list("used_quantity", flat=True))


def alerts():
    return list(
        QuotaAlert.objects.order_by("starts_on", "threshold").values_list("threshold", "used_quantity")
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("aggregation", "limit", "given", "answers", "left"),
    [
        ("sum", 10, (6, 5, 4), (OK, EXCEEDED, OK), 10),
        ("count", 2, (6, 5, 4), (OK, OK, EXCEEDED), 2),
        ("max", 5, (4, 6, 5, 5, 1), (OK, EXCEEDED, OK, OK, OK), 5),
        ("latest", 5, (4, 6, 5, 1), (OK, EXCEEDED, OK, OK), 1),
        ("unique_count", 2, ("a", "b", "c", "a"), (OK, OK, EXCEEDED, OK), 2),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_what_fits_is_what_the_aggregation_makes_of_it(aggregation, limit, given, answers, left, at_once):
    quota = make_quota_on(aggregation, limit)
    reports = [under(quota, amount, hour=hour) for hour, amount in enumerate(given)]

    said = record(*reports) if at_once else [record(report)[0] for report in reports]

    assert said == list(answers)
    assert used() == [left]
    assert UsageEvent.objects.count() == answers.count(OK)
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("aggregation", "given", "now"),
    [
        ("sum", (3, 3), 6),
        ("count", (3, 3), 2),
        ("max", (7, 3), 7),
        ("latest", (7, 3), 3),
        ("unique_count", "ab", 2),
    ],
)
def test_one_that_warns_takes_all_and_says_so(aggregation, given, now):
    quota = make_quota_on(aggregation, 1, mode=QuotaMode.WARN)

    said = [record(under(quota, amount, hour=hour))[0] for hour, amount in enumerate(given)]

    assert said[0 if aggregation in ("sum", "max", "latest") else 1] == WARNED
    assert used() == [now]
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize("aggregation", ["sum", "count", "max", "latest", "unique_count"])
@pytest.mark.parametrize("window", QuotaWindow.values)
def test_set_anew_it_counts_the_same(aggregation, window):
    quota = make_quota_on(aggregation, 100, window=window)
    for day, given in ((1, "3"), (1, "7"), (2, "3"), (30, "5")):
        assert record(under(quota, given, day=min(day, 20), hour=int(given))) == [OK]
    before = list(QuotaCounter.objects.order_by("starts_on").values_list("starts_on", "used_quantity"))

    services.set_quota(
        actor="test",
        entity_id=quota.entity_id,
        meter_id=quota.meter_id,
        limit_quantity=Decimal(90),
        window=window,
    )

    assert (
        list(QuotaCounter.objects.order_by("starts_on").values_list("starts_on", "used_quantity")) == before
    )
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_level_is_held_to_a_lowered_limit_at_once():
    quota = make_quota_on("latest", 10)
    record(under(quota, 9, hour=1))
    lowered = make_quota(meter=quota.meter, entity=quota.entity, limit_quantity=Decimal(4))

    said = record(under(lowered, 5, hour=2), under(lowered, 4, hour=3), under(lowered, 5, hour=4))

    assert said == [EXCEEDED, OK, EXCEEDED]
    counter = QuotaCounter.objects.get()
    assert (counter.used_quantity, counter.ceiling) == (4, 4)
    assert_invariants_hold()


@pytest.mark.django_db
def test_an_earlier_level_reported_later_is_not_the_latest():
    quota = make_quota_on("latest", 10)

    assert record(under(quota, 5, hour=2)) == record(under(quota, 9, hour=1)) == [OK]

    assert used() == [5]
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("window", "said"), [("day", [OK, OK, EXCEEDED, OK]), ("month", [OK, OK, OK, EXCEEDED]), ("ever", [OK, OK, OK, EXCEEDED])]
)  # fmt: skip
def test_a_value_is_new_once_per_window(window, said):
    quota = make_quota_on("unique_count", 2 if window != "day" else 1, window=window)
    given = [("a", 1), ("a", 2), ("b", 2), ("c", 3)]

    assert [record(under(quota, value, day=day))[0] for value, day in given] == said
    assert_invariants_hold()


@pytest.mark.django_db
def test_what_the_filters_leave_out_takes_nothing():
    quota = make_quota_on("sum", 1, meter={"filters": [{"property": "paid", "values": ["true"]}]})

    said = record(*(under(quota, 1, properties={"paid": paid}) for paid in (False, True, False, True)))

    assert said == [OK, OK, OK, EXCEEDED]
    assert used() == [1]
    assert_invariants_hold()


@pytest.mark.django_db
def test_corrections_give_nothing_back():
    quota = make_quota_on("sum", 2, meter={"allows_negative": True})

    assert record(under(quota, 2), under(quota, -2), under(quota, 1)) == [OK, OK, EXCEEDED]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("aggregation", "limit", "first", "second", "said", "left"),
    [
        ("sum", 10, 6, 5, EXCEEDED, 6),
        ("count", 1, 1, 1, EXCEEDED, 1),
        ("max", 9, 5, 3, OK, 5),
        ("latest", 9, 5, 3, OK, 5),
        ("unique_count", 1, "a", "b", EXCEEDED, 1),
        ("unique_count", 1, "a", "a", OK, 1),
    ],
)
def test_the_second_of_two_waits_for_the_counter_and_decides_by_it(
    aggregation, limit, first, second, said, left
):
    quota = make_quota_on(aggregation, limit)
    record(under(quota, 0, day=20, properties={"user": "x"})) if aggregation == "sum" else None
    one, other = under(quota, first, hour=2), under(quota, second, hour=1)

    with transaction.atomic():
        assert record(one) == [OK]
        rival = start_rival(lambda: record(other))

    assert rival.result(timeout=5) == [said]
    assert used() == [left]
    assert_invariants_hold()


# Alerts


@pytest.mark.django_db
def test_an_alert_is_raised_once_when_a_threshold_is_reached_exactly():
    quota = make_quota_on("sum", 10)

    record(under(quota, "7.999999999999"))
    assert alerts() == []
    record(under(quota, "0.000000000001"))
    assert alerts() == [(80, 8)]
    record(under(quota, 1))
    record(under(quota, 1))

    assert alerts() == [(80, 8), (100, 10)]
    first = QuotaAlert.objects.get(threshold=80)
    assert (first.starts_on, first.window, first.limit_quantity) == (date(2024, 9, 1), "month", 10)
    assert first.raised_at == NOON + timedelta(days=10)
    told = OutboxEvent.objects.filter(name="quota.threshold_reached").order_by("pk")
    assert told[0].payload["alert_id"] == str(first.pk)
    assert [event.payload["threshold"] for event in told] == [80, 100]
    assert [event.entity_id for event in told] == [quota.entity_id] * 2
    assert_invariants_hold()


@pytest.mark.django_db
def test_one_batch_may_reach_several_and_each_window_its_own():
    quota = make_quota_on("count", 2, window="day", mode=QuotaMode.WARN, thresholds=[50, 100, 150])

    record(*(under(quota, 1, day=day) for day in (1, 1, 1, 2)))

    assert alerts() == [(50, 3), (100, 3), (150, 3), (50, 1)]
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_level_that_falls_and_rises_again_is_told_once():
    quota = make_quota_on("latest", 10)

    for hour, level in enumerate((9, 1, 9)):
        record(under(quota, level, hour=hour))

    assert alerts() == [(80, 9)]
    assert OutboxEvent.objects.filter(name="quota.threshold_reached").count() == 1
    assert_invariants_hold()


@pytest.mark.django_db
def test_of_a_limit_of_nothing_any_use_is_all():
    quota = make_quota_on("sum", 0, mode=QuotaMode.WARN)

    record(under(quota, 0))
    assert alerts() == []
    record(under(quota, "0.1"))

    assert [threshold for threshold, _ in alerts()] == [80, 100]
    assert_invariants_hold()


@pytest.mark.django_db
def test_what_has_reached_it_when_the_quota_is_set_is_on_record_and_the_newest_window_told():
    meter = make_meter()
    customer = make_customer(meter)
    record(
        *(
            make_report(meter=meter, entity=customer, occurred_at=datetime(2024, month, 5, tzinfo=UTC))
            for month in (7, 8, 9)
        )
    )

    quota = make_quota(meter=meter, entity=customer, limit_quantity=Decimal(1), thresholds=[100])
    make_quota(meter=meter, entity=customer, limit_quantity=Decimal(1), thresholds=[100])

    assert alerts() == [(100, 1)] * 3
    told = OutboxEvent.objects.get(name="quota.threshold_reached")
    assert (told.payload["quota_id"], told.payload["starts_on"]) == (str(quota.pk), "2024-09-01")
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_refused_row_raises_nothing():
    quota = make_quota_on("sum", 10)

    assert record(under(quota, 11)) == [EXCEEDED]

    assert (alerts(), OutboxEvent.objects.filter(name="quota.threshold_reached").count()) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_of_two_that_reach_it_together_one_raises_it():
    quota = make_quota_on("sum", 10, mode=QuotaMode.WARN, thresholds=[80])
    one, other = under(quota, 8), under(quota, 8)

    with transaction.atomic():
        record(one)
        rival = start_rival(lambda: record(other))
    rival.result(timeout=5)

    assert (used(), alerts()) == ([16], [(80, 8)])
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize("thresholds", [[0], [1001], [80, 80], [100, 80], list(range(1, 12))])
def test_thresholds_ascend_and_are_percents(thresholds):
    quota = make_quota_on("sum", 10)

    with pytest.raises(QuotaOutOfRange):
        make_quota(meter=quota.meter, entity=quota.entity, thresholds=thresholds)
    with pytest.raises(IntegrityError, match="thresholds_ascend"), transaction.atomic():
        Quota.objects.update(thresholds=thresholds)

    assert Quota.objects.get().thresholds == [80, 100]


@pytest.mark.django_db
def test_none_at_all_is_fine():
    quota = make_quota_on("sum", 10, thresholds=[])

    record(under(quota, 10))

    assert alerts() == []
    assert_invariants_hold()


@pytest.mark.django_db
def test_an_alert_that_is_missing_is_found():
    record(under(make_quota_on("sum", 10), 10))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM quota_alerts WHERE threshold = 80")
        cursor.execute("SET LOCAL session_replication_role = origin")

    broken = [finding.invariant for finding in find_violations("usage") if finding.violations]

    assert [name[:2] for name in broken] == ["U9"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("aggregation", "asked"),
    [
        ("sum", {"3": True, "4": False, "0": True}),
        ("count", {"9": True, "10": False}),
        ("max", {"10": True, "11": False}),
        ("latest", {"10": True, "11": False}),
        ("unique_count", {"9": True, "10": False}),
    ],
)
def test_whether_so_much_more_would_fit(aggregation, asked):
    quota = make_quota_on(aggregation, 10)
    record(under(quota, 7))
    quota = Quota.objects.select_related("entity", "meter").get()

    status = queries.quota_status(quota, as_of=NOON)

    assert {quantity: status.allows(Decimal(quantity)) for quantity in asked} == asked
