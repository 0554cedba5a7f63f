"""Certificates: who pays no tax where, from when to when."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing import queries, services
from billing.invoicing.errors import ExemptionEnds, ExemptionOverlaps
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import Invoice, TaxExemption
from billing.invoicing.tests.makers import AS_OF, make_seller, make_sold_meter, make_tax_rate, make_usage
from billing.kernel.errors import Invalid, PreconditionFailed
from billing.kernel.models import AuditEntry
from billing.kernel.tests.races import start_rival

pytestmark = pytest.mark.django_db

BACKEND = "billing.entities.backends.GrantBackend"
SEPTEMBER, OCTOBER = date(2024, 9, 1), date(2024, 10, 1)


def exempt(customer, **overrides) -> TaxExemption:
    values = {"country": "DE", "certificate": "NV 31/4711", "starts_on": SEPTEMBER}
    return services.add_tax_exemption(actor="test", customer_id=customer.pk, **values | overrides)


def drafted(seller, customer) -> Invoice:
    [invoice] = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=AS_OF
    )
    return invoice


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def customer(seller):
    customer = make_entity(parent=seller)
    make_usage(customer, make_sold_meter(seller), "400")
    return customer


def test_an_exempt_customer_pays_no_tax_and_the_invoice_says_why(seller, customer):
    exempt(customer)

    invoice = drafted(seller, customer)

    [line], [tax] = invoice.lines.all(), invoice.taxes.all()
    assert (invoice.net_amount, invoice.tax_amount, invoice.total_amount) == (100, 0, 100)
    assert (line.tax_category, line.tax_percent) == ("E", 0)
    assert (tax.category, tax.percent, tax.taxable_amount, tax.tax_amount) == ("E", 0, 100, 0)
    assert tax.exemption_reason == "Exempt from tax: certificate NV 31/4711."
    issued = services.issue_invoice(actor="test", invoice_id=invoice.pk, issued_on=AS_OF)
    assert issued.number == "INV-2024-000001"


@pytest.mark.parametrize(
    ("_case", "terms", "tax"),
    [
        ("another country's", {"country": "FR"}, 19),
        ("not begun on the tax point, 30 September", {"starts_on": OCTOBER}, 19),
        ("begun on the tax point", {"starts_on": date(2024, 9, 30)}, 0),
        ("over on the tax point", {"ends_on": date(2024, 9, 30)}, 19),
        ("over the day after", {"ends_on": OCTOBER}, 0),
    ],
)
def test_an_exemption_holds_in_its_country_on_its_days(_case, terms, tax, seller, customer):
    exempt(customer, **terms)

    assert drafted(seller, customer).tax_amount == tax


def test_an_exempt_customer_needs_no_rate(seller, customer):
    BillingEntity.objects.filter(pk=customer.pk).update(country="AT")
    exempt(customer, country="AT")

    assert drafted(seller, customer).tax_amount == 0


def test_an_exempt_product_and_an_exempt_customer_are_one_category(seller, customer):
    make_usage(customer, make_sold_meter(seller, tax_category="E"), "40")
    exempt(customer)

    [tax] = drafted(seller, customer).taxes.all()

    assert (tax.category, tax.taxable_amount) == ("E", Decimal(110))
    assert tax.exemption_reason == "Exempt from tax: certificate NV 31/4711."


def test_two_do_not_cover_the_same_day(customer):
    exempt(customer, ends_on=OCTOBER)

    for terms in ({}, {"starts_on": date(2024, 8, 1)}, {"starts_on": date(2024, 9, 30), "ends_on": OCTOBER}):
        with pytest.raises(ExemptionOverlaps):
            exempt(customer, certificate="B", **terms)
    exempt(customer, certificate="C", starts_on=OCTOBER)
    exempt(customer, certificate="D", country="AT")

    assert list(TaxExemption.objects.order_by("certificate").values_list("certificate", flat=True)) == [
        "C",
        "D",
        "NV 31/4711",
    ]


@pytest.mark.parametrize("ends_on", [date(2024, 8, 31), SEPTEMBER])
def test_one_that_ends_before_it_starts_is_refused(customer, ends_on):
    with pytest.raises(ExemptionEnds):
        exempt(customer, ends_on=ends_on)

    assert not TaxExemption.objects.exists()


def test_a_country_is_one(customer):
    with pytest.raises(Invalid):
        exempt(customer, country="XX")

    assert not TaxExemption.objects.exists()


def test_ends_early_and_issued_invoices_stay(seller, customer):
    exemption = exempt(customer)
    invoice = drafted(seller, customer)
    services.issue_invoice(actor="test", invoice_id=invoice.pk, issued_on=AS_OF)

    ended = services.end_tax_exemption(
        actor="test",
        exemption_id=exemption.pk,
        ends_on=OCTOBER,
        reason="Withdrawn",
        version=exemption.version,
    )

    assert (ended.ends_on, ended.version) == (OCTOBER, exemption.version + 1)
    assert AuditEntry.objects.filter(action="tax_exemption.ended", reason="Withdrawn").count() == 1
    assert Invoice.objects.get(pk=invoice.pk).tax_amount == 0
    assert not queries.exemptions_in_force(TaxExemption.objects.all(), on=OCTOBER).exists()


@pytest.mark.parametrize("ends_on", [SEPTEMBER, OCTOBER, date(2024, 11, 1)])
def test_an_end_only_comes_nearer(customer, ends_on):
    exemption = exempt(customer, ends_on=OCTOBER)

    with pytest.raises(ExemptionEnds):
        services.end_tax_exemption(
            actor="test", exemption_id=exemption.pk, ends_on=ends_on, reason="Withdrawn"
        )

    assert TaxExemption.objects.get().ends_on == OCTOBER


def test_is_not_ended_under_a_version_that_is_over(customer):
    exemption = exempt(customer)

    with pytest.raises(PreconditionFailed):
        services.end_tax_exemption(
            actor="test", exemption_id=exemption.pk, ends_on=OCTOBER, reason="x", version=99
        )

    assert TaxExemption.objects.get().ends_on is None


@pytest.mark.django_db(transaction=True)
def test_the_database_holds_it_too():
    exempt(make_entity(), ends_on=OCTOBER)

    for statement in (
        "INSERT INTO tax_exemptions (id, version, created_at, updated_at, customer_id, country, certificate, starts_on)"
        " SELECT gen_random_uuid(), 1, now(), now(), customer_id, country, 'B', '2024-09-30' FROM tax_exemptions",
        "UPDATE tax_exemptions SET ends_on = starts_on",
        "UPDATE tax_exemptions SET certificate = 'B'",
        "UPDATE tax_exemptions SET country = 'AT'",
        "DELETE FROM tax_exemptions",
        "TRUNCATE tax_exemptions",
    ):
        with pytest.raises(IntegrityError), connection.cursor() as cursor:
            cursor.execute(statement)
    assert TaxExemption.objects.get().certificate == "NV 31/4711"


@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_waits_and_finds_the_first():
    customer = make_entity()
    with transaction.atomic():
        exempt(customer)
        rival = start_rival(lambda: exempt(customer, certificate="B", starts_on=OCTOBER))

    with pytest.raises(ExemptionOverlaps):
        rival.result()
    assert TaxExemption.objects.get().certificate == "NV 31/4711"


def test_an_overlap_is_found(customer):
    exempt(customer)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE tax_exemptions DROP CONSTRAINT one_tax_exemption_at_a_time")
    TaxExemption.objects.create(customer=customer, country="DE", certificate="B", starts_on=OCTOBER)

    with connection.cursor() as cursor:
        cursor.execute(CHECKS["X1 no day of a customer is exempt twice in a country"])
        assert len(cursor.fetchall()) == 2


def test_over_the_api(api):
    seller = make_seller()
    customer = make_entity(parent=seller)
    make_tax_rate()
    controller, viewer = (make_grant(role=role, entity=seller).user for role in ("FC", "VW"))
    base = "/api/v1/enterprise-billing/tax-exemptions"
    body = {"customer": str(customer.pk), "country": "DE", "certificate": "NV 1", "starts_on": "2024-09-01"}

    assert api(viewer).post(base, body, format="json").status_code == 403
    made = api(controller).post(base, body, format="json")
    again = api(controller).post(base, body, format="json")
    ended = api(controller).post(
        f"{made['Location']}/end", {"ends_on": "2024-10-01", "reason": "Withdrawn"}, format="json"
    )
    listed = api(viewer).get(base, {"in_force_on": "2024-09-30", "country": "DE"}).json()["results"]

    assert (made.status_code, made.json()["ends_on"]) == (201, None)
    assert (again.status_code, again.json()["code"]) == (409, "tax-exemption-overlaps")
    assert (ended.status_code, ended.json()["ends_on"]) == (200, "2024-10-01")
    assert [row["certificate"] for row in listed] == ["NV 1"]
    assert api(viewer).get(base, {"in_force_on": "2024-10-01"}).json()["results"] == []


def test_a_controller_adds_and_ends_one_in_the_console(client):
    seller = make_seller()
    customer = make_entity(parent=seller)
    client.force_login(make_grant(role="FC", entity=seller).user, backend=BACKEND)
    page = "/admin/invoicing/taxexemption/"
    given = {"customer": customer.pk, "country": "DE", "certificate": "NV 1", "starts_on": "2024-09-01"}

    added = client.post(f"{page}add/", given)
    refused = client.post(f"{page}add/", given, follow=True)

    [exemption] = TaxExemption.objects.all()
    assert (added.status_code, exemption.certificate, exemption.ends_on) == (302, "NV 1", None)
    assert "has a tax exemption for that country and time" in refused.content.decode()
    assert "until further notice" in client.get(page).content.decode()
