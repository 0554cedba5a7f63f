from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.entities import services as entities
from billing.entities.errors import CurrencyLocked
from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.errors import NotTheSeller, PriceMissing, TaxRateMissing
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax, UsageClaim
from billing.invoicing.tests.makers import (
    AS_OF,
    make_draft,
    make_invoice,
    make_seller,
    make_sold_meter,
    make_tax_rate,
    make_usage,
)
from billing.kernel.tests.races import start_rival
from billing.subscriptions.tests.makers import make_price

pytestmark = pytest.mark.django_db


def draft(seller, *customers, as_of=AS_OF):
    return services.draft_invoices(
        actor="user:1", seller_id=seller.pk, customer_ids=[c.pk for c in customers], as_of=as_of
    )


def nets(invoice) -> list[Decimal]:
    return list(invoice.lines.order_by("position").values_list("net_amount", flat=True))


def test_one_invoice_per_customer_currency_and_month():
    seller = make_seller()
    one, other = make_entity(parent=seller), make_entity(parent=seller)
    euros, dollars = make_sold_meter(seller), make_sold_meter(seller, markup_percent="0", currency="USD")
    make_usage(one, euros, month=8)
    make_usage(one, euros, month=9)
    make_usage(one, dollars, "0", cost=Decimal("7"), currency="USD")
    make_usage(other, euros)

    draft(seller, one, other)

    assert sorted(
        Invoice.objects.values_list("customer__code", "currency", "period_starts_on", "period_ends_on")
    ) == [
        (one.code, "EUR", date(2024, 8, 1), date(2024, 9, 1)),
        (one.code, "EUR", date(2024, 9, 1), date(2024, 10, 1)),
        (one.code, "USD", date(2024, 9, 1), date(2024, 10, 1)),
        (other.code, "EUR", date(2024, 9, 1), date(2024, 10, 1)),
    ]


def test_leaves_the_running_month_alone():
    seller = make_seller()
    customer = make_entity(parent=seller)
    make_usage(customer, make_sold_meter(seller), month=9)

    assert draft(seller, customer, as_of=date(2024, 9, 30)) == []
    assert not Invoice.objects.exists()
    assert not UsageClaim.objects.exists()


def test_metered_lines_are_rounded_each_half_up():
    seller = make_seller()
    customer = make_entity(parent=seller)
    for _ in range(2):
        make_usage(customer, make_sold_meter(seller, unit_price="0.005"), "1")

    [invoice] = draft(seller, customer)

    assert nets(invoice) == [Decimal("0.01"), Decimal("0.01")]


def test_costs_passed_through_are_rounded_once_and_split_by_largest_remainder():
    seller = make_seller()
    customer = make_entity(parent=seller)
    for position, cost in enumerate(("0.0000008", "0.004", "0.004", "0.0069992")):
        meter = make_sold_meter(seller, markup_percent="0", code=f"cost-{position}")  # lines follow the codes
        make_usage(customer, meter, "0", cost=Decimal(cost), currency="EUR")

    [invoice] = draft(seller, customer)

    # exact sum 0.015 -> 0.02: one cent each to the two largest remainders, 0.0069992 and the first 0.004
    assert invoice.net_amount == Decimal("0.02")
    assert nets(invoice) == [0, Decimal("0.01"), 0, Decimal("0.01")]


def test_the_derivation_keeps_what_rounding_took():
    seller = make_seller()
    customer = make_entity(parent=seller)
    department = make_department(entity=customer)
    meter = make_sold_meter(seller, markup_percent="12.5")
    make_usage(customer, meter, "2", cost=Decimal("0.00000000001"), currency="EUR", department=department)
    make_usage(customer, meter, "3", cost=Decimal("1"), currency="EUR")

    [invoice] = draft(seller, customer)

    [line] = invoice.lines.all()
    assert line.derivation["exact"] == "1.12500000001125"
    assert [(share["department"], share["exact"]) for share in line.derivation["shares"]] == [
        (None, "1.125"),
        (str(department.pk), "0.00000000001125"),
    ]
    assert line.derivation["events"] == 2
    assert line.quantity == 5


def test_each_event_is_priced_as_of_its_day():
    seller = make_seller()
    customer = make_entity(parent=seller)
    meter = make_sold_meter(seller, unit_price="1")
    make_price(product=meter.product, currency="EUR", unit_price=Decimal("2"), starts_on=date(2024, 9, 16))
    make_usage(customer, meter, "10", day=15)
    make_usage(customer, meter, "10", day=16)

    [invoice] = draft(seller, customer)

    assert [(line.unit_price, line.net_amount) for line in invoice.lines.order_by("position")] == [
        (1, 10),
        (2, 20),
    ]


