"""Rules in the console: proposed by one controller, confirmed by another."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from approvals.level_text import levels_from, text_of
from approvals.models import ApprovalRule, ApprovalRuleVersion
from approvals.tests.makers import asks, asks_role, make_approval_rule, make_approver
from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.kernel.errors import Invalid
from billing.kernel.tests.invariants import assert_invariants_hold

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
        "department": "",
        "match_fields": "",
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
    new = terms(entity=entity.pk, name="Large", kind="credit_note")

    assert browser_of(one).post(reverse(f"{PAGES}_add"), new).status_code == 302
    rule = ApprovalRule.objects.get()
    confirm = reverse(f"{PAGES}_action_confirm", args=[rule.pk])
    for person, state in ((one, "proposed"), (two, "active")):
        browser_of(person).post(confirm, {"confirm": "1", "once": uuid4().hex})
        assert rule.versions.get().state == state

    version = rule.versions.get()
    assert (version.above_amount, version.levels, version.proposed_by) == (10_000, [asks_role("AP")], one)
    assert_invariants_hold()


def test_a_rule_is_proposed_with_all_its_conditions(entity):
    controller = make_grant(role="FC", entity=entity).user
    department = make_department(entity=entity)
    new = terms(
        entity=entity.pk,
        name="Large",
        kind="general",
        department=department.pk,
        gl_codes="6600, 6700",
        requesters=controller.email,
        match_fields='project: gemini, apollo\nplace: "Berlin, Mitte"',
    )

    assert browser_of(controller).post(reverse(f"{PAGES}_add"), new).status_code == 302

    version = ApprovalRuleVersion.objects.get()
    assert (version.department, version.requesters) == (department, [controller.pk])
    assert version.gl_codes == ["6600", "6700"]
    assert version.fields == {"place": ["Berlin, Mitte"], "project": ["apollo", "gemini"]}


def test_a_change_begins_with_what_is_in_force(entity):
    controller = make_grant(role="FC", entity=entity).user
    ours, other, stranger = (make_department(entity=place) for place in (entity, entity, make_entity()))
    version = make_approval_rule(
        entity, asks_role("AP"), above_amount="500", department=ours, fields={"project": ["x", "y: z"]}
    )
    browser, address = browser_of(controller), reverse(f"{PAGES}_action_propose", args=[version.rule.pk])

    form = browser.get(address).context["form"]
    assert form.initial["levels"] == "any: AP"
    assert form.initial["match_fields"] == "project: x, y: z"
    assert form["department"].value() == ours.pk
    offered = set(form.fields["department"].queryset)
    assert {ours, other} <= offered
    assert stranger not in offered
    unchanged = {name: "" if value is None else value for name, value in form.initial.items()}
    browser.post(address, unchanged | {"reason": "As it is", "confirm": "1", "once": uuid4().hex})

    proposed = ApprovalRuleVersion.objects.get(number=2)
    said = ("levels", "above_amount", "up_to_amount", "department", "gl_codes", "requesters", "fields")
    assert [getattr(proposed, name) for name in said] == [getattr(version, name) for name in said]
    assert (proposed.priority, proposed.due_days, proposed.expires_days) == (0, 5, 30)


def test_a_change_is_what_the_form_says(entity):
    controller = make_grant(role="FC", entity=entity).user
    ours, other = make_department(entity=entity), make_department(entity=entity)
    version = make_approval_rule(
        entity, asks_role("AP"), above_amount="500", department=ours, fields={"project": ["x"]}
    )
    address = reverse(f"{PAGES}_action_propose", args=[version.rule.pk])

    changed = terms(levels="2: FC", department=other.pk, match_fields="place: Rome", confirm="1", once="1")
    browser_of(controller).post(address, changed)

    proposed = ApprovalRuleVersion.objects.get(number=2)
    assert (proposed.state, proposed.department) == ("proposed", other)
    assert proposed.fields == {"place": ["Rome"]}
    assert proposed.levels == [asks_role("FC", mode="quorum") | {"quorum": 2}]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"match_fields": "project: x\n\nplace"}, "Line 3: it is a name, a colon, and the values."),
        ({"gl_codes": "6600, " + "7" * 65}, "none longer than 64 signs"),
        ({"gl_codes": ", ".join(str(code) for code in range(101))}, "At most 100 codes"),
        ({"department": uuid4()}, "not one of the available choices"),
    ],
)
def test_wrong_conditions_are_said_in_the_form_and_nothing_is_proposed(entity, wrong, said):
    controller = make_grant(role="FC", entity=entity).user
    version = make_approval_rule(entity, asks_role("AP"))
    address = reverse(f"{PAGES}_action_propose", args=[version.rule.pk])

    answer = browser_of(controller).post(address, terms(**wrong, confirm="1", once="1"))

    assert said in answer.content.decode()
    assert ApprovalRuleVersion.objects.get() == version


def test_a_wrong_level_is_said_in_the_form_and_nothing_is_proposed(entity):
    controller = make_grant(role="FC", entity=entity).user
    new = terms(entity=entity.pk, name="Large", kind="credit_note", levels="some: AP")

    answer = browser_of(controller).post(reverse(f"{PAGES}_add"), new)

    assert "Line 1" in answer.content.decode()
    assert not ApprovalRule.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": ""}, "Every kind is for a fallback only."),
        ({"name": "large"}, "The entity has a rule of this name."),
        ({"is_fallback": "on"}, "The kind has its fallback here."),
    ],
)
def test_what_the_entity_has_already_is_said_in_the_form(entity, wrong, said):
    make_approval_rule(entity, asks_role("AP"), kind="credit_note", name="Large", is_fallback=True)
    controller = make_grant(role="FC", entity=entity).user
    new = terms(entity=entity.pk, name="Other", kind="credit_note") | wrong

    answer = browser_of(controller).post(reverse(f"{PAGES}_add"), new)

    assert said in answer.content.decode()
    assert "is violated" not in answer.content.decode()
    assert ApprovalRule.objects.count() == 1


def test_only_controllers_propose(entity):
    approver = make_approver(entity)
    version = make_approval_rule(entity, asks_role("AP"))

    assert browser_of(approver).get(reverse(f"{PAGES}_add")).status_code == 403
    address = reverse(f"{PAGES}_action_propose", args=[version.rule.pk])
    assert browser_of(approver).post(address, terms(confirm="1", once="x")).status_code == 403
    assert ApprovalRuleVersion.objects.count() == 1


def test_who_confirms_a_rule_reads_all_of_it(entity):
    proposer, confirmer = (make_grant(role="FC", entity=entity).user for _ in range(2))
    boss, department = make_approver(entity), make_department(entity=entity)
    version = make_approval_rule(
        entity,
        asks(boss, mode="all"),
        above_amount="500",
        department=department,
        gl_codes=["6600"],
        requesters=[proposer.pk],
        fields={"place": ["Berlin, Mitte"], "project": ["x", "y"]},
        state="proposed",
        proposed_by=proposer,
        confirmed_by=None,
        confirmed_at=None,
        due_days=3,
    )
    browser = browser_of(confirmer)
    conditions = (
        f"department {department}; GL 6600; asked for by {proposer.name};"
        ' place: "Berlin, Mitte"; project: x, y'
    )

    [table] = browser.get(reverse(f"{PAGES}_change", args=[version.rule.pk])).context["tables"]
    assert table.rows == [
        [
            *("1", "Proposed", "over 500.00 EUR", conditions, f"all of {boss.name}", "3, 30 days"),
            *(proposer.name, "–", "test"),
        ]
    ]
    question = browser.get(reverse(f"{PAGES}_action_confirm", args=[version.rule.pk]))
    [(_, told)] = question.context["objects"]
    assert told == (
        f"{version.rule}: over 500.00 EUR; {conditions}; all of {boss.name}; proposed by {proposer.name}: test"
    )
