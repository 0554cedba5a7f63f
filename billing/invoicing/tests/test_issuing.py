from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from billing.entities.states import EntityState
from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.errors import (
    CustomerNotActive,
    GlCodeMissing,
    IssueDayBeforeLast,
    NegativeTotal,
)
from billing.invoicing.issuing.services import issue as issuing
from billing.invoicing.models import CostAllocation, Invoice, NumberSeries
from billing.invoicing.states import INVOICE_MOVES, InvoiceState
from billing.invoicing.tests.makers import (
    AS_OF,
    make_draft,
    make_invoice,
    make_seller,
    make_sold_meter,
    make_usage,
)
from billing.kernel.errors import IllegalMove, PreconditionFailed
from billing.kernel.models import AuditEntry, AuditKind, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalEntry, JournalLine

pytestmark = pytest.mark.django_db


def issue(draft, **overrides):
    values = {"actor": "user:1", "invoice_id": draft.pk, "issued_on": AS_OF} | overrides
    return services.issue_invoice(**values)


def test_numbers_books_allocates_and_says_so():
    draft = make_draft()

    issue(draft)

    invoice = Invoice.objects.get(pk=draft.pk)
    assert (invoice.state, invoice.number, invoice.sequence) == (InvoiceState.ISSUED, "INV-2024-000001", 1)
    assert (invoice.issued_on, invoice.due_on) == (AS_OF, date(2024, 10, 31))
    assert (invoice.net_amount, invoice.tax_amount, invoice.total_amount) == (100, 19, 119)
    assert invoice.balance_amount == 119
    share = CostAllocation.objects.get(invoice=invoice)
    assert (share.net_amount, share.tax_amount, share.gl_code) == (100, 19, "6400")
    assert share.department.is_default
    booked = JournalLine.objects.filter(entry__source=f"invoice:{invoice.pk}").order_by("account__code")
    assert [(line.account.code, line.debit, line.credit) for line in booked] == [
        ("1100", 119, 0),
        ("2200", 0, 19),
        ("4000", 0, 100),
    ]
    assert AuditEntry.objects.filter(kind=AuditKind.VERB, action="invoice.issued").count() == 1
    assert OutboxEvent.objects.get(name="invoice.issued").payload["invoice_id"] == str(invoice.pk)


def test_keeps_the_parties_as_they_were():
    invoice = make_invoice()
    customer = invoice.customer
    type(customer).objects.filter(pk=customer.pk).update(name="Renamed", payment_terms_days=90)

    invoice.refresh_from_db()

    assert invoice.snapshot["customer"]["name"] != "Renamed"
    assert invoice.snapshot["payment_terms_days"] == 30


@pytest.mark.parametrize("state", sorted(set(InvoiceState.values) - INVOICE_MOVES["issue"].sources))
def test_refuses_every_other_state_and_changes_nothing(state):
    invoice = make_invoice()
    with connection.cursor() as cursor:  # a state that needs other documents to be reached in life
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "UPDATE invoices SET state = %s, paid_amount = CASE %s WHEN 'paid' THEN total_amount ELSE 0 END,"
            " written_off_amount = CASE %s WHEN 'uncollectible' THEN total_amount ELSE 0 END",
            [state, state, state],
        )
        cursor.execute("SET session_replication_role = origin")
    before = counts()

    with pytest.raises(IllegalMove):
        issue(invoice)

    assert counts() == before


def counts() -> list[int]:
    return [
        model.objects.count() for model in (Invoice, CostAllocation, JournalEntry, AuditEntry, OutboxEvent)
    ] + list(NumberSeries.objects.values_list("last", flat=True))


def test_refuses_a_version_that_is_no_longer_the_present_one():
    draft = make_draft()
    before = counts()

    with pytest.raises(PreconditionFailed):
        issue(draft, version=draft.version + 1)

    assert counts() == before
    assert Invoice.objects.get(pk=draft.pk).state == InvoiceState.DRAFT


def test_refuses_a_draft_customer():
    draft = make_draft()
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE billing_entities SET state = %s", [EntityState.DRAFT])
        cursor.execute("SET session_replication_role = origin")
    before = counts()

    with pytest.raises(CustomerNotActive):
        issue(draft)

    assert counts() == before


def test_refuses_cost_without_gl_code():
    seller = make_seller()
    draft = make_draft(seller=seller, meter=make_sold_meter(seller, gl_code=""))
    before = counts()

    with pytest.raises(GlCodeMissing):
        issue(draft)

    assert counts() == before


def test_takes_the_departments_gl_code_where_the_product_has_none():
    seller = make_seller()
    customer = make_entity(parent=seller)
    department = make_department(entity=customer, default_gl_code="7777")
    meter = make_sold_meter(seller, gl_code="")
    make_usage(customer, meter, "400", department=department)
    [draft] = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=AS_OF
    )

    issue(draft)

    assert CostAllocation.objects.get().gl_code == "7777"


def test_sends_cost_without_gl_code_to_the_suspense_account_if_there_is_one(settings):
    settings.SUSPENSE_GL_CODE = "9999"
    seller = make_seller()
    draft = make_draft(seller=seller, meter=make_sold_meter(seller, gl_code=""))

    issue(draft)

    assert CostAllocation.objects.get().gl_code == "9999"


