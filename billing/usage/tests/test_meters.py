"""What a meter says about how it counts, and when it may still say something else."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from billing.kernel.errors import Invalid
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.subscriptions.tests.makers import make_product
from billing.usage import services
from billing.usage.errors import MeterInUse, UnsoundDefinition
from billing.usage.models import Aggregation, LatePolicy, Meter, UsageEvent
from billing.usage.tests.makers import NOON, make_customer, make_meter, make_report

REGION = {"property": "region", "values": ["eu"]}


def create(**overrides):
    product = make_product()
    values = {
        "entity_id": product.entity_id,
        "product_id": product.pk,
        "code": "m",
        "name": "M",
        "unit": "x",
    }
    return services.create_meter(actor="test", **values | overrides)


def update(meter, **changes):
    return services.update_meter(actor="test", meter_id=meter.pk, changes=changes)


def record(*reports, **overrides):
    return services.record_usage(actor="test", events=list(reports), **{"as_of": NOON} | overrides)


def said(outcomes):
    return [outcome.code or outcome.status for outcome in outcomes]


@pytest.mark.django_db
def test_is_made_with_all_it_can_say():
    meter = create(
        aggregation="unique_count",
        counted_property="user",
        filters=[REGION],
        group_by=["tier", "region"],
        late_policy="reject_after_days",
        late_days=30,
    )

    meter.refresh_from_db()
    assert (meter.aggregation, meter.counted_property) == ("unique_count", "user")
    assert (meter.filters, meter.group_by) == ([REGION], ["tier", "region"])
    assert (meter.late_policy, meter.late_days, meter.allows_negative) == ("reject_after_days", 30, False)
    assert create().late_policy == LatePolicy.SAME_INVOICE_IF_DRAFT


UNSOUND = [
    {"aggregation": "unique_count"},
    {"aggregation": "sum", "counted_property": "user"},
    {"aggregation": "count", "allows_negative": True},
    {"late_policy": "reject_after_days"},
    {"late_days": 3},
    {"late_policy": "reject_after_days", "late_days": 0},
    {"late_policy": "reject_after_days", "late_days": 3651},
    {"filters": [REGION, REGION]},
    {"filters": [{"property": "region", "values": []}]},
    {"filters": [{"property": "region", "values": ["eu", "eu"]}]},
    {"filters": [{"property": "region", "values": [1]}]},
    {"filters": [{"property": "region", "values": ["\x00"]}]},
    {"filters": [{"property": "region"}]},
    {"filters": ["region"]},
    {"filters": [{"property": f"p{i}", "values": ["x"]} for i in range(11)]},
    {"group_by": ["a", "b", "c", "d", "e", "f"]},
    {"group_by": ["a", "a"]},
    {"group_by": [""]},
    {"group_by": ["x" * 101]},
]


@pytest.mark.django_db
@pytest.mark.parametrize("terms", UNSOUND)
def test_refuses_what_contradicts_itself_and_makes_nothing(terms):
    meter = make_meter()

    with pytest.raises(UnsoundDefinition):
        create(**terms)
    with pytest.raises(UnsoundDefinition):
        update(meter, **terms)

    assert list(Meter.objects.values_list("pk", "version")) == [(meter.pk, 1)]


@pytest.mark.django_db
@pytest.mark.parametrize("terms", [{"aggregation": "median"}, {"late_policy": "never"}])
def test_refuses_what_is_not_known(terms):
    with pytest.raises(Invalid, match="is not a"):
        create(**terms)

    assert not Meter.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"aggregation": "median"},
        {"aggregation": "unique_count"},
        {"counted_property": "user"},
        {"aggregation": "max", "allows_negative": True},
        {"late_policy": "never"},
        {"late_days": 3},
        {"late_policy": "reject_after_days"},
        {"filters": {}},
        {"filters": [1] * 11},
        {"group_by": "region"},
        {"group_by": ["x"] * 6},
    ],
)
def test_the_database_too_refuses_a_meter_that_contradicts_itself(wrong):
    meter = make_meter()

    with pytest.raises(DatabaseError), transaction.atomic():
        Meter.objects.filter(pk=meter.pk).update(**wrong)

    assert Meter.objects.get().version == 1


DEFINITION = [
    {"aggregation": "count"},
    {"aggregation": "unique_count", "counted_property": "user"},
    {"filters": [REGION]},
    {"group_by": ["region"]},
]


@pytest.mark.django_db
@pytest.mark.parametrize("changes", DEFINITION)
def test_how_it_counts_changes_until_its_first_event_and_never_after(changes):
    fresh, used = make_meter(), make_meter()
    record(make_report(meter=used))

    assert update(fresh, **changes).version == 2
    with pytest.raises(MeterInUse):
        update(used, **changes)
    with pytest.raises(IntegrityError, match="counts as it did"), transaction.atomic():
        Meter.objects.filter(pk=used.pk).update(**changes)

    used.refresh_from_db()
    assert (used.version, used.aggregation, used.filters, used.group_by) == (1, "sum", [], [])


@pytest.mark.django_db
def test_all_the_rest_changes_at_any_time():
    meter = make_meter()
    record(make_report(meter=meter))

    changed = update(
        meter,
        name="Other",
        unit="TB",
        allows_negative=True,
        late_policy="reject_after_days",
        late_days=7,
        aggregation="sum",
    )

    assert (changed.name, changed.unit, changed.allows_negative, changed.late_days) == (
        "Other",
        "TB",
        True,
        7,
    )


@pytest.mark.django_db(transaction=True)
def test_a_change_waits_for_the_first_event_and_is_then_refused():
    meter = make_meter()

    with transaction.atomic():
        record(make_report(meter=meter))
        rival = start_rival(lambda: update(meter, aggregation="count"))

    with pytest.raises(MeterInUse):
        rival.result(timeout=5)
    assert Meter.objects.get().aggregation == Aggregation.SUM
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_the_first_event_waits_for_a_change_and_counts_by_it():
    meter = make_meter()
    report = make_report(meter=meter, properties={"region": "us"})

    with transaction.atomic():
        update(meter, filters=[REGION])
        rival = start_rival(lambda: record(report))

    assert said(rival.result(timeout=5)) == ["accepted"]
    assert not UsageEvent.objects.get().counts
    assert_invariants_hold()


@pytest.mark.django_db
def test_corrections_are_taken_where_the_meter_says_so_and_stay_repeats_when_it_no_longer_does():
    meter = make_meter(allows_negative=True)
    correction = make_report(meter=meter, quantity=Decimal(-1))

    first = record(correction)
    update(meter, allows_negative=False)
    later = record(correction, replace(correction, transaction_id="new"))

    assert said(first + later) == ["accepted", "duplicate", "negative-quantity"]
    assert UsageEvent.objects.get().quantity == -1


@pytest.mark.django_db
@pytest.mark.parametrize("allow_old", [False, True])
def test_what_comes_later_than_the_meter_takes_is_refused(allow_old):
    meter = make_meter(late_policy="reject_after_days", late_days=30)
    customer = make_customer(meter)
    reports = [
        make_report(meter=meter, entity=customer, occurred_at=NOON - timedelta(days=30, seconds=seconds))
        for seconds in (0, 1)
    ]

    assert said(record(*reports, allow_old=allow_old)) == ["accepted", "too-late"]
    assert UsageEvent.objects.get().occurred_at == reports[0].occurred_at


@pytest.mark.django_db
@pytest.mark.parametrize("policy", ["same_invoice_if_draft", "adjust_next"])
def test_the_other_policies_take_it(policy):
    late = make_report(meter=make_meter(late_policy=policy), occurred_at=NOON - timedelta(days=399))

    assert said(record(late)) == ["accepted"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({}, "property-missing"),
        ({"user": None}, "property-missing"),
        ({"user": ["a"]}, "invalid-property"),
        ({"user": "x" * 201}, "invalid-property"),
        ({"user": "a", "region": {}}, "invalid-property"),
        ({"user": "x" * 200}, "accepted"),
        ({"user": 0}, "accepted"),
        ({"user": False}, "accepted"),
        ({"user": ["a"], "test": "yes"}, "accepted"),  # is not counted, so nothing is read from it
    ],
)
def test_the_properties_a_meter_reads_are_there_and_plain(properties, code):
    meter = make_meter(
        aggregation="unique_count",
        counted_property="user",
        group_by=["region"],
        filters=[{"property": "test", "values": ["no"]}],
    )
    report = make_report(meter=meter, properties={"test": "no"} | properties)

    assert said(record(report)) == [code]
    assert UsageEvent.objects.count() == (code == "accepted")
    assert_invariants_hold()


@pytest.mark.django_db
def test_an_event_is_recorded_when_the_call_says():
    record(make_report(), as_of=NOON + timedelta(days=3))

    assert UsageEvent.objects.get().created_at == NOON + timedelta(days=3)
