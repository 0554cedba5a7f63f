"""Whom a request would ask: by the rules in force, and as if a proposed one were."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from approvals import services
from approvals.errors import NoApprover, NoRule
from approvals.models import ApprovalRequest, ApprovalRule, ApprovalRuleVersion
from approvals.services.rules import RuleTerms
from approvals.tests.makers import asks, asks_role, make_approval_rule, make_approver, request_terms
from billing.entities.tests.makers import make_department, make_entity, make_grant, make_user
from billing.kernel.errors import NotAllowed, NotFound

pytestmark = pytest.mark.django_db
RULES = "admin:approvals_approvalrule"
SIMULATE = "/api/v1/enterprise-billing/approvals/requests/simulate"
ASKED = ("actor", "kind", "entity_id", "amount", "currency", "at")


@pytest.fixture
def entity():
    return make_entity()


@pytest.fixture
def boss(entity):
    return make_approver(entity)


@pytest.fixture
def clerk(entity):
    return make_grant(role="BO", entity=entity).user


def browser_of(user) -> Client:
    browser = Client()
    browser.force_login(user, backend="billing.entities.backends.GrantBackend")
    return browser


def simulate(user, entity, **body):
    client = APIClient()
    client.force_authenticate(user)
    return client.post(
        SIMULATE, {"entity": str(entity.pk), "currency": "EUR", "amount": "600.00", **body}, format="json"
    )


def wrong_fields(answer) -> list[str]:
    return [error["field"] for error in answer.json()["errors"]]


def asked_for(entity, **terms) -> dict:
    asked = request_terms(entity, **terms)
    return {name: asked[name] for name in ASKED} | {
        name: value for name, value in terms.items() if name not in {"by", "amount", "kind"}
    }


def propose(entity, *levels: dict, rule: ApprovalRule | None = None, **terms) -> ApprovalRule:
    """A version that waits for its confirmation: of the rule, or of a new one."""
    actor = f"user:{make_grant(role='FC', entity=entity).user.pk}"
    if "above_amount" in terms:
        terms["above_amount"] = Decimal(terms["above_amount"])
    said = RuleTerms(levels=levels, reason="Less work", **terms)
    if rule is not None:
        return services.propose_rule_version(actor=actor, rule_id=rule.pk, terms=said)
    return services.propose_rule(
        actor=actor, entity_id=entity.pk, name="Proposed", kind="general", terms=said
    )


def people(outlook) -> list[list]:
    return [level.people for level in outlook.route.levels]


def test_a_proposed_version_stands_in_the_place_of_the_one_in_force(entity, boss):
    other = make_approver(entity)
    rule = make_approval_rule(entity, asks(boss), above_amount="500").rule
    propose(entity, asks(other), rule=rule, above_amount=1000)
    make_approval_rule(entity, asks_role("AP", mode="all"), is_fallback=True)

    below, above = (
        services.preview_proposal(**asked_for(entity, amount=amount), proposed_rule_id=rule.pk)
        for amount in ("600.00", "1000.01")
    )

    assert (people(below.now), below.now.route.version.number) == ([[boss]], 1)
    assert below.if_confirmed.route.version.rule.is_fallback
    assert people(above.now) == [[boss]]
    assert (people(above.if_confirmed), above.if_confirmed.route.version.number) == ([[other]], 2)
    assert list(ApprovalRuleVersion.objects.filter(rule=rule, state="active").values_list("number")) == [(1,)]
    assert not ApprovalRequest.objects.exists()


def test_a_rule_that_would_be_switched_off_covers_nothing(entity, boss):
    rule = make_approval_rule(entity, asks(boss)).rule
    propose(entity, asks(boss), rule=rule, is_enabled=False)

    told = services.preview_proposal(**asked_for(entity), proposed_rule_id=rule.pk)

    assert people(told.now) == [[boss]]
    assert isinstance(told.if_confirmed.refusal, NoRule)
    assert told.if_confirmed.route is None


def test_a_proposal_that_nobody_could_consent_to_is_told_as_such(entity, clerk, boss):
    rule = propose(entity, asks(clerk, boss, mode="all"))

    told = services.preview_proposal(**asked_for(entity, by=clerk), proposed_rule_id=rule.pk)
    unable = services.preview_proposal(**asked_for(entity), proposed_rule_id=rule.pk)

    assert isinstance(told.now.refusal, NoRule)
    assert people(told.if_confirmed) == [[boss]]  # who asks is left out
    assert isinstance(unable.if_confirmed.refusal, NoApprover)  # the clerk may not decide


def test_what_is_confirmed_is_what_was_simulated(entity, boss):
    other, second = make_approver(entity), make_grant(role="FC", entity=entity).user
    rule = make_approval_rule(entity, asks(boss), priority=1).rule
    make_approval_rule(entity, asks(boss), priority=2, above_amount="1000")
    propose(entity, asks(other), rule=rule, priority=3)
    asked = [asked_for(entity, amount=amount) for amount in ("10.00", "2000.00")]
    told = [services.preview_proposal(**each, proposed_rule_id=rule.pk) for each in asked]

    services.confirm_rule(actor=f"user:{second.pk}", rule_id=rule.pk)

    assert [each.if_confirmed.route for each in told] == [services.preview_route(**each) for each in asked]
    assert [people(each.if_confirmed) for each in told] == [[[other]], [[other]]]
    assert [people(each.now) for each in told] == [[[boss]], [[boss]]]


def test_without_an_open_proposal_there_is_nothing_to_simulate(entity, boss):
    rule = make_approval_rule(entity, asks(boss)).rule
    for missing in (rule.pk, uuid4()):
        with pytest.raises(NotFound, match="no open proposal"):
            services.preview_proposal(**asked_for(entity), proposed_rule_id=missing)


def test_a_simulation_is_of_whoever_would_ask(entity, boss):
    colleague = make_grant(role="BO", entity=entity).user
    make_approval_rule(entity, asks(boss), requesters=[colleague.pk])
    asked = asked_for(entity)

    with pytest.raises(NoRule):
        services.preview_route(**asked)
    assert services.preview_route(**asked, requester_id=colleague.pk).levels[0].people == [boss]
    with pytest.raises(NotFound, match="no user"):
        services.preview_route(**asked, requester_id=uuid4())
    with pytest.raises(NotAllowed):
        services.preview_route(**asked | {"actor": "command:x"})


def test_the_api_tells_both_sides(entity, boss, clerk):
    other = make_approver(entity)
    rule = make_approval_rule(entity, asks(boss), above_amount="500", name="Large").rule
    propose(entity, asks(other), rule=rule, above_amount=700)

    plain = simulate(clerk, entity)
    both = simulate(clerk, entity, proposed_rule=str(rule.pk))
    above = simulate(clerk, entity, proposed_rule=str(rule.pk), amount="800.00")

    assert [answer.status_code for answer in (plain, both, above)] == [200, 200, 200]
    now = {
        "rule": str(rule.pk),
        "rule_name": "Large",
        "rule_version": 1,
        "levels": [{"mode": "any", "needed": 1, "approvers": [{"id": str(boss.pk), "name": boss.name}]}],
        "refusal": None,
    }
    assert plain.json() == now | {"if_confirmed": None}
    told = both.json()
    then = told.pop("if_confirmed")
    assert told == now
    assert (then["rule"], then["rule_name"], then["rule_version"], then["levels"]) == (None, None, None, [])
    assert (then["refusal"]["code"], then["refusal"]["status"]) == ("no-approval-rule", 422)
    then = above.json()["if_confirmed"]
    assert (then["rule_version"], then["refusal"]) == (2, None)
    assert then["levels"][0]["approvers"] == [{"id": str(other.pk), "name": other.name}]


def test_the_api_simulates_for_colleagues_and_with_their_fields(entity, boss, clerk):
    colleague = make_grant(role="BO", entity=entity).user
    make_approval_rule(entity, asks(boss), requesters=[colleague.pk], fields={"project": ["apollo"]})
    fields = {"custom_fields": [{"name": "project", "value": "apollo"}]}

    assert simulate(clerk, entity, **fields).json()["code"] == "no-approval-rule"
    assert simulate(clerk, entity, requester=str(colleague.pk)).json()["code"] == "no-approval-rule"
    assert simulate(clerk, entity, requester=str(colleague.pk), **fields).status_code == 200
    stranger = make_grant(role="BO", entity=make_entity()).user
    refused = simulate(clerk, entity, requester=str(stranger.pk), **fields)
    assert (refused.status_code, wrong_fields(refused)) == (400, ["requester"])


def test_the_api_knows_no_proposal_of_others(entity, boss, clerk):
    theirs = make_entity()
    hidden = propose(theirs, asks(make_approver(theirs)))
    settled = make_approval_rule(entity, asks(boss)).rule

    for rule in (hidden.pk, settled.pk, uuid4()):
        refused = simulate(clerk, entity, proposed_rule=str(rule))
        assert (refused.status_code, wrong_fields(refused)) == (400, ["proposed_rule"])


def asked_in_console(entity, **terms) -> dict:
    return {
        "entity": entity.pk,
        "department": "",
        "kind": "general",
        "amount": "600",
        "currency": "EUR",
        "gl_code": "",
        "requester": "",
        "beneficiary": "",
        "proposed_rule": "",
    } | terms


def custom_fields(*pairs: tuple[str, str]) -> dict:
    """Rows as a browser sends them."""
    rows = {
        f"custom_fields-{number}-{cell}": value
        for number, pair in enumerate(pairs)
        for cell, value in zip(("name", "value"), pair, strict=True)
    }
    return rows | {"custom_fields-TOTAL_FORMS": len(pairs)}


def test_the_console_shows_who_would_approve_it(entity, boss, clerk):
    make_approval_rule(entity, asks_role("AP"), name="Large", above_amount="10000")
    browser, address = browser_of(clerk), reverse(f"{RULES}_simulate")

    assert browser.get(address).status_code == 200
    shown = browser.get(address, asked_in_console(entity, amount="10000.01")).content.decode()
    assert "Large" in shown
    assert boss.email in shown
    assert "No rule covers" in browser.get(address, asked_in_console(entity, amount="10000")).content.decode()
    nobody = browser_of(make_grant(role="SY", entity=entity).user)
    assert nobody.get(address).status_code == 403


def test_the_console_asks_for_all_that_a_rule_looks_at(entity, boss, clerk):
    colleague = make_grant(role="BO", entity=entity).user
    department = make_department(entity=entity)
    other = make_approver(entity)
    make_approval_rule(
        entity,
        asks_role("AP"),
        department=department,
        gl_codes=["6600"],
        requesters=[colleague.pk],
        fields={"place": ["Berlin, Mitte"]},
    )
    address = reverse(f"{RULES}_simulate")
    asked = asked_in_console(
        entity,
        department=department.pk,
        gl_code="6600",
        requester=colleague.pk,
        beneficiary=boss.pk,
        **custom_fields(("place", "Berlin, Mitte")),
    )
    browser = browser_of(clerk)

    [table] = browser.get(address, asked).context["tables"]
    assert table.rows == [["1", "1 of 1 (any)", f"{other.name} ({other.email})"]]
    assert f"If {colleague.name} asked" in table.note
    for left_out in ({"department": ""}, {"gl_code": ""}, {"requester": ""}, custom_fields()):
        answer = browser.get(address, asked | left_out)
        assert answer.context["tables"] == []
        assert "No rule covers" in answer.content.decode()
    wrong = browser.get(address, asked | custom_fields(("place", "Berlin"), ("place", "Mitte")))
    assert "place: one value only" in wrong.content.decode()
    assert wrong.context["tables"] == []


def test_the_console_shows_what_a_proposal_would_change(entity, boss, clerk):
    other = make_approver(entity)
    rule = make_approval_rule(entity, asks(boss), above_amount="500", name="Large").rule
    propose(entity, asks(other), rule=rule, above_amount=500)
    address = reverse(f"{RULES}_simulate")

    now, then = (
        browser_of(clerk).get(address, asked_in_console(entity, proposed_rule=rule.pk)).context["tables"]
    )

    assert now.title == "Now: 600.00 EUR falls under “Large”, version 1"
    assert now.rows[0][2] == f"{boss.name} ({boss.email})"
    assert then.title == "Once the proposal is confirmed: 600.00 EUR falls under “Large”, version 2"
    assert then.rows[0][2] == f"{other.name} ({other.email})"
    small = asked_in_console(entity, proposed_rule=rule.pk, amount="500")
    tables = browser_of(clerk).get(address, small).context["tables"]
    assert [table.title for table in tables] == [
        "Now: 500.00 EUR cannot be asked for",
        "Once the proposal is confirmed, the same: 500.00 EUR cannot be asked for",
    ]


def test_the_console_offers_only_what_is_within_reach(entity, boss, clerk):
    theirs = make_entity()
    stranger = make_grant(role="BO", entity=theirs).user
    hidden, ours = propose(theirs, asks(boss)), propose(entity, asks(boss))
    make_grant(role="VW", entity=theirs, user=clerk)  # sees the entity, not its rules
    browser, address = browser_of(clerk), reverse(f"{RULES}_simulate")

    fields = browser.get(address).context["form"].fields
    assert list(fields["proposed_rule"].queryset) == [ours]
    refused = browser.get(address, asked_in_console(entity, proposed_rule=hidden.pk))
    assert "not one of the available choices" in refused.content.decode()
    elsewhere = browser.get(address, asked_in_console(theirs))
    assert "You may not see the rules there." in elsewhere.content.decode()
    assert elsewhere.context["tables"] == []
    outsider = make_user()
    assert outsider not in fields["requester"].queryset
    assert stranger in fields["requester"].queryset


def test_the_page_of_a_proposal_leads_to_its_simulation(entity, boss):
    controller = make_grant(role="FC", entity=entity).user
    department = make_department(entity=entity)
    rule = propose(
        entity,
        asks(boss),
        above_amount=500,
        department_id=department.pk,
        gl_codes=["6600"],
        requesters=[controller.pk],
        fields={"place": ["Berlin, Mitte", "Rome"]},
    )
    settled = make_approval_rule(entity, asks(boss), kind="credit_note").rule
    browser = browser_of(controller)
    link = reverse(f"{RULES}_action_try", args=[rule.pk])

    assert reverse(f"{RULES}_simulate") in browser.get(reverse(f"{RULES}_changelist")).content.decode()
    assert link in browser.get(reverse(f"{RULES}_change", args=[rule.pk])).content.decode()
    form = browser.get(link, follow=True).context["form"]
    filled = {name: form[name].value() for name in form.fields if name != "custom_fields"}
    filled |= custom_fields(*((row["name"], row["value"]) for row in form["custom_fields"].value()))
    shown = browser.get(reverse(f"{RULES}_simulate"), {name: value or "" for name, value in filled.items()})
    now, then = shown.context["tables"]
    assert now.title == "Now: 500.01 EUR cannot be asked for"
    assert then.rows == [["1", "1 of 1 (any)", f"{boss.name} ({boss.email})"]]
    nothing = reverse(f"{RULES}_action_try", args=[settled.pk])
    assert nothing not in browser.get(reverse(f"{RULES}_change", args=[settled.pk])).content.decode()
    assert browser.get(nothing).url == reverse(f"{RULES}_change", args=[settled.pk])
    assert browser.get(f"{reverse(f'{RULES}_simulate')}?proposed_rule=x").status_code == 200
