"""The consolidated invoice as PDF: its children with their invoices, and what is due in each currency."""

import io
from datetime import date

import pytest
from django.db import IntegrityError, connection
from pypdf import PdfReader

from billing.entities.tests.makers import make_grant
from billing.invoicing import services
from billing.invoicing.models import ConsolidatedDocument
from billing.invoicing.tests.consolidation_makers import (
    consolidate,
    make_child,
    make_consolidation,
    make_exchange_rate,
    make_member,
    make_payer,
)
from billing.kernel.models import AuditEntry
from billing.kernel.tests.commits import as_if_committed

pytestmark = pytest.mark.django_db


def render(document):
    return services.render_consolidated_document(actor="test", consolidated_invoice_id=document.pk)


def pages_of(kept):
    pages = PdfReader(io.BytesIO(bytes(kept.content))).pages
    return [" ".join(page.extract_text().split()) for page in pages]


def in_two_currencies(**payer):
    payer = make_payer(name="Group", **payer)
    make_exchange_rate("USD", "EUR", "0.92")
    own = make_child(payer, "1000.00")
    foreign = make_child(make_member(payer, name="American Branch"), "200.00", currency="USD")
    return consolidate(payer).document, own, foreign


def test_it_names_each_company_with_its_invoice_and_what_is_due_in_each_currency():
    document, own, foreign = in_two_currencies()

    [said] = pages_of(render(document))

    for words in (
        document.number,
        own.number,
        foreign.number,
        "American Branch",
        "1,000.00 EUR",
        "200.00 USD",
        "184.00",  # 200 × 0.92
        "1,184.00 EUR",
        "1 USD = 0.92 EUR (Sep 30, 2026, central bank)",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("language", "words"),
    [("de", "Sammelrechnung"), ("fr", "Facture consolidée"), ("es", "Factura consolidada")],
)
def test_it_speaks_the_payers_language(language, words):
    document, *_ = in_two_currencies(language=language)
    assert words in pages_of(render(document))[0]


def test_the_sum_is_carried_from_page_to_page():
    payer = make_payer()
    for _ in range(40):
        make_child(payer, "10.00")
    pages = pages_of(render(consolidate(payer).document))
    carried = pages[0].split("Carried forward ")[1].split()[0]
    assert f"Brought forward {carried}" in pages[1]
    assert float_free(carried) == 10 * pages[0].count("INV-")
    assert "Total 400.00 EUR" in pages[-1]


def float_free(amount: str) -> int:
    whole, cents = amount.split(".")
    assert cents == "00"
    return int(whole)


def test_it_is_set_once_and_final():
    document = make_consolidation()
    first = render(document)
    assert render(document).pk == first.pk
    assert ConsolidatedDocument.objects.count() == 1
    assert AuditEntry.objects.filter(action="consolidated_invoice.document_rendered").count() == 1
    as_if_committed()
    with pytest.raises(IntegrityError), connection.cursor() as cursor:
        cursor.execute("UPDATE consolidated_documents SET size = 1")


def test_it_shows_its_children_as_they_were_gathered():
    document, own, _ = in_two_currencies()
    services.issue_credit_note(
        actor="test", invoice_id=own.pk, issued_on=date(2026, 11, 2), reason="late", net_amount=own.net_amount
    )
    as_if_committed()
    assert "1,184.00 EUR" in pages_of(render(document))[0]


def test_it_is_answered_over_the_api(api):
    document = make_consolidation()
    client = api(make_grant(role="FC", entity=document.seller).user)
    answer = client.get(f"/api/v1/enterprise-billing/consolidated-invoices/{document.pk}/pdf")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer["ETag"] == f'"{render(document).sha256}"'
