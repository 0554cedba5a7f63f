from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from billing.usage import services
from billing.usage.models import UsageEvent
from billing.usage.tests.makers import NOON, make_report


def record(*reports, **overrides):
    return services.record_usage(actor="test", events=list(reports), **{"as_of": NOON} | overrides)


def said(outcomes):
    return [(outcome.status, outcome.code) for outcome in outcomes]


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


@pytest.mark.django_db
def test_a_repeat_is_a_duplicate_and_other_content_a_conflict():
    report = make_report()
    record(report)

    outcomes = record(report, replace(report, quantity=Decimal("1.0")), replace(report, quantity=Decimal(2)))

    assert said(outcomes) == [("duplicate", ""), ("duplicate", ""), ("conflict", "content-conflict")]
    assert UsageEvent.objects.get().quantity == 1
