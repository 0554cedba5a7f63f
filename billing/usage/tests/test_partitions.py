"""Events are stored by month; that each is recorded once holds over all months."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import DataError, IntegrityError, connection, transaction

from billing.kernel.ids import uuid7
from billing.kernel.invariant_checks import find_violations
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.usage import services, tasks
from billing.usage.models import UsageEvent, UsageKey
from billing.usage.services import partitions
from billing.usage.tests.makers import NOON, make_customer, make_meter, make_report, make_usage_event


def record(*reports, **overrides):
    return services.record_usage(
        actor="test", events=list(reports), **{"as_of": NOON, "allow_old": True} | overrides
    )


def said(outcomes):
    return [outcome.code or outcome.status for outcome in outcomes]


def in_months(*days, **overrides):
    """A report for each day, of one customer."""
    meter = make_meter()
    customer = make_customer(meter)
    return [
        make_report(
            meter=meter,
            entity=customer,
            occurred_at=datetime.combine(day, datetime.min.time(), UTC),
            **overrides,
        )
        for day in days
    ]


def partition_of_each():
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM usage_events ORDER BY billed_on")
        return [name for (name,) in cursor]


def existing(month):
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"usage_events_{month}"])
        return cursor.fetchone()[0]


def drop(*months):
    """As if the month had never come."""
    with connection.cursor() as cursor:
        for month in months:
            cursor.execute(f"DROP TABLE IF EXISTS usage_events_{month}")


@pytest.mark.django_db
def test_events_of_three_months_lie_in_three_partitions():
    drop("2024_02")

    outcomes = record(*in_months(date(2024, 3, 1), date(2024, 1, 31), date(2024, 2, 29)))

    assert said(outcomes) == ["accepted"] * 3
    assert partition_of_each() == ["usage_events_2024_01", "usage_events_2024_02", "usage_events_2024_03"]
    assert {key.billed_on for key in UsageKey.objects.all()} == {
        date(2024, 1, 31),
        date(2024, 2, 29),
        date(2024, 3, 1),
    }
    assert_invariants_hold()


@pytest.mark.django_db
def test_an_id_is_recorded_once_whatever_the_month():
    [report] = in_months(date(2024, 1, 31), source="s", transaction_id="t")
    record(report)

    again = record(replace(report, billed_on=date(2024, 2, 1)), replace(report, billed_on=date(2024, 1, 31)))

    assert said(again) == ["content-conflict", "duplicate"]
    assert UsageEvent.objects.get().billed_on == date(2024, 1, 31)
    with pytest.raises(IntegrityError, match="one_event_per_transaction"), transaction.atomic():
        UsageKey.objects.create(
            event_id=uuid7(), source="s", transaction_id="t", billed_on=date(2025, 1, 1), fingerprint="x"
        )


@pytest.mark.django_db
def test_the_first_and_the_last_month_there_is():
    outcomes = record(
        *in_months(date(1900, 1, 2), date(2999, 12, 30)), as_of=datetime(2999, 12, 31, tzinfo=UTC)
    )

    assert said(outcomes) == ["accepted"] * 2
    assert partition_of_each() == ["usage_events_1900_01", "usage_events_2999_12"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "occurred_at"),
    [
        ("America/New_York", datetime(1900, 1, 1, tzinfo=UTC)),
        ("Pacific/Auckland", datetime(2999, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_day_beyond_them_is_refused_by_the_row(zone, occurred_at):
    meter = make_meter()
    far = make_report(meter=meter, entity=make_customer(meter, time_zone=zone), occurred_at=occurred_at)

    assert said(record(far, make_report(), as_of=max(occurred_at, NOON))) == ["day-out-of-range", "accepted"]
    assert UsageEvent.objects.get().billed_on == NOON.date()


@pytest.mark.django_db
@pytest.mark.parametrize(("days", "code"), [(400, "accepted"), (401, "billed-too-far-off")])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_event_is_billed_near_the_day_it_occurred(days, sign, code):
    report = make_report(billed_on=NOON.date() + sign * timedelta(days=days))

    assert said(record(report)) == [code]
    assert UsageEvent.objects.count() == (code == "accepted")


@pytest.mark.django_db
def test_a_call_opens_only_so_many_months(monkeypatch):
    monkeypatch.setattr(partitions, "NEW_MONTHS_MAX", 2)
    reports = in_months(*(date(2051, month, 1) for month in (4, 1, 3, 2)))
    later = datetime(2051, 6, 1, tzinfo=UTC)

    assert said(record(*reports, as_of=later)) == [
        "too-many-months",
        "accepted",
        "too-many-months",
        "accepted",
    ]
    assert said(record(*reports, as_of=later)) == ["accepted", "duplicate", "accepted", "duplicate"]


@pytest.mark.django_db
def test_partitions_are_made_ahead_by_the_sweep_and_by_hand(freeze):
    months = ("2061_11", "2061_12", "2062_01", "2062_02", "2062_03")
    drop(*months)
    freeze("2061-11-30T12:00:00Z")

    tasks.make_partitions()
    tasks.make_partitions()
    out = StringIO()
    call_command("make_usage_partitions", as_of=date(2061, 11, 30), months=4, stdout=out)

    assert [existing(month) for month in months] == [True] * 5
    assert out.getvalue() == "made=1 as_of=2061-11-30 months=4\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "bounds",
    ["'1899-12-31', '1900-01-01'", "'2999-01-01', '3000-01-01'", "'1900-01-01', '2999-12-31'", "NULL, NULL"],
)
def test_nobody_makes_partitions_without_end(bounds):
    with pytest.raises(DataError, match="no partitions"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT ensure_usage_partitions({bounds})")


@pytest.mark.django_db(transaction=True)
def test_two_that_open_the_same_month_wait_for_each_other():
    drop("2024_05")
    first, second = in_months(date(2024, 5, 1), date(2024, 5, 31))

    with transaction.atomic():
        assert said(record(first)) == ["accepted"]
        rival = start_rival(lambda: record(second))

    assert said(rival.result(timeout=5)) == ["accepted"]
    assert partition_of_each() == ["usage_events_2024_05"] * 2
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_opening_a_month_holds_up_nobody_who_records_in_another():
    drop("2024_05")
    record(*in_months(date(2024, 4, 1)))
    fifth, fourth = in_months(date(2024, 5, 1), date(2024, 4, 2))

    with transaction.atomic():
        record(fifth)
        with pytest.raises(AssertionError, match="never blocked"):
            start_rival(lambda: record(fourth))

    assert UsageEvent.objects.count() == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE {} SET quantity = 2", "append-only"),
        ("DELETE FROM {}", "append-only"),
        ("TRUNCATE {} CASCADE", "never truncated"),
        ("UPDATE usage_keys SET fingerprint = 'x'", "append-only"),
        ("DELETE FROM usage_keys", "append-only"),
        ("TRUNCATE usage_keys CASCADE", "never truncated"),
    ],
)
@pytest.mark.parametrize("table", ["usage_events", "usage_events_2024_09"])
def test_events_and_keys_are_append_only_in_every_partition(table, statement, refusal):
    make_usage_event(quantity=Decimal(1))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(IntegrityError, match=refusal), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))

    assert (UsageEvent.objects.get().quantity, UsageKey.objects.count()) == (1, 1)


COPY = """
    INSERT INTO usage_events (id, created_at, source, transaction_id, entity_id, meter_id, occurred_at, billed_on,
        quantity, currency, properties, fingerprint)
    SELECT {}, now(), source, transaction_id, entity_id, meter_id, occurred_at, {}, quantity, currency,
        properties, {} FROM usage_events
