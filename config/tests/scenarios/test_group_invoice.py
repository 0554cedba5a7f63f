"""A group that pays once: three companies, two currencies, one consolidated invoice.

Northwind sells storage at 0.25 EUR or 0.30 USD a unit. The companies of Boréal roll up to their holding:

    company    units      invoice         in EUR at 0.92
    PARIS      1,000      250.00 EUR      250.00
    LYON         400      100.00 EUR      100.00
    BOSTON       500      150.00 USD      138.00
    for information                       488.00

No tax: the French companies account for it themselves (reverse charge), Boston is outside the European Union. Berlin
belongs to another group and is not on the document.
"""

from datetime import date
from decimal import Decimal

import pytest

from billing.entities.models import Consolidation
from billing.invoicing import services as invoicing
from billing.invoicing.errors import ChildOfConsolidation
from billing.invoicing.models import ConsolidatedInvoice, Invoice
from billing.invoicing.states import InvoiceState
from config.tests.scenarios.steps import (
    ACTOR,
    assert_books_are_sound,
    balances,
    found_seller,
    offer_product,
    receive_payment,
    report_usage,
    run_billing,
    sign_customer,
)

pytestmark = pytest.mark.django_db

ISSUED = date(2025, 11, 1)


@pytest.fixture
def seller():
    seller = found_seller()
    offer_product(seller, "STORAGE", {"EUR": "0.25", "USD": "0.30"})
    return seller


@pytest.fixture
def holding(seller):
    return sign_customer(seller, "BOREAL", country="FR", tax_id="FR11123456782")


@pytest.fixture
def invoices(seller, holding) -> dict[str, Invoice]:
    """The invoices of October by company."""
    rolls_up = {"consolidation": Consolidation.ROLL_UP}
    french = {"country": "FR", "tax_id": "FR11123456782"} | rolls_up
    paris = sign_customer(holding, "PARIS", **french)
    lyon = sign_customer(paris, "LYON", **french)
    boston = sign_customer(holding, "BOSTON", country="US", currency="USD", **rolls_up)
    berlin = sign_customer(seller, "BERLIN")
    for customer, units in ((paris, "1000"), (lyon, "400"), (boston, "500"), (berlin, "80")):
        report_usage(customer, "STORAGE", units, on=date(2025, 10, 15))
    return {invoice.customer.code: invoice for invoice in run_billing(seller, on=ISSUED)}


@pytest.fixture
def document(seller, holding, invoices) -> ConsolidatedInvoice:
    invoicing.add_exchange_rate(
        actor=ACTOR,
        from_currency="USD",
        to_currency="EUR",
        rate=Decimal("0.92"),
        rate_on=ISSUED,
        source="European Central Bank",
    )
    return invoicing.consolidate_invoices(
        actor=ACTOR,
        payer_id=holding.pk,
        seller_id=seller.pk,
        period_starts_on=ISSUED,
        period_ends_on=date(2025, 12, 1),
        issued_on=ISSUED,
    ).document


def states_of(invoices) -> dict[str, str]:
    return dict(
        Invoice.objects.filter(pk__in=[i.pk for i in invoices.values()]).values_list(
            "customer__code", "state"
        )
    )


def test_every_company_has_its_own_invoice(invoices):
    assert {code: (i.total_amount, i.currency) for code, i in invoices.items()} == {
        "PARIS": (Decimal("250.00"), "EUR"),
        "LYON": (Decimal("100.00"), "EUR"),
        "BOSTON": (Decimal("150.00"), "USD"),
        "BERLIN": (Decimal("23.80"), "EUR"),  # 80 × 0.25 + 19 %
    }
    assert_books_are_sound()


def test_the_holding_gets_one_document(document):
    members = document.children.values_list("customer__code", flat=True)
    assert set(members) == {"PARIS", "LYON", "BOSTON"}
    assert dict(document.totals.values_list("currency", "total_amount")) == {
        "EUR": Decimal("350.00"),
        "USD": Decimal("150.00"),
    }
    assert (document.converted_amount, document.currency) == (Decimal("488.00"), "EUR")
    assert_books_are_sound()


def test_consolidating_books_nothing(seller, invoices, request):
    before = {currency: balances(seller, currency=currency) for currency in ("EUR", "USD")}

    request.getfixturevalue("document")

    assert {currency: balances(seller, currency=currency) for currency in ("EUR", "USD")} == before


def test_the_holding_pays_for_its_companies(seller, holding, invoices, document):
    through = {"consolidated_invoice_id": document.pk}
    receive_payment(holding, seller, "350.00", on=date(2025, 11, 20), **through)
    assert states_of(invoices) == {"PARIS": "paid", "LYON": "paid", "BOSTON": "issued", "BERLIN": "issued"}

    receive_payment(holding, seller, "150.00", on=date(2025, 11, 20), currency="USD", **through)
    assert states_of(invoices) == {"PARIS": "paid", "LYON": "paid", "BOSTON": "paid", "BERLIN": "issued"}
    assert_books_are_sound()


def test_a_member_is_not_voided_by_itself(invoices, document):
    with pytest.raises(ChildOfConsolidation):
        invoicing.void_invoice(
            actor=ACTOR, invoice_id=invoices["PARIS"].pk, voided_on=ISSUED, reason="wrong address"
        )
    assert states_of(invoices)["PARIS"] == InvoiceState.ISSUED
    assert_books_are_sound()
