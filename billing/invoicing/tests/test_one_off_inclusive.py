"""One-off lines whose price includes tax: what is told is what is paid, or a minor unit less where no net makes it."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.invoicing import services
from billing.invoicing.documents.content import content_of
from billing.invoicing.errors import OneOffKeyTaken
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.tests.makers import (
    AS_OF,
    make_discount,
    make_discount_grant,
    make_one_off,
    make_seller,
    one_off_line,
)
from billing.invoicing.verification.services.recalculation import differences_in
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def customer(seller):
    return make_entity(parent=seller)


def told(seller, *prices: str, **overrides) -> list[services.OneOffLine]:
    product = make_product(entity=seller)
    return [one_off_line(product, unit_price=price, tax_inclusive=True, **overrides) for price in prices]


def figures(invoice: Invoice) -> tuple:
    nets = [line.net_amount for line in invoice.lines.order_by("position")]
    return nets, invoice.net_amount, invoice.tax_amount, invoice.total_amount


def test_what_is_told_is_what_is_paid(seller, customer):
    invoice = make_one_off(seller, customer, lines=told(seller, "119"))

    assert figures(invoice) == ([100], 100, 19, 119)
    line = invoice.lines.get()
    assert (line.unit_price, line.inclusive_unit_price, line.inclusive_amount) == (None, 119, 119)
    assert differences_in(invoice) == []


def test_where_no_net_makes_it_a_cent_less_is_paid(seller, customer):
    # 8.39 makes 9.98 and 8.40 makes 10.00; two of them are 19.98, and 16.79 makes that.
    assert figures(make_one_off(seller, customer, lines=told(seller, "9.99"))) == (
        [Decimal("8.39")],
        Decimal("8.39"),
        Decimal("1.59"),
        Decimal("9.98"),
    )
    assert figures(make_one_off(seller, customer, lines=told(seller, "9.99", "9.99"))) == (
        [Decimal("8.40"), Decimal("8.39")],
        Decimal("16.79"),
        Decimal("3.19"),
        Decimal("19.98"),
    )


def test_prices_with_and_without_tax_stand_on_one_invoice(seller, customer):
    lines = [*told(seller, "119", "0.99"), one_off_line(make_product(entity=seller), unit_price="0.13")]
    zero = make_product(entity=seller, tax_category="Z")
    lines.append(one_off_line(zero, unit_price="50", tax_inclusive=True))

    invoice = make_one_off(seller, customer, lines=lines)

    # 119.99 told; 0.13 and its tax of 0.02 beside it; 50.00 at no tax.
    assert invoice.total_amount == Decimal("170.14")
    assert [line.net_amount for line in invoice.lines.order_by("position")][2:] == [Decimal("0.13"), 50]
    assert differences_in(invoice) == []


def test_a_customer_that_owes_no_tax_pays_the_price_as_its_net(seller):
    customer = make_entity(parent=seller, country="FR", tax_id="FR40303265045")

    assert figures(make_one_off(seller, customer, lines=told(seller, "119"))) == ([119], 119, 0, 119)


def test_a_discount_is_off_the_net_of_the_price(seller, customer):
    make_discount_grant(customer, make_discount(seller))

    invoice = make_one_off(seller, customer, lines=told(seller, "119"))

    assert figures(invoice) == ([90], 90, Decimal("17.10"), Decimal("107.10"))
    assert differences_in(invoice) == []


def test_it_is_issued_by_the_run_allocated_booked_and_proven(seller, customer):
    department = make_department(entity=customer)
    lines = told(seller, "9.99", "30", "-1.01", department_id=department.pk)
    make_one_off(seller, customer, lines=lines, issue_on=AS_OF)

    run = services.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF)
    services.continue_billing_run(actor="test", run_id=run.pk)
    as_if_committed()

    invoice = Invoice.objects.get()
    assert invoice.number
    assert invoice.total_amount == Decimal("38.98")
    proof = proof_of(invoice)
    assert proof.holds
    assert {share.department for share in invoice.allocations.all()} == {department}
    assert_invariants_hold()


def test_with_or_without_tax_is_part_of_what_a_key_says(seller, customer):
    lines = told(seller, "119")
    first = make_one_off(seller, customer, lines=lines, key="a")

    assert make_one_off(seller, customer, lines=lines, key="a") == first
    with pytest.raises(OneOffKeyTaken):
        make_one_off(seller, customer, lines=[replace(lines[0], tax_inclusive=False)], key="a")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    figures=st.lists(st.tuples(st.decimals("0.01", 500, places=2), st.booleans()), min_size=1, max_size=6),
    percent=st.sampled_from([5, 7, 10, 19, 20, 21, 25]),
)
def test_any_mixture_comes_to_what_was_told_or_a_cent_less(figures, percent, customer, seller):
    country = {5: "FR", 7: "PL", 10: "IT", 19: "DE", 20: "AT", 21: "NL", 25: "SE"}[percent]
    BillingEntity.objects.filter(pk=customer.pk).update(country=country, tax_id="")
    services.add_tax_rate(
        actor="test", country=country, category="S", percent=Decimal(percent), starts_on=date(2020, 1, 1)
    )
    product = make_product(entity=seller)
    lines = [
        one_off_line(product, unit_price=str(price), tax_inclusive=inclusive) for price, inclusive in figures
    ]

    invoice = make_one_off(seller, customer, lines=lines)

    with_tax = sum((price for price, inclusive in figures if inclusive), Decimal(0))
    beside = sum((price for price, inclusive in figures if not inclusive), Decimal(0))
    tax_beside = (beside * percent / 100).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    most = with_tax + beside + tax_beside
    allowed = {most, most - Decimal("0.01")} if with_tax else {most}
    assert invoice.total_amount in allowed
    [tax] = invoice.taxes.all()
    assert tax.tax_amount == (tax.taxable_amount * percent / 100).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    assert differences_in(invoice) == []
    assert found_by("T1") == []


def found_by(check: str) -> list:
    [query] = [sql for name, sql in CHECKS.items() if name.startswith(f"{check} ")]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_what_was_tampered_with_is_told_and_found(seller, customer):
    invoice = make_one_off(seller, customer, lines=told(seller, "119"))
    line = invoice.lines.get()

    InvoiceLine.objects.filter(pk=line.pk).update(inclusive_amount=120)

    assert [(each.what, each.stored, each.recomputed) for each in differences_in(invoice)] == [
        ("amount with tax", "120", "119")
    ]
    assert found_by("T1") == [(invoice.pk, "S", 19)]
    for name, change in (
        ("invoice_line_price_with_or_without_tax", {"inclusive_amount": None}),
        ("invoice_line_price_with_or_without_tax", {"unit_price": 1}),
        ("invoice_line_payable", {"inclusive_amount": Decimal("0.001")}),
    ):
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            InvoiceLine.objects.filter(pk=line.pk).update(**change)


def test_on_the_wire_and_on_the_document(api, seller, customer):
    client = api(make_grant(role="BO", entity=seller).user)
    line = {
        "product": str(make_product(entity=seller).pk),
        "quantity": "1",
        "unit_price": "119",
        "tax_inclusive": True,
        "service_starts_on": "2024-09-01",
        "service_ends_on": "2024-10-01",
    }
    wanted = {"seller": str(seller.pk), "customer": str(customer.pk), "currency": "EUR", "lines": [line]}

    made = client.post(f"{API}invoices", wanted, format="json", headers={"Idempotency-Key": str(uuid4())})

    assert (made.status_code, made.json()["total_amount"]) == (201, "119.00")
    [shown] = client.get(f"{made['Location']}/lines").json()["results"]
    assert (shown["unit_price"], shown["inclusive_unit_price"]) == (None, "119")
    assert (shown["inclusive_amount"], shown["net_amount"]) == ("119.00", "100.00")
    services.issue_invoice(actor="test", invoice_id=made.json()["id"], issued_on=AS_OF)
    invoice = Invoice.objects.get()
    content = content_of(invoice, lines=invoice.lines.all(), taxes=invoice.taxes.all(), language="en")
    assert (content["lines"][0]["below"].split(" · ")[1], content["lines"][0]["amount"]) == (
        "119.00 incl. 19\N{NO-BREAK SPACE}%",
        "100.00",
    )
