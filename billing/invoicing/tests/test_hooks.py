"""What higher apps may add to a billing run: lines of their own, and refusals."""

from datetime import date
from decimal import Decimal

import pytest

from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.drafting import hooks as drafting_hooks
from billing.invoicing.drafting.services.charge_lines import charge_lines
from billing.invoicing.drafting.services.usage_lines import usage_lines
from billing.invoicing.errors import CustomerNotActive
from billing.invoicing.invoices.core.draft_lines import DraftLine
from billing.invoicing.issuing import hooks as issuing_hooks
from billing.invoicing.issuing.hooks import adjusted_lines_are_issued, customers_are_active
from billing.invoicing.models import Invoice, LineKind
from billing.invoicing.states import InvoiceState, RunItemState
from billing.invoicing.tests.makers import AS_OF, make_seller, make_sold_meter, make_usage
from billing.kernel.ids import uuid7
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


def make_customers(seller, count=2):
    meter = make_sold_meter(seller)
    customers = sorted((make_entity(parent=seller) for _ in range(count)), key=lambda c: c.code)
    for customer in customers:
        make_usage(customer, meter, "400")
    return customers, meter.product


def fee(customer, product) -> DraftLine:
    return DraftLine(
        line_id=uuid7(),
        customer_id=customer.pk,
        currency="EUR",
        invoice_key="usage:2024-09-01",
        kind=LineKind.ONE_OFF,
        product_id=product.pk,
        tax_category=product.tax_category,
        gl_code=product.gl_code,
        description="Minimum fee",
        quantity=Decimal(1),
        unit="",
        unit_price=None,
        exact=Decimal("10.005"),
        service_starts_on=date(2024, 9, 1),
        service_ends_on=date(2024, 10, 1),
        derivation={
            "from": "contract",
            "exact": "10.005",
            "shares": [{"department": None, "exact": "10.005"}],
        },
        owed_on=date(2024, 10, 1),
    )


def bill(seller):
    run = services.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF)
    return services.continue_billing_run(actor="test", run_id=run.pk)


def test_what_is_registered_today_and_in_which_order():
    """Our own sources come before those of higher apps, which `config/tests/wiring.txt` has."""
    assert [charge_lines, usage_lines] == drafting_hooks.SOURCES[:2]
    assert [customers_are_active, adjusted_lines_are_issued] == issuing_hooks.GUARDS


def test_a_further_source_adds_its_lines_behind_the_others():
    seller = make_seller()
    (first, second), product = make_customers(seller)
    asked = []

    def fees(*, seller_id, customers, as_of):
        asked.append((seller_id, set(customers), as_of))
        return [fee(customers[second.pk], product)] if second.pk in customers else []

    drafting_hooks.bills(fees)
    try:
        bill(seller)
    finally:
        drafting_hooks.SOURCES.remove(fees)

    assert asked == [(seller.pk, {first.pk, second.pk}, AS_OF)]
    billed = Invoice.objects.get(customer=second)
    assert list(billed.lines.order_by("position").values_list("description", "net_amount")) == [
        (product.name, Decimal("100.00")),
        ("Minimum fee", Decimal("10.01")),  # half up
    ]
    assert billed.total_amount == Decimal("130.91")  # 110.01 and 19 % of it, 20.9019
    assert Invoice.objects.get(customer=first).total_amount == Decimal("119.00")
    assert_invariants_hold()


def test_a_guard_refuses_one_customer_and_stops_nobody_else():
    seller = make_seller()
    (first, second), _ = make_customers(seller)

    def has_an_order_number(invoices):
        if any(invoice.customer_id == first.pk for invoice in invoices):
            raise CustomerNotActive(f"{first} wants its order number on the invoice.")

    issuing_hooks.guards(has_an_order_number)
    try:
        refused = services.preview_billing(seller_id=seller.pk, as_of=AS_OF).refused
        run = bill(seller)
    finally:
        issuing_hooks.GUARDS.remove(has_an_order_number)

    assert {pk: error.code for pk, error in refused.items()} == {first.pk: "customer-not-active"}
    assert run.items.get(customer=first).failure == {
        "code": "customer-not-active",
        "detail": f"{first} wants its order number on the invoice.",
    }
    assert Invoice.objects.get(customer=first).state == InvoiceState.DRAFT
    assert run.items.get(customer=second).state == RunItemState.DONE
    assert Invoice.objects.get(customer=second).sequence == 1
    assert_invariants_hold()
