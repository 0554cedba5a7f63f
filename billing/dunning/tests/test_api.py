"""Dunning over the wire: policies, assignments, pauses, what was done, and late fees."""

from decimal import Decimal

import pytest

from billing.dunning.models import DunningAssignment, DunningPause, DunningPolicy, LateFee
from billing.dunning.tests.makers import FEE, FIRST, make_late_invoice, make_policy, run
from billing.dunning.tests.test_running import late
from billing.entities.tests.makers import make_grant
from billing.payments.tests.makers import make_customer, make_seller

pytestmark = pytest.mark.django_db

API = "/api/v1/enterprise-billing/"
STEPS = [
    {"days_after_due": 14, "effect": "late_fee", "fee_basis": "flat"},
    {"days_after_due": -2, "effect": "notify", "template": "friendly_note"},
    {"days_after_due": 14, "effect": "notify", "template": "reminder"},
]
TERMS = {
    "name": "Public sector",
    "entity_class": "public sector",
    "interest_percent": "9.12",
    "steps": STEPS,
    "amounts": [{"currency": "EUR", "minimum_amount": "5.00", "fee_amount": "40.00"}],
}


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def as_role(api, seller):
    return lambda role: api(make_grant(role=role, entity=seller).user)


def post(client, path: str, body: dict):
    return client.post(path if path.startswith("http") else API + path, body, format="json")


def test_a_controller_makes_activates_revises_and_retires_a_policy(as_role, seller):
    controller = as_role("FC")

    made = post(controller, "dunning-policies", {"seller": str(seller.pk), "code": "PUB", **TERMS})
    assert made.status_code == 201, made.json()
    assert (made.json()["state"], made.json()["revision"]) == ("draft", 1)
    assert [(s["position"], s["days_after_due"], s["effect"]) for s in made.json()["steps"]] == [
        (1, -2, "notify"),
        (2, 14, "late_fee"),
        (3, 14, "notify"),
    ]
    assert made.json()["amounts"] == [{"currency": "EUR", "minimum_amount": "5.00", "fee_amount": "40.00"}]
    assert made.json()["interest_percent"] == "9.12"
    address = made["Location"]

    assert post(controller, f"{address}/activate", {}).json()["state"] == "active"
    revised = post(controller, f"{address}/revise", TERMS | {"name": "Public"})
    assert (revised.status_code, revised.json()["revision"], revised.json()["state"]) == (201, 2, "draft")
    again = post(controller, f"{address}/revise", TERMS)
    assert (again.status_code, again.json()["code"]) == (409, "dunning-policy-draft-exists")
    assert post(controller, f"{revised['Location']}/activate", {}).json()["state"] == "active"
    assert controller.get(address).json()["state"] == "retired"
    assert post(controller, f"{revised['Location']}/retire", {"reason": "x"}).json()["state"] == "retired"
    listed = controller.get(f"{API}dunning-policies", {"code": "pub", "state": "retired"}).json()["results"]
    assert {policy["revision"] for policy in listed} == {1, 2}


