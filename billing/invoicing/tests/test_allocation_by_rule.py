"""Which rule divides a line that is issued, and what comes of it."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.allocation.core.rules import Driver
from billing.invoicing.allocation.services.allocation import allocate
from billing.invoicing.allocation.services.drivers import Need, weights_for
from billing.invoicing.issuing.services import issue
from billing.invoicing.models import CostAllocation, Invoice, LineKind, RuleKind
from billing.invoicing.services import TargetTerms
from billing.invoicing.tests.makers import (
    AS_OF,
    make_draft,
    make_invoice,
    make_rule,
    make_seller,
    make_sold_meter,
    make_subscriber,
    make_usage,
    to,
)
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalLine
from billing.subscriptions.tests.license_makers import make_license, make_seat
from billing.subscriptions.tests.license_makers import make_subscriber as make_licensee
from billing.subscriptions.tests.makers import make_product, make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def customer(seller):
    """With departments IT (5 people), OPS (3) and LAB (0) beside the default one."""
    customer = make_entity(parent=seller)
    for code, headcount in (("IT", 5), ("OPS", 3), ("LAB", 0)):
        make_department(entity=customer, code=code, headcount=headcount)
    return customer


def departments(customer):
    return {department.code: department for department in customer.departments.all()}


def shares_of(invoice, *, live=True):
    """Net, tax and basis by department's code."""
    shares = CostAllocation.objects.filter(invoice=invoice, reverses__isnull=True)
    shares = shares.filter(reversed_by__isnull=True) if live else shares
    return {
        (share.department.code, share.basis): (str(share.net_amount), str(share.tax_amount))
        for share in shares.select_related("department")
    }


def billed(seller, customer, **overrides):
    return make_invoice(seller=seller, customer=customer, **overrides)


def test_what_names_nobody_goes_by_the_rule(seller, customer):
    rule = make_rule(customer, to("IT", "33.3333"), to("OPS"))

    invoice = billed(seller, customer, quantity="400")

    assert shares_of(invoice) == {
        ("IT", "rule"): ("33.3300", "6.3300"),
        ("OPS", "rule"): ("66.6700", "12.6700"),
    }
    share = CostAllocation.objects.filter(invoice=invoice).first()
    assert (share.rule_version.rule, share.rule_version.number) == (rule, 1)
    assert (share.gl_source, share.gl_code) == ("product", "6400")
    booked = JournalLine.objects.filter(entry__source=f"invoice:{invoice.pk}", account__code="4000")
    assert {line.department.code: line.credit for line in booked} == {
        "IT": Decimal("33.33"),
        "OPS": Decimal("66.67"),
    }
    assert_invariants_hold()


def test_what_is_drafted_or_retired_divides_nothing(seller, customer):
    make_rule(customer, to("IT", 100), active=False)
    retired = make_rule(customer, to("OPS", 100))
    services.retire_allocation_rule(
        actor="test", rule_id=retired.pk, ends_on=date(2024, 9, 1), reason="no longer"
    )

    invoice = billed(seller, customer)

    assert shares_of(invoice) == {("GENERAL", "default"): ("100.0000", "19.0000")}


def test_usage_that_names_its_department_stays_there_and_the_rest_goes_by_the_rule(seller, customer):
    make_rule(customer, to("IT", 95), to("OPS", 5))
    meter = make_sold_meter(seller)
    make_usage(customer, meter, "200", department=departments(customer)["OPS"])

    invoice = billed(seller, customer, meter=meter, quantity="200")

    assert shares_of(invoice) == {
        ("OPS", "usage"): ("50.0000", "9.5000"),
        ("IT", "rule"): ("47.5000", "9.0300"),
        ("OPS", "rule"): ("2.5000", "0.4700"),
    }
    assert_invariants_hold()


def test_an_override_divides_what_names_a_department_too(seller, customer):
    make_rule(customer, to("OPS", 100))
    make_rule(customer, to("IT", 95), to("LAB", 5), kind=RuleKind.OVERRIDE)
    meter = make_sold_meter(seller)
    make_usage(customer, meter, "200", department=departments(customer)["OPS"])

    invoice = billed(seller, customer, meter=meter, quantity="200")

    assert shares_of(invoice) == {
        ("IT", "rule"): ("95.0000", "18.0500"),
        ("LAB", "rule"): ("5.0000", "0.9500"),
    }


