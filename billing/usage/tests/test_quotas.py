from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.kernel.errors import Invalid, NotFound
from billing.kernel.ids import uuid7
from billing.kernel.invariant_checks import find_violations
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.usage import queries, services
from billing.usage.errors import MeterOfAnotherSeller, QuotaOutOfRange
from billing.usage.models import Quota, QuotaCounter, QuotaMode, QuotaWindow, UsageEvent
from billing.usage.tests.makers import (
    NOON,
    make_customer,
    make_meter,
    make_quota,
    make_report,
    make_usage_event,
)

EXCEEDED = ("rejected", "quota-exceeded")
OK = ("accepted", "")


def record(*reports):
    return services.record_usage(actor="test", events=list(reports), as_of=NOON)


def said(outcomes):
    return [(outcome.status, outcome.code) for outcome in outcomes]


def reports_under(quota, *quantities, **overrides):
    return [
        make_report(meter=quota.meter, entity=quota.entity, quantity=Decimal(quantity), **overrides)
        for quantity in quantities
    ]


def used_quantities():
    return list(QuotaCounter.objects.order_by("starts_on").values_list("used_quantity", flat=True))


@pytest.mark.django_db
def test_is_decided_row_by_row_and_a_later_smaller_one_may_fit():
    quota = make_quota(limit_quantity=Decimal(10))

    outcomes = record(*reports_under(quota, 4, 7, 6, "0.000000000001"))

    assert said(outcomes) == [OK, EXCEEDED, OK, EXCEEDED]
    assert (outcomes[1].remaining, outcomes[3].remaining) == (Decimal(6), Decimal(0))
    assert outcomes[1].resets_at == datetime(2024, 10, 1, tzinfo=UTC)
    assert used_quantities() == [Decimal(10)]
    assert UsageEvent.objects.count() == 2
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_quota_that_warns_accepts_and_says_so():
    quota = make_quota(limit_quantity=Decimal(10), mode=QuotaMode.WARN)

    outcomes = record(*reports_under(quota, 10, 1))

    assert said(outcomes) == [OK, ("accepted", "quota-exceeded")]
    assert outcomes[1].remaining == 0
    assert used_quantities() == [Decimal(11)]
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_repeat_takes_nothing_also_when_the_quota_is_full():
    quota = make_quota(limit_quantity=Decimal(10))
    reports = reports_under(quota, 10)
    record(*reports)

    outcomes = record(*reports, reports[0], replace(reports[0], quantity=Decimal(3)))

    assert said(outcomes) == [("duplicate", ""), ("duplicate", ""), ("conflict", "content-conflict")]
    assert used_quantities() == [Decimal(10)]


@pytest.mark.django_db
def test_a_refused_row_and_its_repeat_in_the_batch_are_both_refused():
    quota = make_quota(limit_quantity=Decimal(1))
    [report] = reports_under(quota, 2)

    assert said(record(report, report)) == [EXCEEDED, EXCEEDED]
    assert not UsageEvent.objects.exists()
    assert_invariants_hold()


@pytest.mark.django_db
def test_windows_begin_on_days_of_the_entitys_calendar():
    meter = make_meter()
    customer = make_customer(meter, time_zone="Asia/Kathmandu")
    quota = make_quota(meter=meter, entity=customer, window=QuotaWindow.DAY, limit_quantity=Decimal(1))
    late, early = datetime(2024, 9, 14, 18, 14, tzinfo=UTC), datetime(2024, 9, 14, 18, 15, tzinfo=UTC)

    outcomes = record(
        *reports_under(quota, 1, occurred_at=late),
        *reports_under(quota, 1, 1, occurred_at=early),
    )

    assert said(outcomes) == [OK, OK, EXCEEDED]
    assert outcomes[2].resets_at == datetime(2024, 9, 15, 18, 15, tzinfo=UTC)
    assert list(QuotaCounter.objects.order_by("starts_on").values_list("starts_on", flat=True)) == [
        date(2024, 9, 14),
        date(2024, 9, 15),
    ]
    assert_invariants_hold()


