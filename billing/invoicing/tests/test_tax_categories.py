"""Intra-Community supplies of goods (K), IGIC (L) and IPSI (M), by the rules of EN 16931-1:2017 (BR-IC, BR-AF, BR-AG)."""

from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.errors import TaxIdMissing, TaxRateMissing
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax
from billing.invoicing.tests.makers import AS_OF, make_one_off, make_seller, make_tax_rate, one_off_line
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db

GERMAN, FRENCH, CANARIAN = "DE136695976", "FR40303265045", "B35000000"
REASON = "Intra-Community supply, exempt under art. 138 of Directive 2006/112/EC."


def make_sold(*, seller, customer, is_goods=True, **overrides) -> Invoice:
    """A draft over 100.00 EUR from a seller in a country with a tax id to a customer in another with its own."""
    (country, tax_id), (to, their_tax_id) = seller, customer
    sold_by = make_seller(country=country, tax_id=tax_id)
    bought_by = make_entity(parent=sold_by, country=to, tax_id=their_tax_id)
    line = one_off_line(make_product(entity=sold_by, is_goods=is_goods), **overrides)
    return make_one_off(sold_by, bought_by, lines=[line])


def issue(invoice: Invoice) -> None:
    services.issue_invoice(actor="test", invoice_id=invoice.pk, issued_on=AS_OF)
    as_if_committed()


@pytest.mark.parametrize(
    ("_case", "seller", "customer", "is_goods", "category"),
    [
        ("goods to a business in another member state", ("DE", GERMAN), ("FR", FRENCH), True, "K"),
        ("a service to it", ("DE", GERMAN), ("FR", FRENCH), False, "AE"),
        ("goods at home", ("DE", GERMAN), ("DE", GERMAN), True, "S"),
        ("goods to a consumer in another member state", ("DE", GERMAN), ("FR", ""), True, "S"),
        ("goods out of the union", ("DE", GERMAN), ("US", ""), True, "G"),
        ("goods from the mainland to the Canary Islands", ("ES", GERMAN), ("IC", CANARIAN), True, "G"),
        ("anything within the Canary Islands", ("IC", CANARIAN), ("IC", ""), False, "L"),
        ("anything within Ceuta and Melilla", ("EA", CANARIAN), ("EA", ""), True, "M"),
        ("from the Canary Islands to the mainland", ("IC", CANARIAN), ("ES", ""), True, "O"),
    ],
)
def test_the_category_follows_from_the_parties_and_from_what_is_sold(
    _case, seller, customer, is_goods, category
):
    make_tax_rate(country="FR", percent=Decimal(20))

    invoice = make_sold(seller=seller, customer=customer, is_goods=is_goods)

    assert invoice.taxes.get().category == category
    issue(invoice)
    assert_invariants_hold()


def test_an_intra_community_supply_bears_no_tax_and_says_why():
    # BR-IC-8: taxable amount = Σ nets; BR-IC-9: no tax; BR-IC-10: the reason; BR-IC-2: both tax ids.
    invoice = make_sold(seller=("DE", GERMAN), customer=("FR", FRENCH))
    issue(invoice)

    tax, issued = invoice.taxes.get(), Invoice.objects.get()
    assert (tax.category, tax.percent, tax.taxable_amount, tax.tax_amount) == ("K", 0, 100, 0)
    assert tax.exemption_reason == REASON
    assert (issued.snapshot["seller"]["tax_id"], issued.snapshot["customer"]["tax_id"]) == (GERMAN, FRENCH)
    assert issued.total_amount == 100


@pytest.mark.parametrize(
    ("_case", "country", "percent", "price", "inclusive", "figures"),
    [
        # IGIC, general rate of 7 % (Ley 4/2012 of the Canary Islands, art. 51): BR-AF-9, tax = taxable × rate.
        ("general rate of the IGIC", "IC", "7", "100", False, ("100.00", "7.00", "107.00")),
        ("rounded half-up", "IC", "7", "10.50", False, ("10.50", "0.74", "11.24")),
        ("told with tax", "IC", "7", "107", True, ("100.00", "7.00", "107.00")),
        # The rates of the IPSI are between 0.5 % and 10 % (Ley 8/1991, art. 18), as either city decides.
        ("IPSI", "EA", "0.5", "100", False, ("100.00", "0.50", "100.50")),
        # BR-AF-5, BR-AG-5: the rate may be zero.
        ("a rate of zero", "IC", "0", "100", False, ("100.00", "0.00", "100.00")),
    ],
)
def test_igic_and_ipsi_are_computed_as_the_standard_rate_is(
    _case, country, percent, price, inclusive, figures
):
    make_tax_rate(country=country, percent=Decimal(percent))
    seller = make_entity(is_seller=True, country=country, tax_id=CANARIAN)
    line = one_off_line(make_product(entity=seller), unit_price=price, tax_inclusive=inclusive)

    invoice = make_one_off(seller, make_entity(parent=seller, country=country), lines=[line])
    issue(invoice)

    net, tax, total = (Decimal(figure) for figure in figures)
    assert (invoice.net_amount, invoice.tax_amount, invoice.total_amount) == (net, tax, total)
    row = invoice.taxes.get()
    assert (row.category, row.exemption_reason) == ({"IC": "L", "EA": "M"}[country], "")
    assert_invariants_hold()


