"""Over the API: the act's own endpoint refuses, the kind's endpoint asks, and strangers see nothing to ask about."""

from uuid import uuid4

import pytest

from approvals.models import ApprovalRequest
from approvals.tests.acts import ACTS
from approvals.tests.makers import decide
from billing.entities.tests.makers import make_entity, make_grant
from billing.kernel.api import approval

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"

# kind: the endpoint that asks, what it is about, the endpoint that does it, and the members of both bodies
ENDPOINTS = {
    "write_off": (
        "approvals/write-offs",
        "invoice",
        "invoices/{}/write-off",
        {"reason": "bankrupt"},
        {"written_off_on": "2026-12-31"},
    ),
    "invoice": (
        "approvals/invoices",
        "invoice",
        "invoices/{}/issue",
        {},
        {"issued_on": "2026-12-31"},
    ),
    "period_reopening": (
        "approvals/period-reopenings",
        "period",
        "ledger/periods/{}/reopen",
        {"reason": "a late entry"},
        {},
    ),
    "pay_back": (
        "approvals/refunds",
        "credit_note",
        "credit-notes/{}/redirect",
        {"reason": "they leave"},
        {"remainder_to": "refund"},
    ),
    "role_grant": ("approvals/role-grants", "role_grant", "role-grants/{}/confirm", {}, {}),
    "payee_data": (
        "approvals/payee-data",
        "entity",
        "entities/{}",
        {"changes": {"bank_account": {"iban": "DE89 3704 0044 0532 0130 00"}}},
        {},
    ),
}


@pytest.fixture(params=ENDPOINTS)
def kind(request):
    return request.param


def post(api, user, path, body):
    headers = {"Idempotency-Key": str(uuid4())}
    return api(user).post(f"{API}{path}", body, format="json", headers=headers)


def do(api, act):
    """By the endpoint that would do it, if nobody were to be asked."""
    _, _, doing, body, more = ENDPOINTS[act.kind]
    act.subject.refresh_from_db()
    headers = {"Idempotency-Key": str(uuid4()), "If-Match": f'"{act.subject.version}"'}
    path = f"{API}{doing.format(act.subject.pk)}"
    if act.kind == "payee_data":
        return api(act.controller).patch(path, body["changes"], format="json", headers=headers)
    return api(act.controller).post(path, body | more, format="json", headers=headers)


def test_every_kind_has_its_endpoint():
    """That of credit notes is in `test_credit_notes`."""
    assert set(ENDPOINTS) | {"credit_note"} == set(ACTS)


def test_who_may_ask_asks_by_the_act_itself(api, kind):
    act = ACTS[kind]()

    asked = do(api, act)

    request = ApprovalRequest.objects.get()
    shown = asked.json()["approval_request"]
    assert (asked.status_code, shown["id"], shown["state"]) == (202, str(request.pk), "pending")
    assert asked["Location"].endswith(f"/approvals/requests/{request.pk}")
    assert api(act.controller).get(asked["Location"]).json() == shown
    assert not act.is_done()
    decide(request, act.boss)
    assert act.is_done()


def test_who_may_only_do_it_is_refused(api, kind, monkeypatch):
    monkeypatch.setattr(approval, "RESPONDERS", [])
    act = ACTS[kind]()
    refused = do(api, act)
    assert (refused.status_code, refused.json()["code"]) == (409, "approval-required"), refused.json()
    assert not act.is_done()
    assert not ApprovalRequest.objects.exists()


def test_the_kinds_own_endpoint_asks_with_a_comment(api, kind):
    act = ACTS[kind]()
    asking, member, _, body, _ = ENDPOINTS[kind]

    asked = post(api, act.controller, asking, body | {member: str(act.subject.pk), "comment": "please"})

    assert (asked.status_code, asked.json()["kind"], asked.json()["state"]) == (201, kind, "pending")
    assert not act.is_done()
    decide(ApprovalRequest.objects.get(), act.boss)
    assert act.is_done()


def test_strangers_and_approvers_do_not_ask(api, kind):
    act = ACTS[kind]()
    asking, member, _, body, _ = ENDPOINTS[kind]
    body = body | {member: str(act.subject.pk)}
    stranger = make_grant(role="FC", entity=make_entity()).user
    assert post(api, stranger, asking, body).status_code == 400
    assert post(api, act.boss, asking, body).status_code == 403
    assert not ApprovalRequest.objects.exists()