@pytest.mark.django_db
def test_credits_give_nothing_back_and_need_no_room():
    quota = make_quota(limit_quantity=Decimal(1))

    outcomes = record(
        *reports_under(quota, 1), *reports_under(quota, -5, 0, cost=Decimal(-1), currency="USD")
    )

    assert said(outcomes) == [OK, OK, OK]
    assert used_quantities() == [Decimal(1)]
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_counting_meter_takes_one_per_event():
    quota = make_quota(meter=make_meter(aggregation="count"), limit_quantity=Decimal(2))

    assert said(record(*reports_under(quota, 50, 50, 0))) == [OK, OK, EXCEEDED]
    assert_invariants_hold()


@pytest.mark.django_db
def test_what_was_used_before_the_quota_counts():
    meter = make_meter()
    customer = make_customer(meter)
    record(make_report(meter=meter, entity=customer, quantity=Decimal(8)))

    quota = make_quota(meter=meter, entity=customer, limit_quantity=Decimal(10))

    assert said(record(*reports_under(quota, 3, 2))) == [EXCEEDED, OK]
    assert_invariants_hold()


@pytest.mark.django_db
def test_setting_it_again_changes_it_and_counts_anew():
    quota = make_quota(limit_quantity=Decimal(10))
    record(*reports_under(quota, 10))

    again = make_quota(
        meter=quota.meter, entity=quota.entity, limit_quantity=Decimal(4), window=QuotaWindow.EVER
    )

    assert (again.pk, Quota.objects.count()) == (quota.pk, 1)
    counter = QuotaCounter.objects.get()
    assert (counter.starts_on, counter.used_quantity, counter.ceiling) == (date(1970, 1, 1), 10, 10)
    assert said(record(*reports_under(quota, 1, 0))) == [EXCEEDED, OK]
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"limit_quantity": Decimal("NaN")}, QuotaOutOfRange),
        ({"limit_quantity": Decimal(-1)}, QuotaOutOfRange),
        ({"limit_quantity": Decimal("Infinity")}, QuotaOutOfRange),
        ({"limit_quantity": Decimal("0.0000000000001")}, QuotaOutOfRange),
        ({"window": "century"}, Invalid),
        ({"mode": "shout"}, Invalid),
        ({"entity_id": uuid7()}, NotFound),
        ({"meter_id": uuid7()}, NotFound),
    ],
)
def test_refuses_what_is_no_quota_and_changes_nothing(change, error):
    meter = make_meter()
    values = {
        "entity_id": make_customer(meter).pk,
        "meter_id": meter.pk,
        "limit_quantity": Decimal(1),
    } | change

    with pytest.raises(error):
        services.set_quota(actor="test", **values)

    assert not Quota.objects.exists()


@pytest.mark.django_db
def test_refuses_a_meter_of_another_seller():
    meter = make_meter()

    with pytest.raises(MeterOfAnotherSeller):
        make_quota(meter=make_meter(), entity=make_customer(meter))

    assert not Quota.objects.exists()


@pytest.mark.django_db
def test_the_standing_of_a_quota_is_one_read():
    quota = make_quota(limit_quantity=Decimal(10))
    record(*reports_under(quota, 4))
    quota = Quota.objects.select_related("entity").get()

    status = queries.quota_status(quota, as_of=NOON)
    next_month = queries.quota_status(quota, as_of=datetime(2024, 10, 1, tzinfo=UTC))

    assert (status.used, status.remaining, status.is_allowed) == (4, 6, True)
    assert status.resets_at == datetime(2024, 10, 1, tzinfo=UTC)
    assert (next_month.used, next_month.remaining) == (0, 10)


@pytest.mark.django_db
def test_the_database_too_refuses_to_exceed_a_quota():
    record(*reports_under(make_quota(limit_quantity=Decimal(10)), 10))

    with pytest.raises(IntegrityError, match="quota_never_exceeded"), transaction.atomic():
        QuotaCounter.objects.update(used_quantity=11)

    assert used_quantities() == [Decimal(10)]