def test_goods_and_services_to_one_business_stand_apart():
    seller = make_seller(tax_id=GERMAN)
    customer = make_entity(parent=seller, country="FR", tax_id=FRENCH)
    sold = [make_product(entity=seller, is_goods=is_goods) for is_goods in (True, False, True)]

    invoice = make_one_off(seller, customer, lines=[one_off_line(product) for product in sold])

    rows = [(row.category, row.taxable_amount) for row in invoice.taxes.order_by("category")]
    assert rows == [("AE", 100), ("K", 200)]


@pytest.mark.parametrize(
    ("seller", "customer"),
    [(("DE", ""), ("FR", FRENCH)), (("IC", ""), ("IC", "")), (("EA", ""), ("EA", ""))],
)
def test_without_the_sellers_tax_id_nothing_is_drafted(seller, customer):
    with pytest.raises(TaxIdMissing, match="has no tax id"):
        make_sold(seller=seller, customer=customer)

    assert not Invoice.objects.exists()


def test_without_a_rate_of_the_territory_nothing_is_drafted():
    seller = make_entity(is_seller=True, country="IC", tax_id=CANARIAN)

    with pytest.raises(TaxRateMissing, match="No S rate for IC"):
        make_one_off(seller, make_entity(parent=seller, country="IC"))

    assert not Invoice.objects.exists()


@pytest.mark.parametrize(
    ("model", "change", "constraint"),
    [
        (InvoiceLine, {"tax_percent": 1}, "invoice_line_rate_of_its_category"),
        (InvoiceLine, {"tax_category": "B"}, "invoice_line_rate_of_its_category"),
        (InvoiceTax, {"percent": 1}, "invoice_tax_rate_of_its_category"),
        (InvoiceTax, {"exemption_reason": ""}, "invoice_tax_reason_of_its_category"),
        (InvoiceTax, {"category": "L"}, "invoice_tax_reason_of_its_category"),
    ],
)
def test_the_database_refuses_a_rate_or_a_silence_that_is_not_of_the_category(model, change, constraint):
    make_sold(seller=("DE", GERMAN), customer=("FR", FRENCH))

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        model.objects.update(**change)

    assert (InvoiceTax.objects.get().category, InvoiceTax.objects.get().exemption_reason) == ("K", REASON)


@pytest.mark.parametrize(
    ("_case", "seller", "customer", "category", "reason"),
    [
        ("K without the customer's tax id", ("DE", GERMAN), ("FR", ""), "K", REASON),
        ("K without the seller's tax id", ("DE", ""), ("FR", ""), "K", REASON),
        ("K at home", ("DE", GERMAN), ("DE", GERMAN), "K", REASON),
        ("IGIC on the mainland", ("DE", GERMAN), ("DE", ""), "L", ""),
        ("IPSI in the Canary Islands", ("IC", CANARIAN), ("IC", ""), "M", ""),
    ],
)
def test_no_invoice_is_issued_with_a_tax_its_parties_cannot_owe(_case, seller, customer, category, reason):
    make_tax_rate(country="FR", percent=Decimal(0))
    invoice = make_sold(seller=seller, customer=customer, is_goods=False)
    invoice.taxes.update(category=category, percent=0, tax_amount=0, exemption_reason=reason)
    invoice.lines.update(tax_category=category, tax_percent=0)
    Invoice.objects.update(tax_amount=0, total_amount=100)

    with pytest.raises(IntegrityError, match="its parties cannot owe"), transaction.atomic():
        issue(invoice)

    assert Invoice.objects.get().number is None


def found_by(check: str) -> list[tuple]:
    [query] = [sql for name, sql in CHECKS.items() if name.startswith(f"{check} ")]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


@pytest.mark.parametrize(
    ("check", "statement"),
    [
        ("T3", "UPDATE invoices SET snapshot = jsonb_set(snapshot, '{customer,tax_id}', '\"\"')"),
        ("T3", "UPDATE invoices SET snapshot = jsonb_set(snapshot, '{seller,country}', '\"FR\"')"),
        ("T3", "UPDATE invoice_taxes SET category = 'L'"),
        ("T4", "UPDATE invoice_taxes SET category = 'Z'"),
        ("T4", "UPDATE invoice_taxes SET category = 'L'"),
    ],
)
def test_what_is_there_all_the_same_is_found(check, statement):
    issue(make_sold(seller=("DE", GERMAN), customer=("FR", FRENCH)))
    assert found_by(check) == []

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE invoice_taxes DROP CONSTRAINT invoice_tax_reason_of_its_category")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET session_replication_role = origin")

    assert len(found_by(check)) == 1
