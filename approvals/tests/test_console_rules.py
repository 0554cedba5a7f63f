"""Rules in the console: proposed by one controller, confirmed by another, and asked whom they would ask."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from approvals.level_text import levels_from, text_of
from approvals.models import ApprovalRule, ApprovalRuleVersion
from approvals.tests.makers import asks_role, make_approval_rule, make_approver
from billing.entities.tests.makers import make_entity, make_grant
from billing.kernel.errors import Invalid
from billing.kernel.tests.soundness import assert_books_are_sound

pytestmark = pytest.mark.django_db
PAGES = "admin:approvals_approvalrule"


@pytest.fixture
def entity():
    return make_entity()


def browser_of(user) -> Client:
    browser = Client()
    browser.force_login(user, backend="billing.entities.backends.GrantBackend")
    return browser


def terms(**overrides) -> dict:
    return {
        "levels": "any: AP",
        "above_amount": "10000",
        "up_to_amount": "",
        "gl_codes": "",
        "requesters": "",
        "priority": "0",
        "due_days": "5",
        "expires_days": "30",
        "is_enabled": "on",
        "reason": "Large credits",
    } | overrides


def test_levels_are_read_as_they_are_written():
    boss = make_approver(make_entity())
    text = f"any: AP, FC\n2: {boss.email}, department manager, manager chain\nall: {boss.email}"

    levels = levels_from(text)

    assert [level["mode"] for level in levels] == ["any", "quorum", "all"]
    assert levels[1]["quorum"] == 2
    assert [approver["kind"] for approver in levels[1]["approvers"]] == [
        "user",
        "department_manager",
        "manager_chain",
    ]
    assert text_of(levels) == text


@pytest.mark.parametrize("text", ["AP", "some: AP", "any: nobody@example.com", "-1: AP", "9999: AP"])
def test_what_is_no_level_is_named(text):
    with pytest.raises(Invalid, match="Line 1"):
        levels_from(text)


def test_a_rule_is_proposed_by_one_controller_and_confirmed_by_another(entity):
    one, two = (make_grant(role="FC", entity=entity).user for _ in range(2))
    new = terms(entity=entity.pk, name="Large", kind="credit_note", department="")

    assert browser_of(one).post(reverse(f"{PAGES}_add"), new).status_code == 302
    rule = ApprovalRule.objects.get()
    confirm = reverse(f"{PAGES}_verb_confirm", args=[rule.pk])
    for person, state in ((one, "proposed"), (two, "active")):
        browser_of(person).post(confirm, {"confirm": "1", "once": uuid4().hex})
        assert rule.versions.get().state == state

    version = rule.versions.get()
    assert (version.above_amount, version.levels, version.proposed_by) == (10_000, [asks_role("AP")], one)
    assert_books_are_sound()


def test_a_change_begins_with_what_is_in_force_and_keeps_what_the_form_does_not_show(entity):
    controller = make_grant(role="FC", entity=entity).user
    version = make_approval_rule(entity, asks_role("AP"), above_amount="500", fields={"project": ["x"]})
    browser, address = browser_of(controller), reverse(f"{PAGES}_verb_propose", args=[version.rule.pk])

    assert "any: AP" in browser.get(address).content.decode()
    browser.post(address, terms(levels="2: FC", confirm="1", once=uuid4().hex))

    proposed = ApprovalRuleVersion.objects.get(number=2)
    assert (proposed.state, proposed.fields) == ("proposed", {"project": ["x"]})
    assert proposed.levels == [asks_role("FC", mode="quorum") | {"quorum": 2}]


def test_a_wrong_level_is_said_in_the_form_and_nothing_is_proposed(entity):
    controller = make_grant(role="FC", entity=entity).user
    new = terms(entity=entity.pk, name="Large", kind="credit_note", department="", levels="some: AP")

    answer = browser_of(controller).post(reverse(f"{PAGES}_add"), new)

    assert "Line 1" in answer.content.decode()
    assert not ApprovalRule.objects.exists()


def test_only_controllers_propose(entity):
    approver = make_approver(entity)
    version = make_approval_rule(entity, asks_role("AP"))

    assert browser_of(approver).get(reverse(f"{PAGES}_add")).status_code == 403
    address = reverse(f"{PAGES}_verb_propose", args=[version.rule.pk])
    assert browser_of(approver).post(address, terms(confirm="1", once="x")).status_code == 403
    assert ApprovalRuleVersion.objects.count() == 1


def test_who_would_approve_it_is_shown_before_anybody_asks(entity):
    boss, clerk = make_approver(entity), make_grant(role="BO", entity=entity).user
    make_approval_rule(entity, asks_role("AP"), name="Large", above_amount="10000")
    browser, address = browser_of(clerk), reverse(f"{PAGES}_simulate")
    asked = {"entity": entity.pk, "department": "", "kind": "general", "currency": "EUR"}

    assert browser.get(address).status_code == 200
    shown = browser.get(address, asked | {"amount": "10000.01"}).content.decode()
    assert "Large" in shown
    assert boss.email in shown
    assert "No rule covers" in browser.get(address, asked | {"amount": "10000"}).content.decode()
    nobody = browser_of(make_grant(role="SY", entity=entity).user)
    assert nobody.get(address).status_code == 403
