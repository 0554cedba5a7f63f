"""Rules in the console: proposed by one controller, confirmed by another."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from approvals.console_rows import level_rows as shown_levels
from approvals.models import ApprovalRule, ApprovalRuleVersion
from approvals.models.rules import FIELD_NAME_MAX, FIELD_VALUE_MAX, FIELDS_MAX
from approvals.tests.makers import asks, asks_role, make_approval_rule, make_approver
from billing.entities.tests.makers import make_department, make_entity, make_grant
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
        "above_amount": "10000",
        "up_to_amount": "",
        "gl_codes": "",
        "requesters": "",
        "department": "",
        "priority": "0",
        "due_days": "5",
        "expires_days": "30",
        "is_enabled": "on",
        "reason": "Large credits",
        **(level_rows(asks_role("AP")) if "levels-TOTAL_FORMS" not in overrides else {}),
    } | overrides


def sent(name: str, *rows: dict) -> dict:
    """Rows as a browser sends them."""
    cells = {
        f"{name}-{number}-{cell}": value for number, row in enumerate(rows) for cell, value in row.items()
    }
    return cells | {f"{name}-TOTAL_FORMS": len(rows)}


def level_rows(*levels: dict) -> dict:
    rows = (
        {cell: "" if value is None else value for cell, value in row.items()} for row in shown_levels(levels)
    )
    return sent("levels", *rows)


def fields(*pairs: tuple[str, str]) -> dict:
    return sent("match_fields", *({"name": name, "value": value} for name, value in pairs))


def test_every_kind_of_level_is_read_as_it_is_shown(entity):
    boss = make_approver(entity)
    managers = [{"kind": "department_manager"}, {"kind": "manager_chain"}]
    levels = [
        {"mode": "any", "approvers": [{"kind": "role", "role": "AP"}, {"kind": "role", "role": "FC"}]},
        {"mode": "quorum", "approvers": [*managers, {"kind": "user", "user": str(boss.pk)}], "quorum": 2},
        asks(boss, mode="all"),
    ]
    controller = make_grant(role="FC", entity=entity).user
    new = terms(entity=entity.pk, name="Large", kind="credit_note", **level_rows(*levels))

    assert browser_of(controller).post(reverse(f"{PAGES}_add"), new).status_code == 302

    assert ApprovalRuleVersion.objects.get().levels == levels


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
        **fields(("project", "gemini"), ("project", "apollo"), ("place", "Berlin, Mitte")),
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
    assert form.initial["levels"] == [{"mode": "any", "quorum": None, "approvers": ["role:AP"]}]
    assert form.initial["match_fields"] == [
        {"name": "project", "value": "x"},
        {"name": "project", "value": "y: z"},
    ]
    assert form["department"].value() == ours.pk
    offered = set(form.fields["department"].queryset)
    assert {ours, other} <= offered
    assert stranger not in offered
    unchanged = {
        **{name: "" if value is None else value for name, value in form.initial.items()},
        **level_rows(asks_role("AP")),
        **fields(("project", "x"), ("project", "y: z")),
    }
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

    level = asks_role("FC", mode="quorum") | {"quorum": 2}
    rows = level_rows(level) | fields(("place", "Rome"))
    changed = terms(department=other.pk, confirm="1", once="1", **rows)
    browser_of(controller).post(address, changed)

    proposed = ApprovalRuleVersion.objects.get(number=2)
    assert (proposed.state, proposed.department) == ("proposed", other)
    assert proposed.fields == {"place": ["Rome"]}
    assert proposed.levels == [level]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (fields(("project", "x"), ("place", "")), "This field is required."),
        (fields(("", "x")), "This field is required."),
        (fields(("cost", "apol\tlo")), "Visible characters on one line, please."),
        (fields(("cost", "apol\u202elo")), "Visible characters on one line, please."),
        (fields(("n" * (FIELD_NAME_MAX + 1), "x")), f"at most {FIELD_NAME_MAX} characters"),
        (fields(("x", "v" * (FIELD_VALUE_MAX + 1))), f"at most {FIELD_VALUE_MAX} characters"),
        (fields(*((f"n{n}", "x") for n in range(FIELDS_MAX + 1))), f"At most {FIELDS_MAX} names"),
        (fields(*(("x", str(n)) for n in range(FIELDS_MAX + 1))), f"{FIELDS_MAX} values of each"),
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


@pytest.mark.parametrize(
    ("_case", "row", "said"),
    [
        ("nobody", {"mode": "all"}, "This field is required."),
        ("unknown mode", {"mode": "some", "approvers": "role:AP"}, "Select a valid choice."),
        ("a role that does not decide", {"mode": "any", "approvers": "role:VW"}, "Select a valid choice."),
        ("unknown person", {"mode": "any", "approvers": f"user:{uuid4()}"}, "Select a valid choice."),
        ("quorum of none", {"mode": "quorum", "approvers": "role:AP"}, "Say how many."),
        (
            "quorum of zero",
            {"mode": "quorum", "approvers": "role:AP", "quorum": "0"},
            "greater than or equal to 1",
        ),
        (
            "a number for any",
            {"mode": "any", "approvers": "role:AP", "quorum": "2"},
            "Only for a number of them.",
        ),
        ("no level", {"mode": "any"}, "This field is required."),
    ],
)
def test_a_wrong_level_is_refused_at_its_field(entity, _case, row, said):
    controller = make_grant(role="FC", entity=entity).user
    new = terms(entity=entity.pk, name="Large", kind="credit_note", **sent("levels", row))

    answer = browser_of(controller).post(reverse(f"{PAGES}_add"), new)

    assert said in answer.content.decode()
    assert not ApprovalRule.objects.exists()


def test_people_who_decide_are_offered_and_those_a_level_names(entity):
    boss, viewer = make_approver(entity), make_grant(role="VW", entity=entity).user
    former = make_grant(role="VW", entity=entity).user
    version = make_approval_rule(entity, asks(former))
    controller = make_grant(role="FC", entity=entity).user
    page = (
        browser_of(controller)
        .get(reverse(f"{PAGES}_action_propose", args=[version.rule.pk]))
        .content.decode()
    )

    assert f"user:{boss.pk}" in page
    assert f"user:{former.pk}" in page
    assert f"user:{viewer.pk}" not in page


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
        " place is Berlin, Mitte; project is x or y"
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