@pytest.mark.parametrize(
    ("_case", "changes", "status", "code"),
    [
        ("no steps", {"steps": []}, 400, "invalid-dunning-policy"),
        ("something after a stop", {"steps": [
            {"days_after_due": 5, "effect": "stop"}, *STEPS]}, 400, "invalid-dunning-policy"),
        ("the same twice on a day", {"steps": [STEPS[1], STEPS[1]]}, 400, "invalid-dunning-policy"),
        ("a reminder without words", {"steps": [
            {"days_after_due": 5, "effect": "notify"}]}, 400, "invalid-dunning-policy"),
        ("a fee before it is due", {"steps": [
            {"days_after_due": -1, "effect": "late_fee", "fee_basis": "flat"}]}, 400, "invalid-dunning-policy"),
        ("a flat fee of no amount", {"amounts": []}, 400, "invalid-dunning-policy"),
        ("a currency twice", {"amounts": TERMS["amounts"] * 2}, 400, "invalid-dunning-policy"),
        ("interest of no percentage", {"interest_percent": None, "steps": [
            {"days_after_due": 5, "effect": "late_fee", "fee_basis": "interest"}]}, 400, "invalid-dunning-policy"),
    ],
)  # fmt: skip
def test_what_makes_no_policy_is_refused_and_nothing_is_kept(as_role, seller, _case, changes, status, code):
    answer = post(
        as_role("FC"), "dunning-policies", {"seller": str(seller.pk), "code": "X", **TERMS, **changes}
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert DunningPolicy.objects.count() == 0


def test_an_operator_assigns_what_a_controller_made_and_makes_nothing(as_role, seller):
    policy = make_policy(seller=seller)
    customer = make_customer(parent=seller)
    operator, body = as_role("BO"), {"seller": str(seller.pk), "code": "X", **TERMS}

    assert post(operator, "dunning-policies", body).status_code == 403
    order = {"customer": str(customer.pk), "policy": str(policy.pk), "starts_on": "2026-01-01"}
    made = post(operator, "dunning-assignments", order)
    again = post(operator, "dunning-assignments", order)
    ended = post(operator, f"{made['Location']}/end", {"ends_on": "2026-06-01", "reason": "moved"})

    assert (made.status_code, made.json()["policy_code"]) == (201, policy.code)
    assert (again.status_code, again.json()["code"]) == (409, "dunning-assignment-overlaps")
    assert (ended.status_code, ended.json()["ends_on"]) == (200, "2026-06-01")
    assert DunningAssignment.objects.count() == 1


def test_policies_and_customers_of_others_do_not_exist(as_role, seller):
    theirs = make_policy()
    ours = make_customer(parent=seller)
    controller = as_role("FC")

    order = {"customer": str(ours.pk), "policy": str(theirs.pk), "starts_on": "2026-01-01"}
    answer = post(controller, "dunning-assignments", order)

    assert (answer.status_code, DunningAssignment.objects.count()) == (400, 0)
    assert controller.get(f"{API}dunning-policies/{theirs.pk}").status_code == 404
    invoice = make_late_invoice()
    paused = post(controller, "dunning-pauses", {"invoice": str(invoice.pk), "reason": "x"})
    assert (paused.status_code, DunningPause.objects.count()) == (400, 0)


def test_a_part_is_paused_and_resumed(as_role, seller, freeze):
    freeze("2026-02-02T12:00:00Z")
    invoice = make_late_invoice(customer=make_customer(parent=seller))
    operator = as_role("BO")
    order = {"invoice": str(invoice.pk), "amount": "30.00", "kind": "dispute", "reason": "Wrong quantity"}

    made = post(operator, "dunning-pauses", order)
    too_much = post(operator, "dunning-pauses", order | {"amount": "70.01"})
    uneven = post(operator, "dunning-pauses", order | {"amount": "0.001"})
    ended = post(operator, f"{made['Location']}/end", {"reason": "Settled"})
    again = post(operator, f"{made['Location']}/end", {"reason": "Settled"})

    assert (made.status_code, made.json()["amount"], made.json()["starts_on"]) == (201, "30.00", "2026-02-02")
    assert (too_much.status_code, too_much.json()["code"]) == (422, "dunning-hold-exceeds-open-amount")
    assert uneven.status_code == 400
    assert (ended.status_code, ended.json()["ends_on"]) == (200, "2026-02-02")
    assert (again.status_code, again.json()["code"]) == (422, "invalid-dunning-hold-end-date")
    assert DunningPause.objects.count() == 1


def test_an_approver_sees_pauses_and_makes_none(as_role, seller):
    invoice = make_late_invoice(customer=make_customer(parent=seller))
    approver = as_role("AP")

    assert approver.get(f"{API}dunning-pauses").status_code == 200
    answer = post(approver, "dunning-pauses", {"invoice": str(invoice.pk), "reason": "x"})
    assert (answer.status_code, DunningPause.objects.count()) == (403, 0)


def test_what_was_done_is_listed_by_invoice_and_a_fee_is_waived_once(as_role, seller):
    make_policy(seller=seller)
    invoice = make_late_invoice(customer=make_customer(parent=seller, email="a@example.com"))
    run(seller, late(FIRST))
    run(seller, late(FEE))
    viewer, controller = as_role("VW"), as_role("FC")

    notices = viewer.get(f"{API}dunning-notices", {"invoice": str(invoice.pk), "outcome": "taken"})
    [reminder, fee_notice] = sorted(notices.json()["results"], key=lambda one: one["days_late"])
    assert (reminder["step"]["template"], reminder["collectable_amount"]) == ("reminder", "100.00")
    assert fee_notice["detail"] == {"amount": "40.00", "currency": "EUR", "basis": "flat"}
    [case] = viewer.get(f"{API}dunning-cases", {"state": "open"}).json()["results"]
    assert case["invoice_number"] == invoice.number
    [fee] = viewer.get(f"{API}late-fees", {"state": "to_be_billed"}).json()["results"]
    assert fee["amount"] == "40.00"

    assert post(viewer, f"late-fees/{fee['id']}/waive", {"reason": "x"}).status_code == 403
    assert (
        post(controller, f"late-fees/{fee['id']}/waive", {"reason": "goodwill"}).json()["state"] == "waived"
    )
    again = post(controller, f"late-fees/{fee['id']}/waive", {"reason": "goodwill"})
    assert (again.status_code, again.json()["code"]) == (409, "illegal-move")
    assert LateFee.objects.get().amount == Decimal(40)
