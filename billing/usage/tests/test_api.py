import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.access.roles import Role
from billing.entities.tests.makers import make_department, make_entity, make_grant, make_key
from billing.kernel.background_jobs import run_job
from billing.kernel.ids import uuid7
from billing.kernel.models import Job
from billing.usage.models import Meter, Quota, UsageEvent
from billing.usage.tests.makers import make_customer, make_meter, make_quota, make_usage_event

ROOT = "/api/v1/enterprise-billing"
NOW = datetime(2024, 9, 15, 12, tzinfo=UTC)
READERS = {Role.VIEWER, Role.BILLING_OPERATOR, Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER, Role.AUDITOR}
RECORDERS = {Role.BILLING_OPERATOR, Role.FINANCE_CONTROLLER}
SETTERS = {Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER}
PEOPLE = sorted(set(Role) - {Role.SERVICE_ACCOUNT})


@pytest.fixture(autouse=True)
def _noon(freeze):
    freeze(NOW)


@pytest.fixture
def meter():
    return make_meter()


@pytest.fixture
def customer(meter):
    return make_customer(meter)


@pytest.fixture
def operator(api, meter):
    return api(make_grant(role=Role.BILLING_OPERATOR, entity=meter.entity).user)


def event(meter, customer, **overrides):
    return {
        "source": "gateway",
        "transaction_id": "t-1",
        "entity": str(customer.pk),
        "meter": meter.code,
        "occurred_at": "2024-09-15T11:00:00Z",
        "quantity": "2.5",
    } | overrides


def post(client, body):
    return client.post(f"{ROOT}/usage/events", body)


@pytest.mark.django_db
def test_a_single_event_is_recorded_repeated_contradicted_and_refused(operator, meter, customer):
    body = event(meter, customer)

    made, again = post(operator, body), post(operator, body)
    other = post(operator, body | {"quantity": "3"})
    unknown = post(operator, body | {"transaction_id": "t-2", "meter": "nope"})

    assert (made.status_code, again.status_code, other.status_code, unknown.status_code) == (
        201,
        200,
        409,
        422,
    )
    assert (made.data["status"], again.data["status"]) == ("accepted", "duplicate")
    assert made["Location"].endswith(made.data["event"])
    assert again.data["event"] == made.data["event"]
    assert (other.data["code"], unknown.data["code"]) == ("content-conflict", "unknown-meter")
    assert other["Content-Type"] == "application/problem+json"
    assert UsageEvent.objects.get().quantity == Decimal("2.5")
    shown = operator.get(made["Location"])
    assert (shown.data["quantity"], shown.data["billed_on"], shown.data["cost"]) == (
        "2.5",
        "2024-09-15",
        None,
    )


