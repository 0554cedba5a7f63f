"""Posted cost allocated anew: by a rule, step by step, tried out, and put back."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.allocation.services import runs
from billing.invoicing.errors import AllocationRunExists, RuleNotInForce, StepsUnclear
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import AllocationRun, CostAllocation, RuleKind
from billing.invoicing.services import StepTerms, TargetTerms
from billing.invoicing.tests.makers import (
    AS_OF,
    make_invoice,
    make_rule,
    make_seller,
    make_sold_meter,
    make_usage,
    rule_terms,
    to,
)
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.kernel.errors import Conflict, IllegalMove, Invalid, PreconditionFailed
from billing.kernel.models import Job
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalEntry

pytestmark = pytest.mark.django_db

SEPTEMBER = {"starts_on": date(2024, 9, 1), "ends_on": date(2024, 10, 1)}


@pytest.fixture
def customer():
    customer = make_entity(parent=make_seller())
    for code, headcount in (("IT", 1), ("OPS", 3), ("LAB", 5)):
        make_department(entity=customer, code=code, headcount=headcount)
    return customer


def billed(customer, **overrides):
    return make_invoice(seller=customer.parent, customer=customer, **overrides)


def shares_of(invoice):
    live = CostAllocation.objects.filter(
        invoice=invoice, reverses__isnull=True, reversed_by__isnull=True
    ).select_related("department")
    return {(s.department.code, s.basis): (str(s.net_amount), str(s.tax_amount)) for s in live}


def run(rule, **overrides):
    values = {"actor": "user:1", "posted_on": AS_OF, "reason": "as agreed"} | SEPTEMBER | overrides
    started, _ = services.run_allocation_rule(rule_id=rule.pk, **values)
    return services.continue_allocation_run(actor="user:1", run_id=started.pk)


def put_back(done):
    services.reverse_allocation_run(actor="user:1", run_id=done.pk, reversed_on=AS_OF, reason="after all not")
    return services.continue_allocation_run(actor="user:1", run_id=done.pk)


def test_a_run_makes_of_posted_lines_what_issuing_would_have_made_and_puts_it_back(customer):
    invoice = billed(customer)
    before = shares_of(invoice)
    rule = make_rule(customer, to("IT", "33.3333"), to("OPS"))

    done = run(rule)

    assert (done.state, done.lines_moved) == ("finished", 1)
    assert shares_of(invoice) == {
        ("IT", "rule"): ("33.3300", "6.3300"),
        ("OPS", "rule"): ("66.6700", "12.6700"),
    }
    assert proof_of(invoice).holds
    assert_invariants_hold()

    undone = put_back(done)

    assert (undone.state, undone.lines_kept) == ("reversed", 0)
    assert shares_of(invoice) == before == {("GENERAL", "default"): ("100.0000", "19.0000")}
    assert proof_of(invoice).holds
    assert_invariants_hold()
    with pytest.raises(IllegalMove):
        put_back(done)
    assert run(rule).pk != done.pk  # it may be run again


def test_what_names_a_department_and_what_was_moved_by_hand_stays(customer):
    meter = make_sold_meter(customer.parent)
    by = {department.code: department for department in customer.departments.all()}
    make_usage(customer, meter, "200", department=by["OPS"])
    named = billed(customer, meter=meter, quantity="200")
    rule = make_rule(customer, to("IT", 100))

    run(rule)
    assert shares_of(named) == {
        ("OPS", "usage"): ("50.0000", "9.5000"),
        ("IT", "rule"): ("50.0000", "9.5000"),
    }

    services.allocate_cost(
        actor="user:1",
        department_id=by["LAB"].pk,
        line_id=named.lines.get().pk,
        amount=Decimal(10),
        reason="theirs",
        posted_on=AS_OF,
        from_department_id=by["IT"].pk,
    )
    moved = shares_of(named)
    override = make_rule(customer, to("IT", 100), kind=RuleKind.OVERRIDE)
    run(override)

    assert moved[("LAB", "manual")] == ("10.0000", "1.9000")
    assert shares_of(named) == {
        ("LAB", "manual"): ("10.0000", "1.9000"),
        ("IT", "manual"): ("40.0000", "7.6000"),
        ("IT", "rule"): ("50.0000", "9.5000"),
    }
    assert_invariants_hold()


def test_a_line_that_was_moved_since_is_not_put_back(customer):
    invoice = billed(customer)
    done = run(make_rule(customer, to("IT", 100)))
    services.allocate_cost(
        actor="user:1",
        department_id=customer.departments.get(code="LAB").pk,
        line_id=invoice.lines.get().pk,
        amount=Decimal(10),
        reason="theirs",
        posted_on=AS_OF,
    )
    moved = shares_of(invoice)

    undone = put_back(done)

    assert (undone.state, undone.lines_kept) == ("reversed", 1)
    assert shares_of(invoice) == moved


def test_void_invoices_credited_lines_and_other_periods_are_left_alone(customer):
    sibling = make_entity(parent=customer)
    make_department(entity=sibling, code="IT")
    void, credited = billed(customer), make_invoice(seller=customer.parent, customer=sibling)
    as_if_committed()
    services.void_invoice(actor="user:1", invoice_id=void.pk, voided_on=AS_OF, reason="wrong")
    services.issue_credit_note(
        actor="user:1", invoice_id=credited.pk, issued_on=AS_OF, reason="late", net_amount=Decimal("10.00")
    )
    rule = make_rule(customer, to("IT", 100))
    count = CostAllocation.objects.count()

    assert run(rule).lines_moved == 0
    assert run(rule, starts_on=date(2024, 8, 1), ends_on=date(2024, 9, 1)).lines_moved == 0
    assert CostAllocation.objects.count() == count


def test_an_invoice_whose_cost_was_allocated_anew_can_be_voided(customer):
    invoice = billed(customer)
    as_if_committed()
    run(make_rule(customer, to("IT", 40), to("OPS")))
    as_if_committed()

    services.void_invoice(actor="user:1", invoice_id=invoice.pk, voided_on=AS_OF, reason="wrong")

    assert shares_of(invoice) == {}
    assert proof_of(invoice.__class__.objects.get(pk=invoice.pk)).holds
    assert_invariants_hold()


def test_lines_that_another_rule_divides_better_are_not_touched(customer):
    meter = make_sold_meter(customer.parent)
    special = billed(customer, meter=meter)
    make_rule(customer, to("LAB", 100), product_id=meter.product_id)
    general = make_rule(customer, to("IT", 100))

    assert run(general).lines_moved == 0
    assert shares_of(special).keys() == {("GENERAL", "default")}


def test_where_nothing_changes_nothing_is_posted(customer):
    rule = make_rule(customer, to("IT", 100))
    billed(customer)
    count = JournalEntry.objects.count()

    assert run(rule).lines_moved == 0
    assert JournalEntry.objects.count() == count


def test_a_run_that_was_killed_goes_on_where_it_was_and_does_nothing_twice(settings, customer, monkeypatch):
    settings.ALLOCATION_RUN_CHUNK = 1
    others = [make_entity(parent=customer) for _ in range(2)]
    for other in others:
        make_department(entity=other, code="IT")
    invoices = [billed(entity) for entity in (customer,)] + [
        make_invoice(seller=customer.parent, customer=other) for other in others
    ]
    rule = make_rule(customer, to("IT", 100))
    started, job = services.run_allocation_rule(
        actor="user:1", rule_id=rule.pk, posted_on=AS_OF, reason="as agreed", **SEPTEMBER
    )
    seen = []

    def die(done, total):
        seen.append((done, total))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.continue_allocation_run(actor="user:1", run_id=started.pk, progress=die)
    assert [list(shares_of(invoice)) for invoice in invoices].count([("IT", "rule")]) == 2

    again, second = services.run_allocation_rule(
        actor="user:1", rule_id=rule.pk, posted_on=AS_OF, reason="as agreed", **SEPTEMBER
    )
    done = services.continue_allocation_run(actor="user:1", run_id=again.pk)

    assert again.pk == started.pk
    assert seen == [(1, 3), (2, 3)]
    assert (done.state, done.lines_moved) == ("finished", 3)
    assert [list(shares_of(invoice)) for invoice in invoices] == [[("IT", "rule")]] * 3
    assert Job.objects.filter(pk__in=[job.pk, second.pk]).count() == 2
    assert_invariants_hold()


def test_runs_that_cannot_be_are_refused(customer):
    rule = make_rule(customer, to("IT", 100), active=False)
    with pytest.raises(RuleNotInForce):
        run(rule)
    services.activate_allocation_rule(actor="user:1", rule_id=rule.pk)
    with pytest.raises(RuleNotInForce):
        run(rule, starts_on=date(2023, 1, 1), ends_on=date(2024, 1, 1))
    with pytest.raises(Invalid):
        run(rule, ends_on=date(2024, 9, 1))
    done = run(rule)
    with pytest.raises(AllocationRunExists):
        run(rule)
    with pytest.raises(PreconditionFailed):
        services.reverse_allocation_run(
            actor="user:1", run_id=done.pk, reversed_on=AS_OF, reason="no", version=99
        )

    assert AllocationRun.objects.get().state == "finished"


def test_a_simulation_says_what_would_have_been_and_changes_nothing(customer):
    invoice = billed(customer)
    rule = make_rule(customer, to("IT", 40), to("OPS"), active=False, starts_on=date(2024, 12, 1))
    before = [model.objects.count() for model in (CostAllocation, JournalEntry, AllocationRun)]

    simulated = services.simulate_allocation_rule(rule_id=rule.pk, **SEPTEMBER)

    assert (simulated.lines_in_scope, simulated.lines_divided) == (1, 1)
    assert [
        (s.department.code, s.currency, s.before_amount, s.after_amount, s.difference_amount)
        for s in simulated.shifts
    ] == [
        ("GENERAL", "EUR", 100, 0, -100),
        ("IT", "EUR", 0, 40, 40),
        ("OPS", "EUR", 0, 60, 60),
    ]
    assert [model.objects.count() for model in (CostAllocation, JournalEntry, AllocationRun)] == before
    assert shares_of(invoice).keys() == {("GENERAL", "default")}


def test_a_simulation_is_what_the_run_then_makes(customer):
    invoice = billed(customer)
    services.activate_allocation_rule(
        actor="user:1", rule_id=(rule := make_rule(customer, to("LAB", 100), active=False)).pk
    )
    services.revise_allocation_rule(
        actor="user:1",
        rule_id=rule.pk,
        terms=rule_terms(TargetTerms(kind="driver", percent=Decimal(100), driver="headcount")),
    )

    simulated = services.simulate_allocation_rule(rule_id=rule.pk, **SEPTEMBER)
    services.activate_allocation_rule(actor="user:1", rule_id=rule.pk)
    run(rule)

    made = {code: Decimal(net) for (code, _), (net, _) in shares_of(invoice).items()}
    assert {s.department.code: s.after_amount for s in simulated.shifts if s.after_amount} == made
    assert made == {"IT": Decimal("11.11"), "OPS": Decimal("33.33"), "LAB": Decimal("55.56")}


def test_a_retired_rule_has_nothing_to_simulate(customer):
    rule = make_rule(customer, to("IT", 100))
    services.retire_allocation_rule(actor="user:1", rule_id=rule.pk, ends_on=date(2025, 1, 1), reason="over")

    with pytest.raises(Conflict):
        services.simulate_allocation_rule(rule_id=rule.pk, **SEPTEMBER)


def step_down(customer, *steps):
    started, _ = services.step_down_costs(
        actor="user:1",
        entity_id=customer.pk,
        steps=[StepTerms(department_code=code, weights=weights) for code, weights in steps],
        posted_on=AS_OF,
        reason="services",
        **SEPTEMBER,
    )
    return services.continue_allocation_run(actor="user:1", run_id=started.pk)


def test_departments_give_their_cost_away_in_turn_and_every_line_keeps_its_sum(customer):
    meter = make_sold_meter(customer.parent)
    by = {department.code: department for department in customer.departments.all()}
    make_usage(customer, meter, "300", department=by["IT"])
    invoice = billed(customer, meter=meter, quantity="100")  # 25.00 of nobody beside 75.00 of IT
    before = shares_of(invoice)

    done = step_down(customer, ("GENERAL", {"IT": Decimal(50), "LAB": Decimal(50)}), ("IT", None))

    # GENERAL: 12.50 each to IT and LAB. IT: 87.50 to 3 people of OPS and 5 of LAB, 32.81 and 54.69.
    assert done.state == "finished"
    assert {key: net for key, (net, _) in shares_of(invoice).items()} == {
        ("LAB", "stepdown"): "67.1900",
        ("OPS", "stepdown"): "32.8100",
    }
    assert proof_of(invoice).holds
    assert_invariants_hold()

    put_back(done)
    assert shares_of(invoice) == before
    assert_invariants_hold()


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [("NOBODY", None)],
        [("IT", {"NOBODY": Decimal(1)})],
        [("IT", {"OPS": Decimal(1)}), ("OPS", {"IT": Decimal(1)})],
        [("IT", {"OPS": Decimal(0)})],
    ],
)
def test_steps_that_cannot_be_taken_are_refused(customer, steps):
    with pytest.raises(StepsUnclear):
        step_down(customer, *steps)

    assert not AllocationRun.objects.exists()


def test_one_step_down_per_entity_and_period(customer):
    step_down(customer, ("IT", None))
    with pytest.raises(AllocationRunExists):
        step_down(customer, ("OPS", None))

    assert AllocationRun.objects.count() == 1


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE allocation_runs SET reason = 'other'",
        "UPDATE allocation_runs SET state = 'running'",
        "DELETE FROM allocation_runs",
        "INSERT INTO cost_allocations (id, line_id, invoice_id, entity_id, department_id, gl_code, net_amount, tax_amount,"
        " currency, basis, reason, gl_source, run_id, rule_version_id) SELECT gen_random_uuid(), line_id, invoice_id,"
        " entity_id, department_id, gl_code, 1, 0, currency, 'rule', '', '', run_id, rule_version_id"
        " FROM cost_allocations WHERE run_id IS NOT NULL LIMIT 1",
        "INSERT INTO cost_allocations (id, line_id, invoice_id, entity_id, department_id, gl_code, net_amount, tax_amount,"
        " currency, basis, reason, gl_source, run_id) SELECT gen_random_uuid(), line_id, invoice_id,"
        " entity_id, department_id, gl_code, 0, 0, currency, 'rule', '', '', run_id"
        " FROM cost_allocations WHERE run_id IS NOT NULL LIMIT 1",
    ],
)
def test_runs_hold_in_plain_sql(customer, sql):
    billed(customer)
    run(make_rule(customer, to("IT", 100)))

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    assert AllocationRun.objects.get().reason == "as agreed"


def test_checker_finds_a_run_that_made_or_lost_something(customer):
    check = CHECKS["R4 what a run posted of a line is what it took back"]
    billed(customer)
    run(make_rule(customer, to("IT", 100)))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(check)
        assert not cursor.fetchall()
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE cost_allocations SET net_amount = net_amount + 1 WHERE run_id IS NOT NULL")
        cursor.execute(check)
        assert cursor.fetchall()
        transaction.set_rollback(True)


def test_a_run_asks_as_often_for_many_invoices_as_for_one(customer, django_assert_max_num_queries):
    for _ in range(3):
        other = make_entity(parent=customer)
        make_department(entity=other, code="IT")
        make_invoice(seller=customer.parent, customer=other)
    rule = make_rule(customer, to("IT", 100))
    started, _ = services.run_allocation_rule(
        actor="user:1", rule_id=rule.pk, posted_on=AS_OF, reason="as agreed", **SEPTEMBER
    )

    with django_assert_max_num_queries(30):
        assert runs._next_chunk(started.pk, actor="user:1") == 3
