"""Shares by rules come out again from the rule and the weights kept with them, whatever departments become later."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing.allocation.services.verification import redivided_of
from billing.invoicing.models import CostAllocation
from billing.invoicing.services import TargetTerms
from billing.invoicing.tests.makers import make_invoice, make_rule, make_seller, to
from billing.invoicing.tests.test_recomputing import tamper
from billing.invoicing.tests.test_rerunning import put_back, run
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.kernel.tests.commits import as_if_committed

pytestmark = pytest.mark.django_db

PEOPLE = TargetTerms(kind="driver", percent=Decimal(60), driver="headcount")
HEADCOUNTS = {"IT": 1, "OPS": 3, "LAB": 5}


@pytest.fixture
def customer():
    return make_customer()


def make_customer(headcounts=HEADCOUNTS):
    customer = make_entity(parent=make_seller())
    for code, headcount in headcounts.items():
        make_department(entity=customer, code=code, headcount=headcount)
    return customer


def billed(customer):
    return make_invoice(seller=customer.parent, customer=customer)


def differing(invoice):
    found = redivided_of(invoice.lines.values_list("pk", flat=True))
    return [(each.department, each.posted, each.redivided) for each in found]


def nets(invoice):
    return {share.department.code: share.net_amount for share in invoice.allocations.all()}


def test_people_who_come_later_do_not_change_what_was_divided(customer):
    make_rule(customer, PEOPLE, to("IT"))
    invoice = billed(customer)
    customer.departments.filter(code="IT").update(headcount=1000)

    assert nets(invoice) == {"IT": Decimal("46.67"), "OPS": Decimal(20), "LAB": Decimal("33.33")}
    assert differing(invoice) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "weights = jsonb_set(weights, '{1,weight}', '\"6\"') WHERE weights #>> '{1,weight}' = '5'",
            [("IT", "46.6700", "46"), ("OPS", "20.0000", "18"), ("LAB", "33.3300", "36")],
        ),
        (
            "net_amount = net_amount + 10 WHERE weights #>> '{1,weight}' = '5'",
            [("IT", "46.6700", "51.33"), ("OPS", "20.0000", "22"), ("LAB", "43.3300", "36.67")],
        ),
    ],
)
def test_a_share_or_a_weight_that_was_tampered_with_is_told(customer, change, told):
    make_rule(customer, PEOPLE, to("IT"))
    invoice = billed(customer)
    as_if_committed()

    tamper(f"UPDATE cost_allocations SET {change}")

    assert sorted(
        (code, str(was), f"{now.normalize():f}") for code, was, now in differing(invoice)
    ) == sorted(told)
    proof = proof_of(invoice)
    assert not proof.holds
    assert {d.what for d in proof.differences} == {"share of IT", "share of OPS", "share of LAB"}


def test_what_no_driver_weighs_comes_out_again_at_the_default_department(customer):
    make_rule(customer, TargetTerms(kind="driver", percent=Decimal(100), driver="seats"))
    invoice = billed(customer)
    assert nets(invoice) == {"GENERAL": Decimal(100)}
    assert differing(invoice) == []


def test_a_run_and_what_it_puts_back_come_out_again(customer):
    """Two divisions by the same rule at different headcounts, and the first posted again."""
    rule = make_rule(customer, PEOPLE, to("IT"))
    invoice = billed(customer)
    before = nets(invoice)
    customer.departments.filter(code="LAB").update(headcount=20)

    done = run(rule)
    assert (done.lines_moved, differing(invoice)) == (1, [])
    put_back(done)

    live = invoice.allocations.filter(reverses__isnull=True, reversed_by__isnull=True)
    assert {share.department.code: share.net_amount for share in live} == before
    assert {share.weights["1"]["of"] for share in live if share.weights} == {"9"}
    assert differing(invoice) == []


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headcounts=st.lists(st.integers(0, 9), min_size=3, max_size=3),
    percents=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    fixed=st.integers(1, 3000),
)
def test_whatever_a_rule_divides_by_comes_out_again(headcounts, percents, fixed):
    with transaction.atomic():
        customer = make_customer(dict(zip(HEADCOUNTS, headcounts, strict=True)))
        targets = [
            TargetTerms(kind="driver", percent=Decimal(percents[0]), driver="headcount"),
            to("IT", percents[1]),
            TargetTerms(kind="fixed", department_code="OPS", amount=Decimal(fixed) / 100, currency="EUR"),
            to("LAB"),
        ]
        make_rule(customer, *targets)
        invoice = billed(customer)
        assert sum(nets(invoice).values()) == Decimal(100)
        assert differing(invoice) == []
        transaction.set_rollback(True)


def test_only_a_rule_keeps_weights(customer):
    billed(customer)
    share = CostAllocation.objects.get()
    share.pk, share.weights = None, {"1": {"driver": "headcount", "weight": "1", "of": "1"}}
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        CostAllocation.objects.bulk_create([share])
    assert refusal.value.__cause__.diag.constraint_name == "cost_allocation_divided_by_rule"