@pytest.mark.django_db
def test_a_batch_answers_every_row_in_order(operator, meter, customer):
    body = event(meter, customer)

    answer = post(
        operator,
        {
            "events": [
                body,
                body,
                body | {"quantity": "9"},
                body | {"transaction_id": "t-2", "entity": str(uuid7())},
                body | {"transaction_id": "t-3", "surprise": 1},
                "not an event",
                body | {"transaction_id": "t-4"},
            ]
        },
    )

    assert answer.status_code == 200
    assert [(row["status"], row.get("code", "")) for row in answer.data["results"]] == [
        ("accepted", ""),
        ("duplicate", ""),
        ("conflict", "content-conflict"),
        ("rejected", "unknown-entity"),
        ("rejected", "invalid-event"),
        ("rejected", "invalid-event"),
        ("accepted", ""),
    ]
    assert answer.data["results"][4]["errors"][0]["field"] == "surprise"
    counts = [answer.data[name] for name in ("accepted", "duplicates", "conflicts", "rejected")]
    assert counts == [2, 1, 1, 3]
    assert UsageEvent.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": "NaN"}, "not-finite"),
        ({"quantity": "-Infinity"}, "not-finite"),
        ({"quantity": "1e999"}, "invalid-event"),
        ({"quantity": "1_000"}, "invalid-event"),
        ({"quantity": "١٢"}, "invalid-event"),
        ({"quantity": 2.5}, "invalid-event"),
        ({"quantity": " 1"}, "invalid-event"),
        ({"quantity": "0.1234567890123"}, "too-many-decimals"),
        ({"quantity": "99999999999999999"}, "too-large"),
        ({"quantity": "-1"}, "negative-quantity"),
        ({"cost": "1"}, "currency-unknown"),
        ({"cost": "1", "currency": "BTC"}, "currency-unknown"),
        ({"occurred_at": "2024-09-15T12:06:00Z"}, "timestamp-in-future"),
        ({"occurred_at": "2023-01-01T00:00:00Z"}, "timestamp-too-old"),
        ({"occurred_at": "2024-09-15T11:00:00"}, "invalid-event"),
        ({"occurred_at": "0001-01-01T00:00:00+23:59"}, "invalid-event"),
        ({"occurred_at": "2024-02-30T00:00:00Z"}, "invalid-event"),
        ({"billed_on": "9999-12-31"}, "invalid-event"),
        ({"source": ""}, "invalid-source"),
        ({"source": "x" * 101}, "invalid-source"),
        ({"transaction_id": "x" * 201}, "invalid-transaction-id"),
        ({"transaction_id": 7}, "invalid-event"),
        ({"entity": "me"}, "invalid-event"),
        ({"department": str(uuid7())}, "unknown-department"),
        ({"properties": []}, "invalid-event"),
        ({"properties": None, "meter": None}, "invalid-event"),
    ],
)
def test_a_bad_row_is_refused_and_holds_up_no_other(operator, meter, customer, change, code):
    good = event(meter, customer, transaction_id="good")

    answer = post(operator, {"events": [event(meter, customer) | change, good]})

    assert answer.status_code == 200
    assert [(row["status"], row.get("code")) for row in answer.data["results"]] == [
        ("rejected", code),
        ("accepted", None),
    ]
    assert UsageEvent.objects.get().transaction_id == "good"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        '{"events": []}',
        '{"events": {}}',
        '{"events": [1], "more": 1}',
        '{"source": "a\\u0000b"}',
        '{"source": "\\ud800"}',
        '{"quantity": NaN}',
        '{"quantity": 1e999}',
        '{"a": 1, "a": 2}',
        '{"properties": ' + '{"a":' * 30 + "1" + "}" * 31,
        "[]",
        "",
        "{",
        json.dumps({"source": "only"}),
    ],
)
def test_a_malformed_body_is_400_and_records_nothing(operator, body):
    answer = operator.post(f"{ROOT}/usage/events", data=body, content_type="application/json")

    assert answer.status_code == 400, answer.data
    assert not UsageEvent.objects.exists()


@pytest.mark.django_db
def test_a_batch_takes_ten_thousand_and_not_one_more(operator):
    answer = post(operator, {"events": [1] * 10_001})

    assert (answer.status_code, answer.data["code"]) == (400, "batch-too-large")


@pytest.mark.django_db
def test_a_full_quota_says_what_remains_and_until_when(operator, meter, customer):
    make_quota(meter=meter, entity=customer, limit_quantity=Decimal(3))
    post(operator, event(meter, customer))

    refused = post(operator, event(meter, customer, transaction_id="t-2"))
    check = operator.get(f"{ROOT}/quotas/check?entity={customer.pk}&meter={meter.pk}")

    assert (refused.status_code, refused.data["code"]) == (422, "quota-exceeded")
    assert (refused.data["remaining"], refused.data["resets_at"]) == ("0.5", "2024-10-01T00:00:00.000000Z")
    assert check.data | {"quota": None} == {
        "allowed": True,
        "fits": True,
        "quota": None,
        "limit_quantity": "3",
        "used_quantity": "2.5",
        "remaining": "0.5",
        "resets_at": "2024-10-01T00:00:00.000000Z",
    }
    address = f"{ROOT}/quotas/check?entity={customer.pk}&meter={meter.pk}&quantity="
    answers = {quantity: operator.get(address + quantity).data for quantity in ("0.5", "0.500000000001", "0")}
    assert {quantity: (answer["allowed"], answer["fits"]) for quantity, answer in answers.items()} == {
        "0.5": (True, True),
        "0.500000000001": (False, False),
        "0": (True, True),
    }
    assert [operator.get(address + wrong).status_code for wrong in ("-1", "x", "NaN")] == [400] * 3
    free = operator.get(f"{ROOT}/quotas/check?entity={customer.pk}&meter={uuid7()}")
    assert (free.data["allowed"], free.data["quota"]) == (True, None)
    assert operator.get(f"{ROOT}/quotas/check?entity={uuid7()}&meter={meter.pk}").status_code == 404


