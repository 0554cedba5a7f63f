"""An event may say under which subscription something was used."""

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from django.db import connection

from billing.kernel.ids import uuid7
from billing.kernel.invariant_checks import find_violations
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions import services as subscriptions
from billing.subscriptions.tests.makers import make_subscription
from billing.usage import services
from billing.usage.models import UsageEvent
from billing.usage.tests.makers import NOON, make_customer, make_meter, make_report


def record(*reports):
    return services.record_usage(actor="test", events=list(reports), as_of=NOON)


def said(outcomes):
    return [outcome.code or outcome.status for outcome in outcomes]


@pytest.fixture
def subscription():
    return make_subscription(starts_on=date(2024, 9, 10))


def under(subscription, **overrides):
    meter = make_meter(entity=subscription.seller)
    return make_report(meter=meter, entity=subscription.entity, subscription_id=subscription.pk, **overrides)


@pytest.mark.django_db
def test_is_kept_with_the_event_and_is_part_of_its_content(subscription):
    report = under(subscription)

    outcomes = record(report, report, replace(report, subscription_id=None))

    assert said(outcomes) == ["accepted", "duplicate", "content-conflict"]
    assert UsageEvent.objects.get().subscription == subscription
    assert_invariants_hold()


@pytest.mark.django_db
def test_one_that_is_not_the_entitys_own_does_not_exist(subscription):
    meter = make_meter(entity=subscription.seller)
    neighbour = make_customer(meter)
    report = make_report(meter=meter, entity=neighbour)

    outcomes = record(
        replace(report, subscription_id=subscription.pk), replace(report, subscription_id=uuid7()), report
    )

    assert said(outcomes) == ["unknown-subscription"] * 2 + ["accepted"]
    assert UsageEvent.objects.get().subscription is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("occurred_at", "code"),
    [
        (datetime(2024, 9, 9, 23, 59, tzinfo=UTC), "subscription-not-active"),
        (datetime(2024, 9, 10, tzinfo=UTC), "accepted"),
        (datetime(2024, 9, 13, 23, 59, tzinfo=UTC), "accepted"),
        (datetime(2024, 9, 14, tzinfo=UTC), "subscription-not-active"),
    ],
)
def test_takes_what_occurred_while_it_lasted(subscription, occurred_at, code):
    report = under(subscription, occurred_at=occurred_at)
    kept = under(subscription, occurred_at=datetime(2024, 9, 13, tzinfo=UTC))
    assert said(record(kept)) == ["accepted"]
    subscriptions.cancel_subscription(
        actor="test", subscription_id=subscription.pk, as_of=date(2024, 9, 14), reason="left"
    )

    assert said(record(report, kept)) == [code, "duplicate"]
    assert UsageEvent.objects.count() == 1 + (code == "accepted")
    assert_invariants_hold()


@pytest.mark.django_db
def test_its_days_are_those_of_the_entity(subscription):
    type(subscription.entity).objects.filter(pk=subscription.entity_id).update(time_zone="Pacific/Auckland")

    assert said(record(under(subscription, occurred_at=datetime(2024, 9, 9, 12, tzinfo=UTC)))) == ["accepted"]


@pytest.mark.django_db
@pytest.mark.parametrize("file_format", ["csv", "jsonl"])
def test_comes_in_files_too(subscription, file_format):
    report = under(subscription)
    row = {
        "source": "file",
        "transaction_id": "1",
        "entity": str(report.entity_id),
        "meter": report.meter,
        "occurred_at": "2024-09-15T00:00:00Z",
        "subscription": str(subscription.pk),
    }
    text = json.dumps(row) if file_format == "jsonl" else ",".join(row) + "\n" + ",".join(row.values())

    totals = services.import_usage(
        actor="test",
        file=io.BytesIO(text.encode()),
        wanted=services.Import(format=file_format, seller_id=subscription.seller_id),
        as_of=NOON,
    )

    assert (totals.accepted, UsageEvent.objects.get().subscription) == (1, subscription)


@pytest.mark.django_db
def test_an_event_under_a_strangers_subscription_is_found(subscription):
    record(make_report())
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE usage_events SET subscription_id = %s", [subscription.pk])
        cursor.execute("SET LOCAL session_replication_role = origin")

    broken = [finding.invariant for finding in find_violations("usage") if finding.violations]

    assert [name[:2] for name in broken] == ["U4", "U5"]
