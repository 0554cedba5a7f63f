"""Rules, runs and GL codes on the wire."""

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.invoicing import services
from billing.invoicing.models import AllocationRule, AllocationRun, CostAllocation, GLCodeMapping
from billing.invoicing.tests.makers import AS_OF, make_invoice, make_rule, make_seller, to
from billing.kernel.background_jobs import run_job
from billing.kernel.models import Job
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"
SEPTEMBER = {"starts_on": "2024-09-01", "ends_on": "2024-10-01"}


@pytest.fixture
def customer():
    customer = make_entity(parent=make_seller())
    for code in ("IT", "OPS"):
        make_department(entity=customer, code=code)
    return customer


def user(role, entity):
    return make_grant(role=role, entity=entity).user


def once():
    return {"Idempotency-Key": str(uuid4())}


def wording(customer, **overrides):
    return {
        "starts_on": "2024-01-01",
        "targets": [
            {"kind": "percent", "department_code": "IT", "percent": "33.3333"},
            {"kind": "remainder", "department_code": "OPS"},
        ],
    } | overrides


def test_a_rule_is_drafted_tried_activated_and_divides(api, customer):
    posted = make_invoice(seller=customer.parent, customer=customer)
    below = make_entity(parent=customer)
    for code in ("IT", "OPS"):
        make_department(entity=below, code=code)
    client = api(user("FC", customer.parent))
    drafted = client.post(
        f"{API}allocation-rules", wording(customer, entity=str(customer.pk), code="cloud", name="Cloud")
    )
    assert drafted.status_code == 201, drafted.content
    rule = drafted.json()
    assert (rule["state"], [v["number"] for v in rule["versions"]]) == ("draft", [1])
    assert [t["percent"] for t in rule["versions"][0]["targets"]] == ["33.3333", None]
    here = f"{API}allocation-rules/{rule['id']}"

    tried = client.post(f"{here}/simulate", SEPTEMBER).json()
    assert (tried["number"], tried["lines_in_scope"], tried["lines_divided"]) == (1, 1, 1)
    assert {s["department_code"]: (s["before_amount"], s["after_amount"]) for s in tried["shifts"]} == {
        "GENERAL": ("100.00", "0.00"),
        "IT": ("0.00", "33.33"),
        "OPS": ("0.00", "66.67"),
    }
    assert not CostAllocation.objects.filter(basis="rule").exists()

    assert client.post(f"{here}/activate").status_code == 428
    tag = client.get(here)["ETag"]
    activated = client.post(f"{here}/activate", headers={"If-Match": tag})
    assert (activated.status_code, activated.json()["state"]) == (200, "active")

    invoice = make_invoice(seller=customer.parent, customer=below)
    proof = client.get(f"{API}invoices/{invoice.pk}/allocations").json()
    assert [
        (s["basis"], s["rule_code"], s["rule_number"], s["gl_code"], s["gl_source"])
        for s in proof["lines"][0]["shares"]
    ] == [("rule", "cloud", 1, "6400", "product")] * 2
    department = below.departments.get(code="IT").pk
    [share] = client.get(f"{API}departments/{department}/allocations?rule={rule['id']}").json()["results"]
    assert (share["net_amount"], share["rule_code"], share["gl_source"]) == ("33.33", "cloud", "product")
    expanded = client.get(f"{API}invoices/{posted.pk}?expand=allocations").json()["allocations"]
    assert [(s["rule_code"], s["rule_version"]) for s in expanded] == [(None, None)]


def test_the_next_version_is_drafted_and_a_rule_is_retired(api, customer):
    rule = make_rule(customer, to("IT", 100))
    client = api(user("FC", customer.parent))
    here = f"{API}allocation-rules/{rule.pk}"

    revised = client.post(f"{here}/versions", wording(customer, starts_on="2024-06-01", kind="override"))
    assert revised.status_code == 201, revised.content
    assert [(v["number"], v["state"], v["kind"]) for v in revised.json()["versions"]] == [
        (1, "active", "standard"),
        (2, "draft", "override"),
    ]
    stale = client.post(f"{here}/versions", wording(customer), headers={"If-Match": f'"{rule.version}"'})
    assert stale.status_code == 412
    retired = client.post(f"{here}/retire", {"ends_on": "2024-03-01", "reason": "over"})
    assert (retired.status_code, retired.json()["state"]) == (200, "retired")
    assert client.get(f"{API}allocation-rules?state=retired").json()["results"][0]["id"] == str(rule.pk)
    assert client.get(f"{API}allocation-rules?state=active").json()["results"] == []


@pytest.mark.parametrize(
    ("targets", "status", "code"),
    [
        ([], 400, None),
        ([{"kind": "percent", "department_code": "IT", "percent": "101"}], 400, None),
        ([{"kind": "percent", "department_code": "IT", "percent": 50}], 400, None),
        ([{"kind": "percent", "department_code": "IT", "percent": "99"}], 422, "allocation-incomplete"),
        (
            [{"kind": "percent", "department_code": code, "percent": "60"} for code in ("IT", "OPS")],
            422,
            "allocation-over-100-percent",
        ),
        ([{"kind": "percent", "department_code": "HR", "percent": "100"}], 422, "allocation-rule-scope"),
        ([{"kind": "percent", "percent": "100"}], 422, "allocation-targets-unclear"),
        ([{"kind": "remainder", "department_code": "IT", "weight": "1"}], 400, None),
    ],
)
def test_targets_that_are_none_are_refused(api, customer, targets, status, code):
    client = api(user("FC", customer.parent))

    answer = client.post(
        f"{API}allocation-rules",
        wording(customer, entity=str(customer.pk), code="x", name="X", targets=targets),
    )

    assert (answer.status_code, code and answer.json()["code"]) == (status, code)
    assert not AllocationRule.objects.exists()