def test_refuses_a_negative_total():
    seller = make_seller()
    customer = make_entity(parent=seller)
    meter = make_sold_meter(seller, markup_percent="0")
    make_usage(customer, meter, "0", cost=Decimal("-5"), currency="EUR")
    [draft] = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=AS_OF
    )
    before = counts()

    with pytest.raises(NegativeTotal):
        issue(draft)

    assert counts() == before


def test_a_total_of_zero_is_settled_as_it_is_issued():
    seller = make_seller()
    draft = make_draft(seller=seller, meter=make_sold_meter(seller, unit_price="0"))

    issue(draft)

    invoice = Invoice.objects.get(pk=draft.pk)
    assert (invoice.state, invoice.number) == (InvoiceState.PAID, "INV-2024-000001")
    assert not JournalEntry.objects.exists()
    assert_invariants_hold()


def test_numbers_never_go_back_in_time():
    seller = make_seller()
    make_invoice(seller=seller, issued_on=date(2024, 10, 5))
    draft = make_draft(seller=seller)
    before = counts()

    with pytest.raises(IssueDayBeforeLast):
        issue(draft, issued_on=date(2024, 10, 4))

    assert counts() == before


def test_a_fiscal_year_is_named_after_its_end():
    seller = make_seller(fiscal_year_starts_in=4)
    invoice = make_invoice(seller=seller, issued_on=date(2024, 10, 1))

    assert invoice.number == "INV-2025-000001"


def test_the_cents_of_several_departments_make_the_line():
    seller = make_seller()
    customer = make_entity(parent=seller)
    meter = make_sold_meter(seller, unit_price="0.01")
    for _ in range(3):
        make_usage(customer, meter, "33.5", department=make_department(entity=customer))
    [draft] = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=AS_OF
    )

    issue(draft)

    # 100.5 × 0.01 = 1.005 -> 1.01; thirds of 0.335 -> 0.34, 0.34, 0.33; tax 0.1919 -> 0.19
    shares = list(
        CostAllocation.objects.order_by("-net_amount", "pk").values_list("net_amount", "tax_amount")
    )
    assert [net for net, _ in shares] == [Decimal("0.34"), Decimal("0.34"), Decimal("0.33")]
    assert sum(tax for _, tax in shares) == Decimal("0.19")


@pytest.mark.django_db(transaction=True)
def test_an_issued_invoice_and_its_lines_are_final_also_for_raw_sql():
    invoice = make_invoice()
    attempts = [
        "UPDATE invoices SET net_amount = 1, total_amount = 20",
        "UPDATE invoices SET number = 'X'",
        "UPDATE invoices SET issued_on = '2024-10-02'",
        "UPDATE invoices SET snapshot = '{}'",
        "UPDATE invoices SET state = 'draft'",
        "DELETE FROM invoices",
        "TRUNCATE invoices CASCADE",
        "UPDATE invoice_lines SET net_amount = 1",
        "DELETE FROM invoice_lines",
        "TRUNCATE invoice_lines CASCADE",
        "UPDATE invoice_taxes SET tax_amount = 1",
        "DELETE FROM invoice_taxes",
        "INSERT INTO invoice_taxes (invoice_id, category, percent, taxable_amount, tax_amount, currency, exemption_reason)"
        " SELECT id, 'Z', 0, 0, 0, currency, '' FROM invoices",
        "UPDATE cost_allocations SET net_amount = 1",
        "DELETE FROM cost_allocations",
        "TRUNCATE cost_allocations CASCADE",
        "DELETE FROM number_series",
    ]

    for statement in attempts:
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)

    assert Invoice.objects.get().number == invoice.number
    assert CostAllocation.objects.aggregate(net=Sum("net_amount"))["net"] == 100


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE number_series SET last = 5; UPDATE invoices SET sequence = 5, fiscal_year = 2024", "invoice_numbers_without_gap"),
        ("UPDATE invoices SET sequence = 1, fiscal_year = 2024", "invoice_numbers_without_gap"),
    ],
)  # fmt: skip
def test_a_number_that_the_series_did_not_give_cannot_be_committed(statement, constraint):
    draft = make_draft()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO number_series (seller_id, series, fiscal_year, last) VALUES (%s, 'INV', 2024, 0)",
            [draft.seller_id],
        )

    with pytest.raises(IntegrityError, match=r"gap|make its totals|allocated"), connection.cursor() as cursor:
        cursor.execute(statement + ", state = 'issued', number = 'INV-2024-000005', issued_on = '2024-10-01'")

    assert Invoice.objects.get().state == InvoiceState.DRAFT


@pytest.mark.django_db(transaction=True)
def test_an_invoice_that_is_not_allocated_to_the_cent_cannot_be_committed(monkeypatch):
    draft = make_draft()
    honest = issuing.allocate

    def a_cent_short(*args, **kwargs):
        shares = honest(*args, **kwargs)
        shares[0].net_amount -= Decimal("0.01")
        return shares

    monkeypatch.setattr(issuing, "allocate", a_cent_short)
    monkeypatch.setattr(issuing, "_book", lambda *args: None)

    with pytest.raises(IntegrityError, match="not allocated to the cent"):
        issue(draft)

    assert Invoice.objects.get().state == InvoiceState.DRAFT
    assert not CostAllocation.objects.exists()
