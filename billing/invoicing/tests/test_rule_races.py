"""Two at once: whoever is second waits, and finds what the first has done."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import transaction

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.errors import AllocationRunExists, MappingOverlaps, ShareTooLarge
from billing.invoicing.models import AllocationRun, CostAllocation, GLCodeMapping
from billing.invoicing.tests.makers import AS_OF, make_draft, make_invoice, make_rule, make_seller, to
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival

pytestmark = pytest.mark.django_db(transaction=True)
SEPTEMBER = {"starts_on": date(2024, 9, 1), "ends_on": date(2024, 10, 1)}


@pytest.fixture
def customer():
    customer = make_entity(parent=make_seller())
    make_department(entity=customer, code="IT")
    return customer


def issue(draft):
    return services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=AS_OF)


def retire(rule):
    return services.retire_allocation_rule(
        actor="test", rule_id=rule.pk, ends_on=date(2024, 2, 1), reason="over"
    )


def started(rule):
    run, _ = services.run_allocation_rule(
        actor="test", rule_id=rule.pk, posted_on=AS_OF, reason="as agreed", **SEPTEMBER
    )
    return run


def proceed(run):
    return services.continue_allocation_run(actor="test", run_id=run.pk)


def live():
    return [
        share.basis for share in CostAllocation.objects.filter(reverses=None, reversed_by=None).order_by("pk")
    ]


def test_a_rule_is_not_retired_while_an_invoice_is_issued_by_it(customer):
    rule = make_rule(customer, to("IT", 100))
    draft = make_draft(seller=customer.parent, customer=customer)

    with transaction.atomic():
        issue(draft)
        rival = start_rival(lambda: retire(rule))
    rival.result()

    assert live() == ["rule"]
    assert rule.versions.get().state == "retired"
    assert_invariants_hold()


def test_an_invoice_that_waits_for_a_rule_to_retire_is_not_divided_by_it(customer):
    rule = make_rule(customer, to("IT", 100))
    draft = make_draft(seller=customer.parent, customer=customer)

    with transaction.atomic():
        retire(rule)
        rival = start_rival(lambda: issue(draft))
    rival.result()

    assert live() == ["default"]
    assert_invariants_hold()


def test_a_run_waits_for_who_moves_cost_of_the_invoice_by_hand(customer):
    invoice = make_invoice(seller=customer.parent, customer=customer)
    run = started(make_rule(customer, to("IT", 100)))

    with transaction.atomic():
        services.allocate_cost(
            actor="test",
            department_id=customer.departments.get(code="IT").pk,
            line_id=invoice.lines.get().pk,
            amount=Decimal(10),
            reason="theirs",
            posted_on=AS_OF,
        )
        rival = start_rival(lambda: proceed(run))

    assert rival.result().lines_moved == 0
    assert live() == ["manual", "manual"]
    assert_invariants_hold()


def test_who_moves_cost_waits_for_the_run_and_finds_nothing_left_to_move(customer):
    invoice = make_invoice(seller=customer.parent, customer=customer)
    run = started(make_rule(customer, to("IT", 100)))
    line = invoice.lines.get()

    with transaction.atomic():
        proceed(run)
        rival = start_rival(
            lambda: services.allocate_cost(
                actor="test",
                department_id=customer.departments.get(code="IT").pk,
                line_id=line.pk,
                amount=Decimal(10),
                reason="theirs",
                posted_on=AS_OF,
            )
        )

    with pytest.raises(ShareTooLarge):  # all of it is there already
        rival.result()
    assert live() == ["rule"]
    assert_invariants_hold()


def test_an_invoice_is_void_before_or_after_the_run_and_never_in_between(customer):
    invoice = make_invoice(seller=customer.parent, customer=customer)
    run = started(make_rule(customer, to("IT", 100)))

    with transaction.atomic():
        services.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=AS_OF, reason="wrong")
        rival = start_rival(lambda: proceed(run))

    assert (rival.result().state, rival.result().lines_moved) == ("finished", 0)
    assert live() == []
    assert_invariants_hold()


def test_two_workers_on_one_run_do_its_work_once(customer):
    make_invoice(seller=customer.parent, customer=customer)
    run = started(make_rule(customer, to("IT", 100)))

    with transaction.atomic():
        proceed(run)
        rival = start_rival(lambda: proceed(run))

    assert (rival.result().state, rival.result().lines_moved) == ("finished", 1)
    assert live() == ["rule"]
    assert_invariants_hold()


def test_one_of_two_who_ask_for_a_run_at_once_finds_the_others(customer):
    rule = make_rule(customer, to("IT", 100))

    with transaction.atomic():
        proceed(started(rule))
        rival = start_rival(lambda: started(rule))

    with pytest.raises(AllocationRunExists):
        rival.result()
    assert AllocationRun.objects.count() == 1


def test_one_of_two_who_map_the_same_at_once_is_refused(customer):
    def add(code):
        return services.add_gl_code_mapping(
            actor="test", entity_id=customer.pk, tax_category="S", gl_code=code, starts_on=AS_OF
        )

    with transaction.atomic():
        add("8000")
        rival = start_rival(lambda: add("8001"))

    with pytest.raises(MappingOverlaps):
        rival.result()
    assert GLCodeMapping.objects.get().gl_code == "8000"