@pytest.mark.django_db
def test_a_quota_is_made_once_and_changed_after(api, meter, customer):
    client = api(make_grant(role=Role.CONTRACT_MANAGER, entity=meter.entity).user)
    body = {"entity": str(customer.pk), "meter": str(meter.pk), "limit_quantity": "10"}

    made = client.post(f"{ROOT}/quotas", body | {"thresholds": [50, 120]})
    changed = client.post(f"{ROOT}/quotas", body | {"limit_quantity": "20", "mode": "warn"})
    for wrong in ([100, 50], [0], [1001], list(range(1, 12)), "80", [80, 80]):
        assert client.post(f"{ROOT}/quotas", body | {"thresholds": wrong}).status_code == 400

    assert (made.status_code, changed.status_code) == (201, 200)
    assert (made.data["id"], changed.data["limit_quantity"]) == (changed.data["id"], "20")
    assert (made.data["thresholds"], changed.data["thresholds"]) == ([50, 120], [50, 120])
    assert Quota.objects.get().mode == "warn"


@pytest.mark.django_db
def test_alerts_are_listed_to_those_who_reach_the_entity(operator, meter, customer):
    quota = make_quota(meter=meter, entity=customer, limit_quantity=Decimal(3))
    foreign = make_quota(limit_quantity=Decimal(1))
    post(operator, event(meter, customer))
    make_usage_event(meter=foreign.meter, entity=foreign.entity)

    listed = operator.get(f"{ROOT}/quota-alerts").json()

    assert [(row["quota"], row["threshold"], row["used_quantity"]) for row in listed["results"]] == [
        (str(quota.pk), 80, "2.5")
    ]
    [row] = listed["results"]
    assert (row["entity"], row["meter"], row["starts_on"]) == (
        str(customer.pk),
        str(meter.pk),
        "2024-09-01",
    )
    assert operator.get(f"{ROOT}/quota-alerts/{row['id']}").json() == row
    assert operator.get(f"{ROOT}/quota-alerts?quota={foreign.pk}").json()["results"] == []
    assert len(operator.get(f"{ROOT}/quota-alerts?entity={customer.pk}").json()["results"]) == 1
    assert operator.post(f"{ROOT}/quota-alerts", {}).status_code == 405


@pytest.mark.django_db
def test_meters_are_made_and_changed(api, meter):
    client = api(make_grant(role=Role.CONTRACT_MANAGER, entity=meter.entity).user)
    body = {
        "entity": str(meter.entity_id),
        "code": "calls",
        "name": "Calls",
        "product": str(meter.product_id),
        "unit": "call",
        "aggregation": "count",
    }

    made = client.post(f"{ROOT}/meters", body)
    twice = client.post(f"{ROOT}/meters", body | {"code": "CALLS"})
    changed = client.put(
        f"{ROOT}/meters/{made.data['id']}",
        {"name": "API calls", "product": str(meter.product_id), "unit": "call", "is_active": False},
    )

    assert (made.status_code, twice.status_code, changed.status_code) == (201, 409, 200)
    assert (changed.data["name"], changed.data["aggregation"]) == ("API calls", "count")
    assert Meter.objects.count() == 2


@pytest.mark.django_db
def test_a_meter_says_how_it_counts_over_the_wire(api, meter):
    client = api(make_grant(role=Role.CONTRACT_MANAGER, entity=meter.entity).user)
    definition = {
        "aggregation": "unique_count",
        "counted_property": "user",
        "filters": [{"property": "region", "values": ["eu", "us"]}],
        "group_by": ["region"],
        "allows_negative": False,
        "late_policy": "reject_after_days",
        "late_days": 30,
    }
    body = {
        "entity": str(meter.entity_id),
        "code": "users",
        "name": "Users",
        "product": str(meter.product_id),
        "unit": "user",
    }

    made = client.post(f"{ROOT}/meters", body | definition)
    terms = {"name": "People", "product": str(meter.product_id), "unit": "user", "is_active": True}
    renamed = client.put(f"{ROOT}/meters/{made.data['id']}", terms)
    loosened = client.put(
        f"{ROOT}/meters/{made.data['id']}", terms | {"late_policy": "adjust_next", "late_days": None}
    )
    refused = [
        client.post(f"{ROOT}/meters", body | {"code": "other"} | wrong).status_code
        for wrong in (
            {"aggregation": "unique_count"},
            {"aggregation": "median"},
            {"filters": [{"property": "region"}]},
            {"filters": [{"property": "region", "values": "eu"}]},
            {"group_by": ["a"] * 6},
            {"late_days": 0},
        )
    ]

    assert made.status_code == 201, made.data
    assert {name: made.data[name] for name in definition} == definition
    assert {name: renamed.data[name] for name in definition} == definition
    assert (loosened.data["late_policy"], loosened.data["late_days"]) == ("adjust_next", None)
    assert refused == [400] * 6
    assert Meter.objects.count() == 2


