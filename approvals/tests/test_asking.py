"""In the console what needs approval is asked for on the very page that would have done it."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from approvals.models import ApprovalRequest
from approvals.tests import acts
from billing.entities.models import RoleGrant
from billing.entities.tests.makers import make_grant
from billing.invoicing.models import CreditNote, Invoice

pytestmark = pytest.mark.django_db


def signed_in(user) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def action_page(model: str, verb: str, pk) -> str:
    return reverse(f"admin:{model}_action_{verb}", args=[pk])


def hidden(page: str, name: str) -> str:
    return re.search(f'name="{name}" value="([^"]*)"', page).group(1)


def approve(request, boss):
    page = reverse("admin:approvals_inboxrequest_action_approve", args=[request.pk])
    signed_in(boss).post(page, {"confirm": "1", "once": "approve", "comment": ""})


def test_a_write_off_above_a_limit_is_asked_for_on_its_own_page():
    act = acts.write_off("10000.01")
    invoice = Invoice.objects.get()
    page, browser = action_page("invoicing_invoice", "write_off", invoice.pk), signed_in(act.controller)
    given = {"written_off_on": str(acts.today()), "reason": "bankrupt"}
    first = browser.get(page).content.decode()
    assert "Request approval" not in first

    refused = browser.post(page, given | {"confirm": "yes", "once": hidden(first, "once")}).content.decode()

    assert f"ask for it first: Write-off of {invoice.number}, 10000.01 EUR" in refused
    assert "bankrupt" in refused  # as it was filled in
    assert not act.is_done()
    assert not ApprovalRequest.objects.exists()

    asking = given | {"ask": "yes", "once": hidden(refused, "once"), "approval_comment": "no way to pay"}
    told = browser.post(page, asking, follow=True).content.decode()
    browser.post(page, asking)  # a second click

    request = ApprovalRequest.objects.get()
    assert f"Write-off of {invoice.number}: asked for." in told
    assert (request.requester, request.actions.get().comment) == (act.controller, "no way to pay")
    assert request.content["terms"] == {"reason": "bankrupt"}
    assert not act.is_done()
    approve(request, act.boss)
    assert act.is_done()


def test_another_bank_account_is_asked_for_on_its_own_page():
    act = acts.payee_data()
    page, browser = (
        action_page("entities_billingentity", "change_legal", act.place.pk),
        signed_in(act.controller),
    )
    first = browser.get(page)
    given = {name: value for name, value in first.context["form"].initial.items() if value is not False}
    given |= {"iban": "DE89 3704 0044 0532 0130 00", "once": "once"}

    refused = browser.post(page, given | {"confirm": "yes"}).content.decode()

    assert f"ask for it first: Change of bank account of {act.place.code}" in refused
    assert 'value="DE89 3704 0044 0532 0130 00"' in refused
    assert not act.is_done()
    browser.post(page, given | {"ask": "yes", "once": hidden(refused, "once")})
    request = ApprovalRequest.objects.get()
    told = signed_in(act.boss).get(reverse("admin:approvals_approvalrequest_change", args=[request.pk]))
    changes, facts, *_ = told.context["tables"]
    assert changes.rows == [["Bank account: iban", "–", "DE89370400440532013000"]]
    assert ["Requester", f"{act.controller}, {act.controller.pk}"] in facts.rows
    assert not any("{" in value for _, value in facts.rows)
    approve(request, act.boss)
    assert act.is_done()


def test_a_role_is_asked_for_where_it_would_be_confirmed():
    act = acts.role_grant()
    grant = RoleGrant.objects.get(confirmed_at=None)
    page, browser = action_page("entities_rolegrant", "confirm", grant.pk), signed_in(act.controller)
    refused = browser.post(page, {"confirm": "yes", "once": "once"}).content.decode()
    assert "ask for it first: Contract manager at" in refused
    browser.post(page, {"ask": "yes", "once": hidden(refused, "once")})
    assert not act.is_done()
    approve(ApprovalRequest.objects.get(), act.boss)
    assert act.is_done()


def test_an_operator_only_asks():
    act = acts.write_off()
    invoice, clerk = Invoice.objects.get(), make_grant(role="BO", entity=act.place).user
    page, browser = action_page("invoicing_invoice", "write_off", invoice.pk), signed_in(clerk)
    shown = browser.get(page).content.decode()
    assert "Request approval" in shown
    assert 'name="confirm"' not in shown
    given = {"written_off_on": str(acts.today()), "reason": "bankrupt", "once": hidden(shown, "once")}

    browser.post(page, given | {"confirm": "yes"})
    assert not act.is_done()
    assert not ApprovalRequest.objects.exists()

    browser.post(page, given | {"ask": "yes"})
    assert ApprovalRequest.objects.get().requester == clerk
    assert not act.is_done()


def test_who_may_neither_do_nor_ask_has_no_such_page():
    act = acts.write_off()
    viewer = make_grant(role="VW", entity=act.place).user
    page = action_page("invoicing_invoice", "write_off", Invoice.objects.get().pk)
    assert signed_in(viewer).post(page, {"ask": "yes"}).status_code == 403
    assert not ApprovalRequest.objects.exists()


def test_what_refuses_the_act_refuses_the_request():
    act = acts.write_off()
    page = action_page("invoicing_invoice", "write_off", Invoice.objects.get().pk)
    given = {"written_off_on": "2020-01-01", "reason": "bankrupt", "ask": "yes", "once": "a"}
    told = signed_in(act.controller).post(page, given, follow=True).content.decode()
    assert "it cannot be written off before" in told
    assert not ApprovalRequest.objects.exists()


def test_a_credit_note_is_asked_for_by_an_operator_after_he_has_seen_it():
    act = acts.credit_note()
    invoice, clerk = Invoice.objects.get(), make_grant(role="BO", entity=act.place).user
    page, browser = action_page("invoicing_invoice", "credit", invoice.pk), signed_in(clerk)
    given = {
        "issued_on": str(acts.today()),
        "net_amount": "10000.01",
        "remainder_to": "balance",
        "reason": "late",
        "once": "a",
    }
    seen = browser.post(page, given | {"preview": "yes"}).content.decode()
    assert "Request approval" in seen
    browser.post(page, given | {"ask": "yes", "seen": hidden(seen, "seen"), "approval_comment": "as agreed"})

    request = ApprovalRequest.objects.get()
    assert (str(request.amount), request.actions.get().comment) == ("10000.0100", "as agreed")
    approve(request, act.boss)
    assert str(CreditNote.objects.get().total_amount) == "10000.0100"
