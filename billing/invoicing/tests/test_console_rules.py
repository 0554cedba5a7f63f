"""Rules, runs and GL codes in the console."""

import re
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from django.urls import reverse

from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.invoicing import services
from billing.invoicing.allocation.console.target_text import targets_from, text_of
from billing.invoicing.errors import TargetsUnclear
from billing.invoicing.models import AllocationRule, AllocationRun, GLCodeMapping
from billing.invoicing.tests.makers import (
    make_invoice,
    make_rule,
    make_seller,
    make_sold_meter,
    rule_terms,
    to,
)
from billing.kernel.tests.commits import as_if_committed

pytestmark = pytest.mark.django_db
TARGETS = [
    "IT 33.3333 %",
    "OPS 30.5 EUR",
    "by headcount 25 %",
    "by seats 5 %",
    "by usage of meter-x 10.5 %",
    "OPS remainder",
]


@pytest.fixture
def customer():
    customer = make_entity(parent=make_seller())
    for code in ("IT", "OPS"):
        make_department(entity=customer, code=code, headcount=1)
    return customer


@pytest.fixture
def controller(client, customer):
    grant = make_grant(role="FC", entity=customer.parent)
    client.force_login(grant.user, backend="billing.entities.backends.GrantBackend")
    return client


def page(name, *args):
    return reverse(f"admin:invoicing_{name}", args=args)


def form(**overrides):
    values = {
        "kind": "standard",
        "priority": "0",
        "product": "",
        "meter": "",
        "gl_code": "",
        "line_kind": "",
        "starts_on": "2024-01-01",
        "ends_on": "",
        "targets": "IT 60 %\nOPS remainder",
    }
    return values | overrides


def press(client, address, **answers):
    return client.post(address, {"confirm": "yes", "once": uuid4().hex, **answers}, follow=True)


def test_targets_are_written_as_they_are_read(customer):
    meter = make_sold_meter(customer.parent)
    lines = [line.replace("meter-x", meter.code) for line in TARGETS]

    rule = make_rule(customer, *targets_from("\n".join(lines), meters={meter.code: meter.pk}), active=False)

    assert [text_of(target) for target in rule.versions.get().targets.all()] == lines


@pytest.mark.parametrize(
    "text",
    ["IT", "IT 60", "IT 60 percent", "by nothing 5 %", "by usage of x 5 %", "IT 1,000.00 EUR", "IT -5 %"],
)
def test_what_is_not_understood_is_refused(text):
    with pytest.raises(TargetsUnclear):
        targets_from(text, meters={})


def test_a_rule_is_added_revised_and_shown_with_its_targets(controller, customer):
    added = controller.post(
        page("allocationrule_add"),
        form(entity=customer.pk, code="cloud", name="Cloud"),
        follow=True,
    )
    rule = AllocationRule.objects.get()
    assert added.status_code == 200
    here = page("allocationrule_change", rule.pk)
    assert "IT 60 %, OPS remainder" in controller.get(here).content.decode()

    press(controller, page("allocationrule_action_revise", rule.pk), **form(targets="IT 70 %\nOPS remainder"))
    assert "IT 70 %, OPS remainder" in controller.get(here).content.decode()
    refused = press(controller, page("allocationrule_action_revise", rule.pk), **form(targets="IT 70 %"))
    assert "must take the remainder" in refused.content.decode()
    assert rule.versions.get().targets.count() == 2


def test_a_rule_is_activated_only_after_its_simulation_was_seen(controller, customer):
    make_invoice(seller=customer.parent, customer=customer)
    rule = make_rule(customer, to("IT", 60), to("OPS"), active=False)
    verb = page("allocationrule_action_activate", rule.pk)
    period = {"starts_on": "2024-09-01", "ends_on": "2024-10-01"}

    unseen = press(controller, verb, **period).content.decode()
    assert rule.versions.get().state == "draft"
    shown = controller.post(verb, {"preview": "yes", "once": uuid4().hex, **period}).content.decode()
    for text in (shown, unseen):
        assert "1 of 1 posted lines" in text
        assert "60.00 EUR" in text
        assert "-100.00 EUR" in text
    seal = re.search(r'name="seen" value="(\w+)"', shown)[1]
    press(controller, verb, **period, seen=seal)

    assert rule.versions.get().state == "active"


def test_a_period_is_allocated_anew_and_put_back(controller, customer):
    make_invoice(seller=customer.parent, customer=customer)
    as_if_committed()
    rule = make_rule(customer, to("IT", 100))

    press(
        controller,
        page("allocationrule_action_run", rule.pk),
        starts_on="2024-09-01",
        ends_on="2024-10-01",
        reason="as agreed",
    )
    run = AllocationRun.objects.get()
    services.continue_allocation_run(actor="test", run_id=run.pk)
    assert f"{rule.code} v1" in controller.get(page("allocationrun_changelist")).content.decode()
    press(controller, page("allocationrun_action_reverse", run.pk), reason="after all not")
    services.continue_allocation_run(actor="test", run_id=run.pk)

    assert AllocationRun.objects.get().state == "reversed"


def test_departments_step_down(controller, customer):
    invoice = make_invoice(seller=customer.parent, customer=customer)
    values = {"entity": customer.pk, "starts_on": "2024-09-01", "ends_on": "2024-10-01", "reason": "services"}
    address = page("allocationrun_add")

    for steps in ("GENERAL", "GENERAL to IT", "GENERAL to IT 1, IT 2", "NOBODY by headcount"):
        controller.post(address, values | {"steps": steps}, follow=True)
        assert not AllocationRun.objects.exists()
    controller.post(address, values | {"steps": "GENERAL to IT 1, OPS 3\nIT by headcount"}, follow=True)
    services.continue_allocation_run(actor="test", run_id=AllocationRun.objects.get().pk)

    [share] = invoice.allocations.filter(reverses=None, reversed_by=None)
    assert (share.department.code, share.net_amount) == ("OPS", 100)
    shown = controller.get(page("allocationrun_change", AllocationRun.objects.get().pk)).content.decode()
    assert "(IT): 1, " in shown
    assert "step-down, 2 steps" in controller.get(page("allocationrun_changelist")).content.decode()


def test_a_rule_is_retired_and_no_longer_can_be(controller, customer):
    rule = make_rule(customer, to("IT", 100))
    services.revise_allocation_rule(actor="test", rule_id=rule.pk, terms=rule_terms(to("OPS", 100)))

    press(controller, page("allocationrule_action_retire", rule.pk), ends_on="2024-06-01", reason="over")

    assert rule.versions.get(number=1).ends_on == date(2024, 6, 1)
    assert rule.versions.get(number=1).targets.get().percent == Decimal(100)


def test_a_gl_code_is_mapped_and_ends(controller, customer):
    controller.post(
        page("glcodemapping_add"),
        {
            "entity": customer.pk,
            "product": "",
            "department": customer.departments.get(code="IT").pk,
            "tax_category": "",
            "gl_code": "8000",
            "starts_on": "2024-01-01",
            "ends_on": "",
        },
        follow=True,
    )
    mapping = GLCodeMapping.objects.get()
    press(controller, page("glcodemapping_action_end", mapping.pk), ends_on="2024-06-01", reason="new chart")

    mapping.refresh_from_db()
    assert (mapping.gl_code, mapping.ends_on) == ("8000", date(2024, 6, 1))
    assert "2024" in controller.get(page("glcodemapping_changelist")).content.decode()