@pytest.mark.django_db
def test_events_are_filtered_and_listed_in_a_constant_number_of_statements(operator, meter, customer):
    department = make_department(entity=customer)
    make_usage_event(meter=meter, entity=customer, department=department, source="a")
    make_usage_event(meter=make_meter(product=meter.product), entity=customer, source="b")
    make_usage_event()

    def listed(query):
        with CaptureQueriesContext(connection) as statements:
            answer = operator.get(f"{ROOT}/usage/events{query}")
        assert answer.status_code == 200, answer.data
        return [row["source"] for row in answer.data["results"]], len(statements)

    everything, cost = listed("")
    assert everything == ["b", "a"]
    assert listed(f"?meter={meter.pk}")[0] == ["a"]
    assert listed(f"?department={department.pk}&source=a&entity={customer.pk}")[0] == ["a"]
    assert listed("?occurred_after=2024-09-15T12:00:00.000001Z")[0] == []
    assert listed("?occurred_after=2024-09-15T12:00:00Z&occurred_before=2024-09-15T12:00:00.000001Z")[0]
    for _ in range(5):
        make_usage_event(meter=meter, entity=customer)
    operator.handler._force_user.__dict__.pop("_reaches", None)
    assert listed("")[1] == cost
    assert operator.get(f"{ROOT}/usage/events?colour=red").status_code == 400


@pytest.mark.django_db
def test_the_usage_of_a_period_is_summed_by_meter(operator, meter, customer):
    calls = make_meter(product=meter.product, aggregation="count")
    for quantity in ("1.5", "2"):
        make_usage_event(meter=meter, entity=customer, quantity=Decimal(quantity))
        make_usage_event(
            meter=calls, entity=customer, quantity=Decimal(7), cost=Decimal("0.0000008"), currency="USD"
        )
    address = f"{ROOT}/entities/{customer.pk}/usage"

    september = operator.get(f"{address}?period_start=2024-09-01&period_end=2024-10-01")
    until_then = operator.get(f"{address}?period_start=2024-09-01&period_end=2024-09-15")

    by_day = operator.get(
        f"{address}?period_start=2024-09-01&period_end=2024-10-01&granularity=day&group=true"
    )

    found = {
        row["code"]: (row["quantity"], row["event_count"], row["cost"]) for row in september.data["results"]
    }
    assert [(row["starts_on"], row["ends_on"], row["group"]) for row in by_day.data["results"]] == [
        ("2024-09-15", "2024-09-16", {})
    ] * 2
    one = operator.get(f"{address}?period_start=2024-09-01&period_end=2024-10-01&meter={calls.pk}")
    assert [row["aggregation"] for row in one.data["results"]] == ["count"]
    for wrong in ("granularity=hour", "group=perhaps", "meter=1"):
        assert (
            operator.get(f"{address}?period_start=2024-09-01&period_end=2024-10-01&{wrong}").status_code
            == 400
        )
    assert found == {meter.code: ("3.5", 2, None), calls.code: ("2", 2, "0.0000016")}
    assert until_then.data["results"] == []
    assert operator.get(f"{address}?period_start=2024-09-01").status_code == 400
    assert operator.get(f"{address}?period_start=2024-09-01&period_end=2024-09-01").status_code == 400


