from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.entities.models import BillingEntity, Department
from billing.entities.states import EntityState
from billing.entities.tests.makers import make_department, make_entity
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.usage import services
from billing.usage.errors import BatchTooLarge
from billing.usage.models import UsageEvent
from billing.usage.services import storing
from billing.usage.tests.makers import NOON, make_customer, make_meter, make_report

ACCEPTED, DUPLICATE, CONFLICT = ("accepted", ""), ("duplicate", ""), ("conflict", "content-conflict")


def record(*reports, **overrides):
    return services.record_usage(actor="test", events=list(reports), **{"as_of": NOON} | overrides)


def said(outcomes):
    return [(outcome.status, outcome.code) for outcome in outcomes]


def used(meter, customer, **overrides):
    return make_report(meter=meter, entity=customer, **overrides)


@pytest.mark.django_db
def test_records_a_report_exactly():
    report = make_report(quantity=Decimal("0.000000000001"), cost=Decimal("-0.0000008"), currency="USD")

    [outcome] = record(report)

    event = UsageEvent.objects.get()
    assert (outcome.status, outcome.code, outcome.event_id) == ("accepted", "", event.pk)
    assert (event.quantity, event.cost, event.currency) == (
        Decimal("0.000000000001"),
        Decimal("-0.0000008"),
        "USD",
    )
    assert (event.billed_on, event.occurred_at, len(event.fingerprint)) == (date(2024, 9, 15), NOON, 64)
    line = AuditEntry.objects.get(action="usage.recorded")
    assert (line.subject_id, line.detail) == (str(event.entity_id), {"source": "test", "events": 1})
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "instant", "day"),
    [
        ("Pacific/Auckland", datetime(2024, 9, 30, 11, 0, tzinfo=UTC), date(2024, 10, 1)),
        ("Pacific/Auckland", datetime(2024, 9, 30, 10, 59, 59, 999999, tzinfo=UTC), date(2024, 9, 30)),
        ("America/New_York", datetime(2024, 10, 1, 3, 59, 59, tzinfo=UTC), date(2024, 9, 30)),
    ],
)
def test_is_billed_on_the_day_it_was_where_the_customer_is(zone, instant, day):
    meter = make_meter()
    customer = make_customer(meter, time_zone=zone)

    record(used(meter, customer, occurred_at=instant), as_of=instant)

    assert UsageEvent.objects.get().billed_on == day


@pytest.mark.django_db
def test_a_repeat_is_a_duplicate_and_other_content_a_conflict():
    report = make_report()
    [first] = record(report)

    outcomes = record(report, replace(report, quantity=Decimal("1.0")), replace(report, quantity=Decimal(2)))

    assert said(outcomes) == [DUPLICATE, DUPLICATE, CONFLICT]
    assert outcomes[0].event_id == first.event_id
    assert UsageEvent.objects.get().quantity == 1
    assert AuditEntry.objects.filter(action="usage.recorded").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"occurred_at": NOON + timedelta(microseconds=1)},
        {"billed_on": date(2024, 9, 14)},
        {"cost": Decimal(1), "currency": "USD"},
        {"properties": {"region": "eu"}},
    ],
)
def test_every_part_of_the_content_counts(change):
    report = make_report()
    record(report)

    assert said(record(replace(report, **change))) == [CONFLICT]


@pytest.mark.django_db
def test_a_repeat_stays_a_duplicate_whatever_has_changed_since():
    report = make_report()
    record(report)
    BillingEntity.objects.filter(pk=report.entity_id).update(
        time_zone="Pacific/Auckland", state=EntityState.SUSPENDED
    )

    much_later = NOON + timedelta(days=4000)

    assert said(record(report, as_of=much_later)) == [DUPLICATE]
    assert said(record(replace(report, transaction_id="new"), as_of=much_later)) == [
        ("rejected", "timestamp-too-old")
    ]


@pytest.mark.django_db
def test_an_id_that_comes_twice_in_a_batch_is_decided_by_its_first_row():
    report = make_report()

    outcomes = record(report, report, replace(report, quantity=Decimal(2)))

    assert said(outcomes) == [ACCEPTED, DUPLICATE, CONFLICT]
    assert UsageEvent.objects.get().quantity == 1


def _suspended(report):
    BillingEntity.objects.filter(pk=report.entity_id).update(state=EntityState.SUSPENDED)
    return report


REFUSALS = {
    "unknown-entity": lambda report: replace(
        report, entity_id=make_entity().parent_id or report.department_id
    ),
    "unknown-meter": lambda report: replace(report, meter="no-such-meter"),
    "unknown-department": lambda report: replace(report, department_id=make_department().pk),
    "entity-not-active": _suspended,
    "timestamp-in-future": lambda report: replace(report, occurred_at=NOON + timedelta(minutes=5, seconds=1)),
    "timestamp-too-old": lambda report: replace(report, occurred_at=NOON - timedelta(days=400, seconds=1)),
    "timestamp-without-zone": lambda report: replace(report, occurred_at=datetime(2024, 9, 15)),  # noqa: DTZ001
    "negative-quantity": lambda report: replace(report, quantity=Decimal(-1)),
    "not-finite": lambda report: replace(report, quantity=Decimal("NaN")),
    "too-many-decimals": lambda report: replace(report, cost=Decimal("1E-13"), currency="USD"),
    "too-large": lambda report: replace(report, quantity=Decimal("1E999")),
    "currency-unknown": lambda report: replace(report, cost=Decimal(1), currency="XYZ"),
    "invalid-source": lambda report: replace(report, source="a\x00b"),
    "invalid-transaction-id": lambda report: replace(report, transaction_id=""),
    "invalid-properties": lambda report: replace(report, properties={"a": ["\ud800"]}),
}