def test_a_rule_of_an_entity_above_divides_below_by_the_same_codes(seller, customer):
    make_rule(seller, to("IT", 50), to("OPS"))
    other = make_entity(parent=seller)  # has neither department

    invoice, others = billed(seller, customer), billed(seller, other)

    assert shares_of(invoice).keys() == {("IT", "rule"), ("OPS", "rule")}
    assert shares_of(others) == {("GENERAL", "default"): ("100.0000", "19.0000")}


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ({"product": True}, {"meter": True}, "IT"),
        ({"meter": True}, {"gl_code": "6400"}, "IT"),
        ({"gl_code": "6400"}, {"line_kind": LineKind.USAGE}, "IT"),
        ({"gl_code": "6400", "line_kind": LineKind.USAGE}, {"product": True}, "IT"),
        ({"line_kind": LineKind.USAGE, "above": True}, {}, "IT"),
        ({}, {"above": True}, "IT"),
        ({"priority": 1}, {}, "IT"),
        ({"priority": 1, "above": True}, {}, "OPS"),
        ({}, {}, "OPS"),  # the newer
        ({"gl_code": "9999"}, {"line_kind": LineKind.SUBSCRIPTION}, "GENERAL"),
        ({"starts_on": date(2024, 9, 2)}, {"ends_on": date(2024, 9, 1)}, "GENERAL"),
        ({"starts_on": date(2024, 9, 1)}, {"ends_on": date(2024, 9, 2)}, "OPS"),
    ],
)
def test_the_most_specific_rule_wins_then_the_nearest_the_highest_the_newest(
    seller, customer, first, second, winner
):
    meter = make_sold_meter(seller)
    for code, scope in (("IT", first), ("OPS", second)):
        scope = dict(scope)
        entity = seller if scope.pop("above", False) else customer
        if scope.pop("product", False):
            scope["product_id"] = meter.product_id
        if scope.pop("meter", False):
            scope["meter_id"] = meter.pk
        make_rule(entity, to(code, 100), **scope)

    invoice = billed(seller, customer, meter=meter)

    assert [code for code, _ in shares_of(invoice)] == [winner]


def test_drivers_divide_by_headcount_and_by_the_usage_of_the_service_period(seller, customer):
    by = departments(customer)
    meter, other = make_sold_meter(seller), make_sold_meter(seller)
    for code, quantity in (("IT", "1"), ("LAB", "3")):
        make_usage(customer, other, quantity, department=by[code])
    make_usage(customer, other, "7", department=by["OPS"], month=10)  # not in the period
    make_rule(
        customer,
        TargetTerms(kind="driver", percent=Decimal(80), driver="headcount"),
        TargetTerms(kind="driver", percent=Decimal(20), driver="usage", driver_meter_id=other.pk),
        product_id=meter.product_id,
    )

    invoice = billed(seller, customer, meter=meter)

    line = invoice.lines.get(product=meter.product)
    # 80 by 5 and 3 people: 50 and 30; 20 by 1 and 3 units: 5 and 15.
    assert {share.department.code: share.net_amount for share in line.allocations.all()} == {
        "IT": Decimal(55),
        "OPS": Decimal(30),
        "LAB": Decimal(15),
    }
    assert {share.department.code: share.weights for share in line.allocations.all()} == {
        "IT": {
            "1": {"driver": "headcount", "weight": "5", "of": "8"},
            "2": {"driver": "usage", "weight": "1", "of": "4"},
        },
        "OPS": {"1": {"driver": "headcount", "weight": "3", "of": "8"}},
        "LAB": {"2": {"driver": "usage", "weight": "3", "of": "4"}},
    }
    assert_invariants_hold()


def test_a_rule_with_fixed_amounts_divides_lines_in_their_currency_only(seller, customer):
    fixed = TargetTerms(kind="fixed", department_code="LAB", amount=Decimal(30), currency="EUR")
    make_rule(customer, fixed, to("IT"))
    dollars = make_sold_meter(seller, currency="USD")

    invoice = billed(seller, customer)
    in_dollars = billed(seller, make_sibling_with_departments(seller), meter=dollars)

    assert shares_of(invoice) == {
        ("LAB", "rule"): ("30.0000", "5.7000"),
        ("IT", "rule"): ("70.0000", "13.3000"),
    }
    assert shares_of(in_dollars).keys() == {("GENERAL", "default")}