@pytest.mark.django_db
def test_a_key_records_only_with_its_scope_and_only_within_its_reach(api, meter, customer):
    service = make_grant(role=Role.SERVICE_ACCOUNT, entity=customer).user
    _, writing = make_key(user=service, scopes=["usage:write"])
    _, reading = make_key(user=service, scopes=["usage:read"])
    neighbour = make_customer(meter)

    allowed = post(api(key=writing), event(meter, customer))
    outside = post(api(key=writing), event(meter, neighbour, transaction_id="t-2"))
    without = post(api(key=reading), event(meter, customer, transaction_id="t-3"))

    assert (allowed.status_code, outside.status_code, without.status_code) == (201, 422, 403)
    assert outside.data["code"] == "unknown-entity"
    assert api(key=reading).get(f"{ROOT}/usage/events").data["results"][0]["transaction_id"] == "t-1"
    assert api(key=writing).get(f"{ROOT}/usage/events").status_code == 403
    assert UsageEvent.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("role", PEOPLE)
def test_who_may_do_what(api, meter, customer, role):
    client = api(make_grant(role=role, entity=meter.entity).user)
    period = "period_start=2024-09-01&period_end=2024-10-01"
    check = f"{ROOT}/quotas/check?entity={customer.pk}&meter={meter.pk}"
    reads = [
        f"{ROOT}/meters",
        f"{ROOT}/meters/{meter.pk}",
        f"{ROOT}/usage/events",
        f"{ROOT}/quotas",
        f"{ROOT}/quota-alerts",
        f"{ROOT}/entities/{customer.pk}/usage?{period}",
        check,
    ]
    new_meter = {
        "entity": str(meter.entity_id),
        "code": "new",
        "name": "New",
        "product": str(meter.product_id),
        "unit": "x",
    }
    quota = {"entity": str(customer.pk), "meter": str(meter.pk), "limit_quantity": "1"}
    imported = client.post(
        f"{ROOT}/usage/imports?seller={meter.entity_id}&file_format=csv", b"x", content_type="text/csv"
    )

    assert {client.get(address).status_code for address in reads} == {200 if role in READERS else 403}
    assert post(client, event(meter, customer)).status_code == (201 if role in RECORDERS else 403)
    assert imported.status_code == (202 if role in RECORDERS else 403)
    assert client.post(f"{ROOT}/meters", new_meter).status_code == (201 if role in SETTERS else 403)
    assert client.post(f"{ROOT}/quotas", quota).status_code == (201 if role in SETTERS else 403)
    assert UsageEvent.objects.count() == (role in RECORDERS)
    assert Quota.objects.count() == (role in SETTERS)


@pytest.mark.django_db
def test_nobody_in_particular_is_401(api):
    assert api().get(f"{ROOT}/usage/events").status_code == 401
    assert api().post(f"{ROOT}/usage/events", {}).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_a_file_is_imported_by_a_job(operator, meter, customer, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    header = "source,transaction_id,entity,meter,occurred_at,quantity"
    rows = [
        f"file,{i},{customer.code},{meter.code},2024-09-15T00:00:00Z,{q}" for i, q in enumerate(["1", "x"])
    ]
    content = "\n".join([header, *rows]).encode()

    answer = operator.post(
        f"{ROOT}/usage/imports?seller={meter.entity_id}&file_format=csv&allow_old=true",
        content,
        content_type="text/csv",
    )

    assert (answer.status_code, Job.objects.count()) == (202, 1)
    assert run_job(job_id=Job.objects.get().pk)
    job = Job.objects.get()
    assert (job.state, job.done, job.total) == ("succeeded", len(content), len(content))
    assert [job.result[name] for name in ("accepted", "duplicates", "conflicts", "rejected")] == [1, 0, 0, 1]
    assert job.result["refusals"][0]["line"] == 3
    assert list((tmp_path / "usage-imports").iterdir()) == []


@pytest.mark.django_db
def test_a_file_comes_as_a_form_too_but_not_for_another_seller(operator, meter, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    part = tmp_path / "usage.csv"
    part.write_bytes(b"x")

    with part.open("rb") as file:
        answer = operator.post(
            f"{ROOT}/usage/imports?seller={meter.entity_id}&file_format=csv",
            {"file": file},
            format="multipart",
        )
    elsewhere = operator.post(
        f"{ROOT}/usage/imports?seller={make_entity(is_seller=True).pk}&file_format=csv",
        b"x",
        content_type="text/csv",
    )

    assert (answer.status_code, elsewhere.status_code) == (202, 404)
    assert Job.objects.count() == 1
