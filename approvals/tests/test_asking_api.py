"""Over the API: the act's own endpoint refuses, the kind's endpoint asks, and strangers see nothing to ask about."""

from uuid import uuid4

import pytest

from approvals.models import ApprovalRequest
from approvals.tests.acts import ACTS
from approvals.tests.makers import decide
from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing.models import CreditNote, Invoice
from billing.ledger.models import AccountingPeriod

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"

# kind: the endpoint that asks, what it is about, the endpoint that does it, and the members of both bodies
ENDPOINTS = {
    "write_off": (
        "approvals/write-offs",
        ("invoice", Invoice),
        "invoices/{}/write-off",
        {"reason": "bankrupt"},
        {"written_off_on": "2026-12-31"},
    ),
    "invoice": (
        "approvals/invoices",
        ("invoice", Invoice),
        "invoices/{}/issue",
        {},
        {"issued_on": "2026-12-31"},
    ),
    "period_reopening": (
        "approvals/period-reopenings",
        ("period", AccountingPeriod),
        "ledger/periods/{}/reopen",
        {"reason": "a late entry"},
        {},
    ),
    "pay_back": (
        "approvals/pay-backs",
        ("credit_note", CreditNote),
        "credit-notes/{}/redirect",
        {"reason": "they leave"},
        {"remainder_to": "refund"},
    ),
}


@pytest.fixture(params=ENDPOINTS)
def kind(request):
    return request.param


def post(api, user, path, body, version=None):
    headers = {"Idempotency-Key": str(uuid4())} | ({"If-Match": f'"{version}"'} if version else {})
    return api(user).post(f"{API}{path}", body, format="json", headers=headers)


def test_every_kind_has_its_endpoint():
    """That of credit notes is in `test_credit_notes`."""
    assert set(ENDPOINTS) | {"credit_note"} == set(ACTS)


def test_what_was_refused_is_asked_for_and_done_by_the_consent(api, kind):
    act = ACTS[kind]()
    asking, (member, model), doing, body, more = ENDPOINTS[kind]
    subject = model.objects.earliest("pk")
    refused = post(api, act.controller, doing.format(subject.pk), body | more, subject.version)
    assert (refused.status_code, refused.json()["code"]) == (409, "approval-required"), refused.json()

    asked = post(api, act.controller, asking, body | {member: str(subject.pk), "comment": "please"})

    assert (asked.status_code, asked.json()["kind"], asked.json()["state"]) == (201, kind, "pending")
    assert not act.is_done()
    decide(ApprovalRequest.objects.get(), act.boss)
    assert act.is_done()


def test_strangers_and_approvers_do_not_ask(api, kind):
    act = ACTS[kind]()
    asking, (member, model), _, body, _ = ENDPOINTS[kind]
    body = body | {member: str(model.objects.earliest("pk").pk)}
    stranger = make_grant(role="FC", entity=make_entity()).user
    assert post(api, stranger, asking, body).status_code == 400
    assert post(api, act.boss, asking, body).status_code == 403
    assert not ApprovalRequest.objects.exists()
