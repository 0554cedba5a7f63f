"""Credit notes and statements of account as PDF: what stands on them, and that they are kept."""

import io
from datetime import date
from decimal import Decimal as D

import pytest
from django.db import IntegrityError, connection
from pypdf import PdfReader

from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing import services as invoicing
from billing.invoicing.models import CreditNoteDocument
from billing.invoicing.tests.makers import AS_OF, make_invoice, make_invoice_over
from billing.invoicing.tests.makers import make_seller as make_taxed_seller
from billing.kernel.errors import Invalid
from billing.kernel.models import AuditEntry
from billing.kernel.tests.commits import as_if_committed
from billing.payments import services
from billing.payments.models import StatementDocument
from billing.payments.tests.makers import make_customer, make_open_invoice, make_payment, make_seller

pytestmark = pytest.mark.django_db

PERIOD = {"starts_on": date(2026, 2, 1), "ends_on": date(2026, 3, 1)}


def pages_of(document):
    pages = PdfReader(io.BytesIO(bytes(document.content))).pages
    return [" ".join(page.extract_text().split()) for page in pages]


def text_of(document):
    return " ".join(pages_of(document))


def make_note(invoice, **terms):
    as_if_committed()
    values = {"actor": "test", "invoice_id": invoice.pk, "issued_on": AS_OF, "reason": "Not delivered"}
    note = invoicing.issue_credit_note(**values | terms)
    as_if_committed()
    return note


def state(note):
    return invoicing.render_credit_note_document(actor="test", credit_note_id=note.pk)


def test_a_credit_note_names_its_invoice_and_what_it_takes_back():
    invoice = make_invoice()
    note = make_note(invoice, net_amount=D("10.00"))

    said = text_of(state(note))

    for words in (note.number, invoice.number, "Reason: Not delivered", "10.00", "1.90", "11.90"):
        assert words in said
    assert f"400 {invoice.lines.get().unit}" not in said  # of a part nobody says how many pieces it is


def test_a_line_credited_in_full_keeps_its_quantity():
    invoice = make_invoice()
    assert f"400 {invoice.lines.get().unit}" in text_of(state(make_note(invoice)))


def test_a_credit_note_speaks_the_customers_language():
    customer = make_entity(parent=make_taxed_seller(), language="de")
    note = make_note(make_invoice_over((D(19), {None: D("1000.00")}), customer=customer))
    said = text_of(state(note))
    assert "Gutschrift" in said
    assert "1.190,00" in said


def test_a_credit_note_is_set_once():
    note = make_note(make_invoice())
    assert state(note).pk == state(note).pk
    assert CreditNoteDocument.objects.count() == 1
    assert AuditEntry.objects.filter(action="credit_note.document_rendered").count() == 1


def render(both, **period):
    terms = {"seller_id": both["seller"].pk, "customer_id": both["customer"].pk, "currency": "EUR"}
    return services.render_statement(actor="test", **terms, **(PERIOD | period))


def account(**overrides):
    seller = make_seller()
    both = {"seller": seller, "customer": make_customer(parent=seller, **overrides)}
    make_open_invoice(**both, total="100.00", issued_on=date(2026, 1, 15))
    make_payment(**both, amount="30.00", received_on=date(2026, 2, 10), reference="Wire 7")
    return both


def test_a_statement_has_the_balances_and_what_moved_between():
    said = text_of(render(account()))
    for words in ("Opening balance", "100.00", "Wire 7", "30.00", "Closing balance", "70.00", "overdue"):
        assert words in said


def test_a_long_statement_carries_its_balance_from_page_to_page():
    both = account()
    for _ in range(60):
        make_payment(**both, amount="1.00", received_on=date(2026, 2, 11))
    first, second = pages_of(render(both))
    shown = first.count("Payment")
    carried = D(70) - (shown - 1)
    assert f"Carried forward {carried}" in first
    assert f"Brought forward {carried}" in second
    assert "Closing balance 10.00 EUR" in second


@pytest.mark.parametrize(
    ("language", "words"),
    [("de", "Kontoauszug"), ("fr", "Relevé de compte"), ("es", "Estado de cuenta")],
)
def test_a_statement_speaks_the_customers_language(language, words):
    assert words in text_of(render(account(language=language)))


def test_a_statement_of_the_same_account_is_kept_once_and_another_when_something_was_booked_since():
    both = account()
    first = render(both)
    assert render(both).pk == first.pk
    make_payment(**both, amount="5.00", received_on=date(2026, 2, 11))
    second = render(both)
    assert second.pk != first.pk
    assert StatementDocument.objects.count() == 2
    assert AuditEntry.objects.filter(action="statement.rendered").count() == 2


def test_a_statement_of_no_days_is_refused():
    with pytest.raises(Invalid):
        render(account(), ends_on=PERIOD["starts_on"])
    assert not StatementDocument.objects.exists()


@pytest.mark.parametrize("table", ["statement_documents", "credit_note_documents"])
@pytest.mark.parametrize("wrong", ["UPDATE {} SET size = 1", "DELETE FROM {}", "TRUNCATE {}"])
def test_a_kept_document_refuses_raw_sql(table, wrong):
    render(account())
    state(make_note(make_invoice()))
    as_if_committed()
    with pytest.raises(IntegrityError), connection.cursor() as cursor:
        cursor.execute(wrong.format(table))


def test_the_pdfs_are_answered_over_the_api(api):
    both = account()
    client = api(make_grant(role="FC", entity=both["seller"]).user)
    asked = {"period_start": "2026-02-01", "period_end": "2026-03-01"}
    answer = client.get(f"/api/v1/enterprise-billing/entities/{both['customer'].pk}/statement/pdf", asked)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer.content.startswith(b"%PDF")
    note = make_note(make_open_invoice(**both, total="50.00"), issued_on=date(2026, 3, 1))
    answer = client.get(f"/api/v1/enterprise-billing/credit-notes/{note.pk}/pdf")
    assert (answer.status_code, answer["ETag"]) == (200, f'"{state(note).sha256}"')