def test_a_missing_price_drafts_nothing_and_says_which():
    seller = make_seller()
    customer = make_entity(parent=seller)
    meter = make_sold_meter(seller, currency="USD")
    make_usage(customer, meter)

    with pytest.raises(PriceMissing, match=f"{meter.product.code} in EUR for {customer.code}"):
        draft(seller, customer)

    assert not Invoice.objects.exists()
    assert not UsageClaim.objects.exists()


def test_a_missing_tax_rate_drafts_nothing():
    seller = make_seller(country="DE")
    abroad = make_entity(parent=seller, country="FR")
    make_usage(abroad, make_sold_meter(seller))

    with pytest.raises(TaxRateMissing, match="No S rate for FR"):
        draft(seller, abroad)

    assert not Invoice.objects.exists()


def test_an_entity_that_does_not_sell_invoices_nobody():
    customer = make_entity()

    with pytest.raises(NotTheSeller):
        draft(customer, customer)


@pytest.mark.parametrize(
    ("_case", "country", "tax_id", "treatment", "percent"),
    [
        ("at home", "DE", "", "S", "19"),
        ("a business in the union", "FR", "FR40303265045", "AE", "0"),
        ("a consumer in the union", "AT", "", "S", "20"),
        ("outside the union", "US", "", "G", "0"),
    ],
)
def test_tax_follows_where_the_customer_is(_case, country, tax_id, treatment, percent):
    seller = make_seller()
    make_tax_rate(country="AT", percent=Decimal("20"))
    customer = make_entity(parent=seller, country=country, tax_id=tax_id)
    make_usage(customer, make_sold_meter(seller), "400")

    [invoice] = draft(seller, customer)

    row = InvoiceTax.objects.get(invoice=invoice)
    assert (row.category, row.percent, row.taxable_amount) == (treatment, Decimal(percent), 100)
    assert row.tax_amount == Decimal(percent)
    assert bool(row.exemption_reason) == (percent == "0")


def test_drafting_again_changes_nothing_but_the_version():
    first = make_draft()
    before = [(line.net_amount, line.derivation) for line in first.lines.all()]

    [second] = draft(first.seller, first.customer)

    assert (second.pk, second.total_amount) == (first.pk, first.total_amount)
    assert second.version > first.version
    assert [(line.net_amount, line.derivation) for line in second.lines.all()] == before
    assert (Invoice.objects.count(), InvoiceLine.objects.count(), UsageClaim.objects.count()) == (1, 1, 1)


def test_a_draft_takes_in_usage_that_arrives_before_it_is_issued():
    first = make_draft()
    meter = first.lines.get().claims.get().event.meter
    make_usage(first.customer, meter, "4", day=20)

    [second] = draft(first.seller, first.customer)

    assert second.net_amount == 101


def test_late_usage_goes_to_the_next_invoice_under_its_own_month():
    issued = make_invoice()
    meter = issued.lines.get().claims.get().event.meter
    make_usage(issued.customer, meter, "4", day=20)

    assert draft(issued.seller, issued.customer) == []
    [next_month] = draft(issued.seller, issued.customer, as_of=date(2024, 11, 1))

    assert (next_month.period_starts_on, next_month.net_amount) == (date(2024, 10, 1), 1)
    [line] = next_month.lines.all()
    assert (line.service_starts_on, line.service_ends_on) == (date(2024, 9, 1), date(2024, 10, 1))


def test_the_number_of_statements_does_not_grow_with_customers():
    seller = make_seller()
    meter = make_sold_meter(seller)

    def statements(count: int) -> int:
        customers = [make_entity(parent=seller) for _ in range(count)]
        for customer in customers:
            make_usage(customer, meter)
        with CaptureQueriesContext(connection) as captured:
            drafts = draft(seller, *customers)
            services.issue_invoices(actor="user:1", invoice_ids=[d.pk for d in drafts], issued_on=AS_OF)
        return len(captured)

    statements(1)  # the seller's accounts and month are made once
    assert statements(2) == statements(12)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_bill_each_event_once():
    seller = make_seller()
    customer = make_entity(parent=seller)
    make_usage(customer, make_sold_meter(seller))

    with transaction.atomic():
        drafts = draft(seller, customer)
        services.issue_invoices(actor="user:1", invoice_ids=[d.pk for d in drafts], issued_on=AS_OF)
        rival = start_rival(lambda: draft(seller, customer))

    assert rival.result(timeout=5) == []
    assert Invoice.objects.count() == 1
    assert UsageClaim.objects.count() == 1


def test_an_entity_with_an_invoice_keeps_its_currency():
    customer = make_invoice().customer

    with pytest.raises(CurrencyLocked):
        entities.update_entity(actor="user:1", entity_id=customer.pk, changes={"currency": "USD"})
    with pytest.raises(IntegrityError, match="keeps its currency"), transaction.atomic():
        BillingEntity.objects.filter(pk=customer.pk).update(currency="USD")

    customer.refresh_from_db()
    assert customer.currency == "EUR"
