"""Whatever a client can send, to every operation of the published schema: a 4xx problem, and nothing changes.

The operations come from the OpenAPI document, so a new endpoint is covered the day it is published.
"""

import json
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import pytest
from django.db import connection
from drf_spectacular.generators import SchemaGenerator

from approvals.tests.makers import asks_role, make_approval_rule, make_delegation, make_request
from billing.access.roles import Role
from billing.access.tests.makers import make_key
from billing.dunning import services as dunning
from billing.dunning.models import LateFee
from billing.dunning.tests.makers import make_policy
from billing.entities.tests.makers import make_entity, make_exception, make_grant, make_user
from billing.invoicing import services as invoicing
from billing.invoicing.models import AllocationRun, AllocationRunKind, Invoice
from billing.invoicing.tests.consolidation_makers import consolidate
from billing.invoicing.tests.makers import (
    AS_OF,
    make_discount,
    make_discount_grant,
    make_draft,
    make_rule,
    make_seller,
    to,
)
from billing.kernel.background_jobs import start_job
from billing.kernel.hooks import background_job
from billing.kernel.models import Job, OutboxEvent
from billing.kernel.tests.commits import as_if_committed
from billing.ledger.models import AccountingPeriod, JournalEntry, LedgerAccount
from billing.subscriptions.models import Price, Product
from billing.subscriptions.tests.license_makers import make_license
from billing.subscriptions.tests.makers import make_plan, make_subscription
from billing.usage.models import Meter, UsageEvent
from billing.usage.tests.makers import make_quota

pytestmark = pytest.mark.django_db

DEEP = 1_000
BODIES = {
    "not JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "a string": b'"x"',
    "a member twice": b'{"name": "a", "name": "b"}',
    "an unknown member": b'{"surprise": 1}',
    "NaN": b'{"amount": NaN}',
    "infinity": b'{"amount": -Infinity}',
    "1e999": b'{"amount": 1e999}',
    "a huge number": b'{"amount": ' + b"9" * 5000 + b"}",
    "1,000 deep": b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "100,000 deep and never closed": b'{"a": ' + b"[" * 100_000,
    "NUL": b'{"name": "a\\u0000b"}',
    "NUL in a member's name": b'{"na\\u0000me": "a"}',
    "a lone surrogate": b'{"name": "\\ud800"}',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "a"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a comment": b'{} // "name"',
    "two documents": b"{}{}",
}
VALUES = [
    None,
    True,
    0,
    -1,
    12.5,
    10**40,
    "",
    " ",
    "\u0661\u0662",
    "１２",
    "1_000",
    "-0",
    "1e3",
    " 5 ",
    "NaN",
    "0001-01-01",
    "9999-12-31",
    "2026-02-30",
    "23:59:60",
    "../../etc/passwd",
    "x" * 10_000,
    [],
    [[]],
    {},
    {"$gt": ""},
]
QUERIES = ["%00", "%ED%A0%80", "%FF", "x" * 3000, "%D9%A1", "1e999", "-1", "", "[]", "2026-02-30"]