@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_waits_and_finds_no_room():
    quota = make_quota(limit_quantity=Decimal(10))
    [first], [second] = reports_under(quota, 6), reports_under(quota, 6)
    record(*reports_under(quota, 0))  # the counter of the window is there already

    with transaction.atomic():
        assert said(record(first)) == [OK]
        rival = start_rival(lambda: record(second))

    assert said(rival.result(timeout=5)) == [EXCEEDED]
    assert used_quantities() == [Decimal(6)]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_a_repeat_under_way_at_the_same_time_counts_once():
    quota = make_quota(limit_quantity=Decimal(10))
    [report] = reports_under(quota, 6)

    with transaction.atomic():
        record(report)
        rival = start_rival(lambda: record(report))

    assert said(rival.result(timeout=5)) == [("duplicate", "")]
    assert used_quantities() == [Decimal(6)]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_an_id_taken_by_somebody_else_meanwhile_gives_its_amount_back():
    # The same id reported for two customers: no counter is shared, so only the id makes them wait.
    meter = make_meter()
    one, other = (make_quota(meter=meter, limit_quantity=Decimal(10)) for _ in range(2))
    [report] = reports_under(one, 6)
    twin = replace(report, entity_id=other.entity_id)

    with transaction.atomic():
        record(report)
        rival = start_rival(lambda: record(twin))

    assert said(rival.result(timeout=5)) == [("conflict", "content-conflict")]
    assert sorted(used_quantities()) == [Decimal(0), Decimal(6)]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_a_quota_set_while_usage_is_recorded_counts_it():
    meter = make_meter()
    customer = make_customer(meter)

    with transaction.atomic():
        record(make_report(meter=meter, entity=customer, quantity=Decimal(8)))
        rival = start_rival(lambda: make_quota(meter=meter, entity=customer, limit_quantity=Decimal(10)))
    rival.result(timeout=5)

    assert used_quantities() == [Decimal(8)]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_of_32_writers_exactly_as_many_fit_as_there_is_room():
    quota = make_quota(limit_quantity=Decimal(100))
    batches = [reports_under(quota, *[1] * 10) for _ in range(32)]

    def send(batch):
        try:
            return said(record(*batch))
        finally:
            connection.close()

    with ThreadPoolExecutor(32) as pool:
        outcomes = [outcome for batch in pool.map(send, batches) for outcome in batch]

    assert (outcomes.count(OK), outcomes.count(EXCEEDED)) == (100, 220)
    assert used_quantities() == [Decimal(100)]
    assert UsageEvent.objects.count() == 100
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("tampering", "invariant"),
    [
        ("UPDATE quota_counters SET used_quantity = used_quantity - 1", "U1"),
        ("UPDATE quota_counters SET ceiling = NULL", "U3"),
    ],
)
def test_tampering_with_a_counter_is_found(tampering, invariant):
    record(*reports_under(make_quota(limit_quantity=Decimal(10)), 4))
    with connection.cursor() as cursor:
        cursor.execute(tampering)

    broken = [finding.invariant for finding in find_violations("usage") if finding.violations]

    assert [name[:2] for name in broken] == [invariant]


@pytest.mark.django_db
def test_an_event_that_is_not_what_was_reported_is_found():
    record(make_report())
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE usage_events SET quantity = quantity + 1")
        cursor.execute("SET LOCAL session_replication_role = origin")

    broken = [finding.invariant for finding in find_violations("usage") if finding.violations]

    assert [name[:2] for name in broken] == ["U4", "U6"]


@pytest.mark.django_db
@pytest.mark.parametrize("window", QuotaWindow.values)
@pytest.mark.parametrize("time_zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
@pytest.mark.parametrize("as_of", [NOON, datetime(2024, 9, 30, 23, 30, tzinfo=UTC)])
def test_the_set_of_quotas_says_the_same_as_each_one(window, time_zone, as_of):
    meter = make_meter()
    customer = make_customer(meter, time_zone=time_zone)
    quota = make_quota(meter=meter, entity=customer, window=window, limit_quantity=Decimal(10))
    for occurred_at in (NOON, datetime(2024, 9, 30, 20, tzinfo=UTC)):
        make_usage_event(meter=meter, entity=customer, quantity=Decimal("4.5"), occurred_at=occurred_at)

    [shown] = queries.with_use(Quota.objects.all(), as_of=as_of)

    one = queries.quota_status(quota, as_of=as_of)
    assert (shown.used_now, shown.left_now) == (one.used, one.remaining)
    assert (list(queries.nearly_used(Quota.objects.all(), as_of=as_of)) == [quota]) == (one.used >= 9)