@pytest.mark.django_db
@pytest.mark.parametrize("code", REFUSALS)
def test_refuses_one_row_and_records_the_others(code):
    bad, good = make_report(), make_report()
    bad = REFUSALS[code](bad)

    outcomes = record(bad, good)

    assert said(outcomes) == [("rejected", code), ACCEPTED]
    assert [event.transaction_id for event in UsageEvent.objects.all()] == [good.transaction_id]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("cost", "currency"), [(None, "USD"), (Decimal(1), ""), (Decimal(1), "XXX"), (Decimal(1), "usd")]
)
def test_a_cost_has_a_known_currency_and_a_currency_a_cost(cost, currency):
    assert said(record(make_report(cost=cost, currency=currency))) == [("rejected", "currency-unknown")]
    assert not UsageEvent.objects.exists()


@pytest.mark.django_db
def test_the_edges_of_time_are_accepted():
    meter = make_meter()
    customer = make_customer(meter)

    outcomes = record(
        used(meter, customer, occurred_at=NOON + timedelta(minutes=5)),
        used(meter, customer, occurred_at=NOON - timedelta(days=400)),
    )

    assert said(outcomes) == [ACCEPTED] * 2


@pytest.mark.django_db
def test_old_events_are_recorded_where_the_caller_says_so():
    ancient = make_report(occurred_at=NOON - timedelta(days=4000))

    assert said(record(ancient, allow_old=True)) == [ACCEPTED]


@pytest.mark.django_db
def test_a_credit_may_have_a_negative_quantity():
    credit = make_report(quantity=Decimal(-3), cost=Decimal("-0.5"), currency="USD")

    assert said(record(credit)) == [ACCEPTED]


@pytest.mark.django_db
def test_what_is_out_of_reach_does_not_exist():
    meter = make_meter()
    mine, theirs = make_customer(meter), make_customer(meter)
    secret = make_department(entity=mine)
    theirs_known = used(meter, theirs)
    record(theirs_known)
    reach = {
        "entities": BillingEntity.objects.filter(pk=mine.pk),
        "departments": Department.objects.exclude(pk=secret.pk),
    }

    outcomes = record(
        used(meter, mine),
        theirs_known,
        replace(theirs_known, quantity=Decimal(9)),
        used(meter, mine, department=secret),
        **reach,
    )

    assert said(outcomes) == [
        ACCEPTED,
        ("rejected", "unknown-entity"),
        ("rejected", "unknown-entity"),
        ("rejected", "unknown-department"),
    ]


@pytest.mark.django_db
def test_a_meter_is_one_of_the_nearest_seller():
    meter = make_meter()
    reseller = make_customer(meter, is_seller=True)
    below = make_entity(parent=reseller)

    assert said(record(used(meter, below), used(meter, reseller))) == [
        ("rejected", "unknown-meter"),
        ACCEPTED,
    ]


@pytest.mark.django_db
def test_takes_ten_thousand_rows_and_not_one_more():
    report = make_report()

    with pytest.raises(BatchTooLarge):
        record(*[report] * 10_001)

    assert not UsageEvent.objects.exists()


@pytest.mark.django_db
def test_a_batch_costs_the_same_number_of_statements_whatever_its_size():
    meter = make_meter()
    customers = [make_customer(meter) for _ in range(5)]

    def statements(count):
        reports = [used(meter, customers[i % 5]) for i in range(count)]
        record(reports[0])  # so that each batch has a duplicate
        with CaptureQueriesContext(
            connection,
        ) as queries:
            record(*reports)
        return len(queries)

    assert statements(5) == statements(50)


@pytest.mark.django_db(transaction=True)
def test_two_batches_with_the_same_ids_in_opposite_order_wait_for_each_other():
    meter = make_meter()
    customer = make_customer(meter)
    reports = [used(meter, customer) for _ in range(50)]

    with transaction.atomic():
        first = record(*reports)
        rival = start_rival(lambda: record(*reversed(reports)))
    second = rival.result(timeout=5)

    assert said(first) == [ACCEPTED] * 50
    assert said(second) == [DUPLICATE] * 50
    assert UsageEvent.objects.count() == 50


@pytest.mark.django_db(transaction=True)
def test_batches_crossing_each_other_never_deadlock_and_count_once():
    meter = make_meter()
    customer = make_customer(meter)
    reports = [used(meter, customer) for _ in range(200)]

    def send(turn):
        try:
            return record(*(reports if turn % 2 else reversed(reports)))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        outcomes = [outcome for batch in pool.map(send, range(8)) for outcome in batch]

    assert Counter(outcome.status for outcome in outcomes) == {"accepted": 200, "duplicate": 1400}
    assert UsageEvent.objects.count() == 200


@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_with_other_content_is_told_of_the_conflict():
    report = make_report()

    with transaction.atomic():
        record(report)
        rival = start_rival(lambda: record(replace(report, quantity=Decimal(2))))

    assert said(rival.result(timeout=5)) == [CONFLICT]
    assert UsageEvent.objects.get().quantity == 1


@pytest.mark.django_db
def test_keys_are_taken_in_the_order_of_the_ids():
    # The order is what keeps crossing batches from deadlocking; the race above only meets it by luck.
    assert 'ORDER BY source COLLATE "C", transaction_id COLLATE "C"' in storing.INSERT