@cache
def operations() -> list[tuple[str, str, dict]]:
    """(method, path, operation) for everything published."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    schemas = document["components"]["schemas"]
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            members = _members(content.get("schema", {}), schemas)
            names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
            found.append((method, path, {"members": members, "queries": names, "json": bool(content)}))
    return found


def _members(schema: dict, schemas: dict) -> list[str]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    inner = [m for part in schema.get("oneOf", []) + schema.get("allOf", []) for m in _members(part, schemas)]
    return [*schema.get("properties", {}), *inner]


def writes() -> list:
    return [pytest.param(m, p, o, id=f"{m} {p}") for m, p, o in operations() if m != "get"]


def reads() -> list:
    return [pytest.param(p, o, id=p) for m, p, o in operations() if m == "get"]


@background_job("test.nothing")
def _nothing(job, progress):
    return {}


@pytest.fixture
def world() -> dict[str, object]:
    """One object of every kind, and two people who between them may do everything, for path parameters."""
    seller = make_seller()
    customer = make_entity(parent=seller)
    for _ in range(2):
        make_grant(role="FC", entity=seller)
    approval_rule = make_approval_rule(seller, asks_role("FC"), is_fallback=True)
    approval = make_request(customer)
    draft = make_draft(seller=seller, customer=customer)
    invoicing.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=AS_OF)
    as_if_committed()
    run = invoicing.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF)
    exemption = invoicing.add_tax_exemption(
        actor="test", customer_id=customer.pk, country="DE", certificate="NV 1", starts_on=AS_OF
    )
    note = invoicing.issue_credit_note(
        actor="test", invoice_id=draft.pk, issued_on=AS_OF, reason="late", net_amount=Decimal(1)
    )
    consolidation = consolidate(
        customer, seller=seller, period_starts_on=AS_OF, period_ends_on=date(2024, 11, 1), issued_on=AS_OF
    ).document
    rule = make_rule(customer, to(customer.departments.get().code, 100))
    allocation_run = AllocationRun.objects.create(
        entity=customer,
        kind=AllocationRunKind.RULE,
        rule_version=rule.versions.get(),
        starts_on=AS_OF,
        ends_on=AS_OF + timedelta(days=1),
        posted_on=AS_OF,
        reason="test",
        requested_by="test",
    )
    mapping = invoicing.add_gl_code_mapping(
        actor="test", entity_id=customer.pk, tax_category="S", gl_code="6400", starts_on=AS_OF
    )
    grant = make_discount_grant(customer, make_discount(seller))
    meter = Meter.objects.get()
    quota = make_quota(meter=meter, entity=customer, limit_quantity=Decimal(1))
    license = make_license(entity=customer, product=Product.objects.get())
    plan = make_plan(products=[meter.product])
    subscription = make_subscription(plan=plan, entity=customer)
    key, _ = make_key()
    dunned = _dunned(Invoice.objects.get(pk=draft.pk))
    start_job(kind="test.nothing", parameters={}, requested_by="test", entity_id=seller.pk)
    return {
        "entity_id": customer.pk,
        "department_id": customer.departments.get().pk,
        "invoice_id": draft.pk,
        "run_id": run.pk,
        "exemption_id": exemption.pk,
        "credit_note_id": note.pk,
        "consolidated_invoice_id": consolidation.pk,
        "rule_id": rule.pk,
        "allocation_run_id": allocation_run.pk,
        "mapping_id": mapping.pk,
        "discount_id": grant.discount_id,
        "grant_id": grant.pk,
        "meter_id": meter.pk,
        "quota_id": quota.pk,
        "alert_id": quota.alerts.first().pk,
        "key_id": key.pk,
        "license_id": license.pk,
        "product_id": Product.objects.get().pk,
        "price_id": Price.objects.get().pk,
        "plan_id": plan.pk,
        "subscription_id": subscription.pk,
        "account_id": LedgerAccount.objects.first().pk,
        "entry_id": JournalEntry.objects.first().pk,
        "period_id": AccountingPeriod.objects.get().pk,
        "event_id": UsageEvent.objects.get().pk,
        "job_id": Job.objects.get().pk,
        "payment_id": OutboxEvent.objects.first().pk,
        "request_id": approval.pk,
        "approval_rule_id": approval_rule.rule_id,
        "delegation_id": _given_by_a_controller(seller),
        "role_grant_id": make_grant(role="VW", entity=customer).pk,
        "role_exception_id": make_exception(make_user(), "BO", "FC", entity=customer).pk,
        "seller": seller,
    } | dunned


def _dunned(invoice: Invoice) -> dict[str, object]:
    """One late fee of one case of the invoice, and what else dunning has."""
    policy = make_policy(
        seller=invoice.seller,
        steps=[{"days_after_due": 1, "effect": "late_fee", "fee_basis": "flat"}],
        amounts=[{"currency": invoice.currency, "fee_amount": Decimal(40)}],
    )
    assignment = dunning.assign_policy(
        actor="test", customer_id=invoice.customer_id, policy_id=policy.pk, starts_on=AS_OF
    )
    dunning.run_dunning(actor="test", seller_id=invoice.seller_id, as_of=invoice.due_on + timedelta(days=1))
    pause = dunning.pause_dunning(
        actor="test", invoice_id=invoice.pk, as_of=AS_OF, reason="disputed", amount=Decimal(1)
    )
    fee = LateFee.objects.get()
    return {
        "policy_id": policy.pk,
        "assignment_id": assignment.pk,
        "case_id": fee.notice.case_id,
        "notice_id": fee.notice_id,
        "pause_id": pause.pk,
        "fee_id": fee.pk,
    }


def _given_by_a_controller(seller):
    one, two = (make_grant(role="FC", entity=seller).user for _ in range(2))
    return make_delegation(one, two).pk


@pytest.fixture
def clients(world, api):
    """A controller, an operator and a role admin: together they may call everything."""
    return [
        api(make_grant(role=role, entity=world["seller"]).user, raise_bugs=False)
        for role in (Role.FINANCE_CONTROLLER, Role.BILLING_OPERATOR, Role.SYSTEM_ADMIN)
    ]


def everything() -> dict[str, str]:
    """A digest of the rows of every table of ours, but for idempotency keys."""
    with connection.cursor() as cursor:
        tables = sorted(
            set(connection.introspection.table_names(cursor)) - {"idempotency_keys", "django_session"}
        )
        # Each digest names its table: without an order of their own, parts of a UNION may come in any.
        cursor.execute(
            " UNION ALL ".join(
                f"SELECT '{table}', md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM \"{table}\" t"
                for table in tables
            )
        )
        return dict(cursor.fetchall())


def refused(answer, said: str) -> None:
    assert 400 <= answer.status_code < 500, f"{said}: {answer.status_code}"
    assert answer.headers["Content-Type"].startswith("application/problem+json"), said
    problem = json.loads(answer.content)
    assert {"type", "title", "status", "code", "request_id"} <= set(problem), said
    assert problem["status"] == answer.status_code


def send(client, method: str, path: str, body: bytes, content_type="application/json"):
    return client.generic(
        method.upper(), path, body, content_type, HTTP_IDEMPOTENCY_KEY="k" * 20, HTTP_IF_MATCH='"1"'
    )


def fill(path: str, world: dict) -> str:
    for name, value in world.items():
        path = path.replace(f"{{{name}}}", str(value))
    assert "{" not in path, f"the world has no {path}"
    return path


@pytest.mark.parametrize(("method", "path", "operation"), writes())
def test_a_bad_body_is_refused_and_changes_nothing(method, path, operation, world, clients):
    if not operation["json"]:
        bodies = {"bytes": b"\x00\xff"}
    else:
        bodies = dict(BODIES)
        for value in VALUES:
            for member in operation["members"]:
                bodies[f"{member}={value!r:.40}"] = json.dumps({member: value, "surprise": 1}).encode()
    target = fill(path, world)
    client = next(c for c in clients if send(c, method, target, b"[]").status_code != 403)
    before = everything()

    for said, body in bodies.items():
        refused(send(client, method, target, body), said)
    for content_type in ("text/plain", "application/xml", "application/json; charset=utf-16", ""):
        refused(send(client, method, target, b"<x/>", content_type), content_type)

    assert everything() == before


@pytest.mark.parametrize(("path", "operation"), reads())
def test_a_bad_query_is_refused_or_harmless(path, operation, world, clients):
    target = fill(path, world)

    client = next(c for c in clients if c.get(f"{target}?surprise=1").status_code != 403)

    for name in [*operation["queries"], "surprise", "a[b]"]:
        for value in QUERIES:
            answer = client.get(f"{target}?{name}={value}")
            if answer.status_code != 200:
                refused(answer, f"{name}={value:.30}")
    refused(client.get(f"{target}?surprise=1"), "an unknown parameter")


@pytest.mark.parametrize(("method", "path", "operation"), [p for p in writes() if "{" in p.values[1]])
def test_a_wrong_id_is_not_found(method, path, operation, world, clients):
    before = everything()

    for wrong in ("abc", "%00", "..%2f..", "00000000-0000-0000-0000-000000000000", "0" * 400, "%ED%A0%80"):
        target = path
        for name in world:
            target = target.replace(f"{{{name}}}", wrong)
        for client in clients:
            refused(send(client, method, target, b'{"reason": "x"}'), wrong)

    assert everything() == before