def make_sibling_with_departments(seller):
    sibling = make_entity(parent=seller, currency="USD")
    for code in ("IT", "LAB"):
        make_department(entity=sibling, code=code)
    make_rule(
        sibling,
        TargetTerms(kind="fixed", department_code="LAB", amount=Decimal(30), currency="EUR"),
        to("IT"),
    )
    return sibling


def test_where_no_department_has_weight_the_default_department_bears_it(seller, customer):
    meter = make_sold_meter(seller)
    make_rule(
        customer,
        TargetTerms(kind="driver", percent=Decimal(100), driver="seats"),
    )

    invoice = billed(seller, customer, meter=meter)

    assert shares_of(invoice) == {("GENERAL", "rule"): ("100.0000", "19.0000")}


def test_a_department_that_has_ended_takes_the_rule_out_of_force_for_its_entity(seller, customer):
    make_rule(customer, to("IT", 100))
    it = departments(customer)["IT"]
    type(it).objects.filter(pk=it.pk).update(ends_on=date(2024, 9, 1))

    invoice = billed(seller, customer)

    assert shares_of(invoice).keys() == {("GENERAL", "default")}


def test_seats_count_for_the_department_that_subscribes_them(seller, customer):
    by = departments(customer)
    product = make_product(entity=seller)
    counts = {"IT": 2, "LAB": 1}
    for code, seats in counts.items():
        subscription = make_licensee(customer, seller, department=by[code])
        license = make_license(entity=customer, product=product, subscription=subscription)
        for _ in range(seats):
            make_seat(license, assigned_at=datetime(2026, 9, 30, 23, tzinfo=UTC))
    september = Need(Driver.SEATS, customer.pk, None, date(2026, 9, 1), date(2026, 10, 1))
    august = Need(Driver.SEATS, customer.pk, None, date(2026, 8, 1), date(2026, 9, 1))

    weights = weights_for([september, august], {customer.pk: by.values()})

    assert weights == {september: {by[code].pk: Decimal(count) for code, count in counts.items()}, august: {}}


def test_the_preview_is_what_the_run_makes(seller, customer, monkeypatch):
    make_rule(customer, to("IT", "33.3333"), to("OPS"))
    make_usage(customer, make_sold_meter(seller), "400")
    seen = []
    monkeypatch.setattr(issue, "allocate", lambda *args, **kw: seen.append(allocate(*args, **kw)) or seen[-1])

    preview = services.preview_billing(seller_id=seller.pk, as_of=AS_OF)
    [previewed] = preview.invoices
    assert not preview.refused
    assert not CostAllocation.objects.exists()
    run = services.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF)
    services.continue_billing_run(actor="test", run_id=run.pk)

    before, after = [
        [(share.department_id, share.net_amount, share.tax_amount, share.rule_version_id) for share in shares]
        for shares in seen
    ]
    assert before == after
    assert Invoice.objects.get().total_amount == previewed.total_amount


def test_what_is_subscribed_for_a_department_is_its_own_and_the_rest_goes_by_the_rule(seller):
    plan_of_nobody = make_subscriber(seller)
    customer = plan_of_nobody.entity
    lab, _ = make_department(entity=customer, code="LAB"), make_department(entity=customer, code="IT")
    make_subscription(plan=plan_of_nobody.plan, entity=customer, department_id=lab.pk)
    make_rule(customer, to("IT", 100), line_kind=LineKind.SUBSCRIPTION)

    [draft] = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=plan_of_nobody.starts_on
    )
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=plan_of_nobody.starts_on)

    assert shares_of(draft).keys() == {("LAB", "assigned"), ("IT", "rule")}


def test_a_batch_costs_as_many_queries_as_one_invoice(seller):
    meter = make_sold_meter(seller)
    drafts = []
    for _ in range(3):
        customer = make_entity(parent=seller)
        make_department(entity=customer, code="IT", headcount=2)
        make_rule(customer, TargetTerms(kind="driver", percent=Decimal(100), driver="headcount"))
        make_rule(
            customer,
            TargetTerms(kind="driver", percent=Decimal(60), driver="usage", driver_meter_id=meter.pk),
            to("IT"),
            priority=1,
        )
        drafts.append(make_draft(seller=seller, customer=customer, meter=meter))

    with CaptureQueriesContext(connection) as one:
        services.issue_invoices(actor="test", invoice_ids=[drafts[0].pk], issued_on=AS_OF)
    with CaptureQueriesContext(connection) as two:
        services.issue_invoices(actor="test", invoice_ids=[d.pk for d in drafts[1:]], issued_on=AS_OF)

    assert len(two) <= len(one)
