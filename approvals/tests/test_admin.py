"""The console: my inbox, a decision behind a confirmation, history, rules that another confirms, stand-ins."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from approvals.models import ApprovalDelegation, ApprovalRequest
from approvals.services import propose_rule
from approvals.services.rules import RuleTerms
from approvals.states import RequestState
from approvals.tests.makers import asks, asks_role, decide, make_approval_rule, make_approver, make_request
from billing.entities.tests.makers import make_entity, make_grant

pytestmark = pytest.mark.django_db


@pytest.fixture
def entity():
    return make_entity()


@pytest.fixture
def boss(entity):
    return make_approver(entity)


def signed_in(user) -> Client:
    browser = Client()
    browser.force_login(user, backend="billing.entities.backends.GrantBackend")
    return browser


def page(model: str, name: str, *args) -> str:
    return reverse(f"admin:approvals_{model}_{name}", args=args)


def listed(browser, model: str) -> set:
    return {row.pk for row in browser.get(page(model, "changelist")).context["cl"].result_list}


def test_my_inbox_is_what_waits_for_me(entity, boss):
    other = make_approver(entity)
    make_approval_rule(entity, asks(boss), asks(other), is_fallback=True)
    first, second = make_request(entity), make_request(entity)
    decide(second, boss)

    assert listed(signed_in(boss), "inboxrequest") == {first.pk}
    assert listed(signed_in(other), "inboxrequest") == {second.pk}
    assert signed_in(boss).get(page("inboxrequest", "change", second.pk)).status_code == 302


def test_approving_asks_first_and_says_what(entity, boss):
    request = make_request(entity, asks(boss), amount="21000.00")
    browser = signed_in(boss)
    address = page("inboxrequest", "action_approve", request.pk)

    asked = browser.get(address)
    assert "21,000.00 EUR" in asked.content.decode()
    request.refresh_from_db()
    assert request.state == RequestState.PENDING
    browser.post(address, {"confirm": "1", "once": "a", "comment": "fine"})

    request.refresh_from_db()
    assert request.state == RequestState.APPROVED
    assert request.actions.get(action="approve").comment == "fine"
    assert listed(browser, "inboxrequest") == set()


def test_rejecting_needs_a_reason(entity, boss):
    request = make_request(entity, asks(boss))
    browser, address = signed_in(boss), page("approvalrequest", "action_reject", request.pk)
    browser.post(address, {"confirm": "1", "once": "a", "comment": ""})
    request.refresh_from_db()
    assert request.state == RequestState.PENDING
    browser.post(address, {"confirm": "1", "once": "b", "comment": "too dear"})
    request.refresh_from_db()
    assert request.state == RequestState.REJECTED


def test_many_are_approved_at_once_and_each_is_answered(entity, boss):
    make_approval_rule(entity, asks(boss), is_fallback=True)
    requests = [make_request(entity) for _ in range(3)]
    chosen = {"action": "action_approve", "_selected_action": [str(request.pk) for request in requests]}
    signed_in(boss).post(page("inboxrequest", "changelist"), chosen | {"confirm": "1", "once": "a"})
    assert ApprovalRequest.objects.filter(state=RequestState.APPROVED).count() == 3


def test_the_requester_has_no_way_around_in_the_console(entity):
    """A controller asks; every controller is asked; his own buttons are refused."""
    clerk = make_approver(entity, role="FC")
    make_approver(entity, role="FC")
    request = make_request(entity, asks_role("FC"), by=clerk)
    browser = signed_in(clerk)

    assert listed(browser, "inboxrequest") == set()
    answer = browser.post(
        page("approvalrequest", "action_approve", request.pk), {"confirm": "1", "once": "a"}, follow=True
    )
    assert "You asked for this" in answer.content.decode()
    request.refresh_from_db()
    assert request.state == RequestState.PENDING


def test_the_page_tells_content_levels_and_history(entity, boss):
    request = make_request(entity, asks(boss), asks(make_approver(entity)))
    decide(request, boss, comment="within budget")
    shown = signed_in(boss).get(page("approvalrequest", "change", request.pk))
    what, levels, history = shown.context["tables"]
    assert ["Title", request.title] in what.rows
    assert [row[-1] for row in levels.rows] == ["Approved", "Pending"]
    assert [(row[2], row[4], row[6]) for row in history.rows] == [
        (request.requester.name, "Request", "–"),
        (boss.name, "Approve", "within budget"),
    ]


def test_a_rule_is_confirmed_by_another(entity, boss):
    one, two = (make_grant(role="FC", entity=entity).user for _ in range(2))
    rule = propose_rule(
        actor=f"user:{one.pk}",
        entity_id=entity.pk,
        name="large",
        kind="general",
        terms=RuleTerms(levels=[asks(boss)], reason="policy"),
    )
    address = page("approvalrule", "action_confirm", rule.pk)
    signed_in(one).post(address, {"confirm": "1", "once": "a"})
    assert rule.versions.get().state == "proposed"
    signed_in(two).post(address, {"confirm": "1", "once": "b"})
    assert rule.versions.get().state == "active"
    assert "policy" in signed_in(two).get(page("approvalrule", "change", rule.pk)).content.decode()


def test_a_stand_in_is_named_and_taken_back(entity, boss):
    other = make_approver(entity)
    today = timezone.now().date()
    given = {
        "delegate": other.pk,
        "starts_on": today,
        "ends_on": today + timedelta(days=3),
        "reason": "leave",
    }
    browser = signed_in(boss)

    browser.post(page("approvaldelegation", "add"), given)

    delegation = ApprovalDelegation.objects.get()
    assert (delegation.delegator, delegation.delegate) == (boss, other)
    overseer = make_grant(role="FC", entity=entity).user
    address = page("approvaldelegation", "action_revoke", delegation.pk)
    assert signed_in(overseer).post(address, {"confirm": "1", "once": "a"}).status_code == 403
    browser.post(address, {"confirm": "1", "once": "b"})
    delegation.refresh_from_db()
    assert delegation.revoked_at