def test_a_run_is_queued_done_and_reversed(api, customer):
    invoice = make_invoice(seller=customer.parent, customer=customer)
    rule = make_rule(customer, to("IT", 100))
    client = api(user("FC", customer.parent))
    order = {"rule": str(rule.pk), "reason": "as agreed", **SEPTEMBER}

    assert client.post(f"{API}allocation-runs", order).status_code == 400  # without a key
    asked = client.post(f"{API}allocation-runs", order, headers=once())
    assert asked.status_code == 202, asked.content
    assert run_job(job_id=Job.objects.get().pk)

    shown = client.get(f"{API}allocation-runs/{asked.json()['run']}")
    assert (shown.json()["state"], shown.json()["lines_moved"], shown.json()["rule_code"]) == (
        "finished",
        1,
        rule.code,
    )
    again = client.post(f"{API}allocation-runs", order, headers=once())
    assert (again.status_code, again.json()["code"]) == (409, "allocation-run-exists")

    back = client.post(
        f"{API}allocation-runs/{asked.json()['run']}/reverse",
        {"reason": "after all not"},
        headers=once() | {"If-Match": shown["ETag"]},
    )
    assert back.status_code == 202, back.content
    assert run_job(job_id=Job.objects.order_by("-pk").first().pk)
    assert AllocationRun.objects.get().state == "reversed"
    live = CostAllocation.objects.filter(invoice=invoice, reverses=None, reversed_by=None)
    assert [share.basis for share in live] == ["default"]
    assert_invariants_hold()


def test_a_step_down_is_queued_and_done(api, customer):
    make_invoice(seller=customer.parent, customer=customer)
    client = api(user("FC", customer.parent))
    steps = [
        {
            "department_code": "GENERAL",
            "weights": [
                {"department_code": "IT", "weight": "1"},
                {"department_code": "OPS", "weight": "3"},
            ],
        }
    ]
    order = {"entity": str(customer.pk), "steps": steps, "reason": "services", **SEPTEMBER}

    for wrong in ({"rule": str(uuid4())}, {"steps": []}):
        assert client.post(f"{API}allocation-runs", order | wrong, headers=once()).status_code == 400
    asked = client.post(f"{API}allocation-runs", order, headers=once())
    assert asked.status_code == 202, asked.content
    assert run_job(job_id=Job.objects.get().pk)

    live = CostAllocation.objects.filter(basis="stepdown", reverses=None).select_related("department")
    assert {share.department.code: share.net_amount for share in live} == {
        "IT": Decimal(25),
        "OPS": Decimal(75),
    }


def test_a_gl_code_is_mapped_and_ends(api, customer):
    client = api(user("FC", customer.parent))
    order = {"entity": str(customer.pk), "tax_category": "S", "gl_code": "8000", "starts_on": "2024-01-01"}

    made = client.post(f"{API}gl-code-mappings", order)
    assert made.status_code == 201, made.content
    twice = client.post(f"{API}gl-code-mappings", order)
    assert (twice.status_code, twice.json()["code"]) == (409, "gl-code-mapping-overlaps")
    ended = client.post(
        f"{API}gl-code-mappings/{made.json()['id']}/end", {"ends_on": "2025-01-01", "reason": "new chart"}
    )
    assert (ended.status_code, ended.json()["ends_on"]) == (200, "2025-01-01")
    assert client.get(f"{API}gl-code-mappings?in_force_on=2024-12-31").json()["results"]
    assert not client.get(f"{API}gl-code-mappings?in_force_on=2025-01-01").json()["results"]


def test_others_see_and_do_nothing_and_readers_only_read(api, customer):
    rule = make_rule(customer, to("IT", 100))
    run = AllocationRun.objects.create(
        entity=customer,
        kind="rule",
        rule_version=rule.versions.get(),
        starts_on=AS_OF,
        ends_on=date(2024, 11, 1),
        posted_on=AS_OF,
        reason="test",
        requested_by="test",
    )
    mapping = services.add_gl_code_mapping(
        actor="test", entity_id=customer.pk, tax_category="S", gl_code="8000", starts_on=AS_OF
    )
    objects = (
        f"allocation-rules/{rule.pk}",
        f"allocation-runs/{run.pk}",
        f"gl-code-mappings/{mapping.pk}",
    )
    stranger, auditor = api(user("FC", make_seller())), api(user("AU", customer.parent))

    for address in objects:
        assert stranger.get(f"{API}{address}").status_code == 404
        assert stranger.get(f"{API}{address.split('/')[0]}").json()["results"] == []
        assert auditor.get(f"{API}{address}").status_code == 200
    order = {"rule": str(rule.pk), "reason": "as agreed", **SEPTEMBER}
    assert stranger.post(f"{API}allocation-runs", order, headers=once()).status_code == 400
    for address, body in (
        (f"{objects[0]}/simulate", SEPTEMBER),
        (f"{objects[0]}/retire", {"ends_on": "2025-01-01", "reason": "x"}),
        ("allocation-runs", order),
        (f"{objects[2]}/end", {"ends_on": "2025-01-01", "reason": "x"}),
    ):
        assert auditor.post(f"{API}{address}", body, headers=once()).status_code == 403
    assert AllocationRun.objects.count() == 1
    assert GLCodeMapping.objects.get().ends_on is None