"""


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changed",
    [
        ("gen_random_uuid()", "billed_on", "fingerprint"),
        ("id", "billed_on + 1", "fingerprint"),
    ],
)
def test_the_database_refuses_an_event_that_is_not_that_of_its_key(changed):
    make_usage_event()

    with (
        pytest.raises(IntegrityError, match="has its key"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(COPY.format(*changed))

    assert UsageEvent.objects.count() == 1


@pytest.mark.django_db
def test_a_key_without_an_event_is_found():
    UsageKey.objects.create(
        event_id=uuid7(), source="s", transaction_id="t", billed_on=NOON.date(), fingerprint="x"
    )

    broken = [finding.invariant for finding in find_violations("usage") if finding.violations]

    assert [name[:2] for name in broken] == ["U2"]


@pytest.mark.django_db
def test_the_usage_of_a_customer_and_month_is_read_from_one_partition_by_its_index():
    record(*in_months(date(2024, 4, 1), date(2024, 5, 1)))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT * FROM usage_events WHERE entity_id = %s AND billed_on >= %s AND billed_on < %s",
            [uuid7(), date(2024, 4, 1), date(2024, 5, 1)],
        )
        plan = "\n".join(line for (line,) in cursor)

    assert "usage_events_2024_04_entity_id_billed_on_meter_id_idx" in plan
    assert "2024_05" not in plan
