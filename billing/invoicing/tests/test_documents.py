"""What stands on an invoice's PDF, and that it is made once. Content and setting need no database."""

import hashlib
from datetime import date
from decimal import Decimal
from io import BytesIO

import pytest
from babel.numbers import format_decimal
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from billing.documents.core.formats import Formats
from billing.documents.core.rendering import pdf_of
from billing.documents.core.typesetting import paged
from billing.documents.core.wording import CATEGORIES, LABELS, language_of, reason_in, terms_in
from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_grant
from billing.invoicing import services
from billing.invoicing.documents.content import content_of
from billing.invoicing.errors import InvoiceNotIssued
from billing.invoicing.models import Invoice, InvoiceDocument, InvoiceLine, InvoiceTax
from billing.invoicing.tests.makers import make_draft, make_invoice
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.tax.core.tax import exemption_reason

API = "/api/v1/enterprise-billing/"

PARTY = {
    "code": "acme",
    "name": "Acme",
    "legal_name": "Acme GmbH",
    "country": "DE",
    "tax_id": "DE123456789",
    "address": {"line1": "Hauptstraße 1", "postal_code": "10115", "city": "Berlin"},
    "email": "billing@acme.example",
}


def content(
    *,
    amounts=("1000.50", "0.50"),
    currency="EUR",
    language="en",
    name="Kunde AG",
    category="AE",
    reason=exemption_reason("AE"),  # noqa: B008  a constant
    words="Calls to the interface, as metered",
) -> dict:
    return content_of(
        **issued(
            amounts=amounts, currency=currency, name=name, category=category, reason=reason, words=words
        ),
        language=language,
    )


def issued(*, amounts, currency, name, category, reason, words) -> dict:
    """An invoice with its lines and taxes, never stored."""
    lines = [
        InvoiceLine(
            position=position,
            description=words,
            quantity=Decimal("4002.500000000000"),
            unit="call",
            unit_price=Decimal("0.250000000000"),
            net_amount=Decimal(amount),
            tax_percent=Decimal("19.0000"),
            service_starts_on=date(2024, 9, 1),
            service_ends_on=date(2024, 10, 1),
        )
        for position, amount in enumerate(amounts, start=1)
    ]
    net = sum(line.net_amount for line in lines)
    invoice = Invoice(
        number="INV-2024-000001",
        currency=currency,
        issued_on=date(2024, 10, 1),
        due_on=date(2024, 10, 31),
        net_amount=net,
        tax_amount=Decimal(0),
        total_amount=net,
        snapshot={
            "seller": PARTY,
            "customer": PARTY | {"legal_name": name, "country": "AT", "address": {}},
            "payment_terms_days": 30,
        },
    )
    tax = InvoiceTax(
        category=category,
        percent=Decimal(0),
        taxable_amount=net,
        tax_amount=Decimal(0),
        exemption_reason=reason,
    )
    return {"invoice": invoice, "lines": lines, "taxes": [tax]}


def invoice_pdf(shown: dict) -> bytes:
    return pdf_of("invoice", shown)


def test_every_language_words_every_label():
    assert set(LABELS) == set(CATEGORIES) == {"en", "de", "fr", "es"}
    assert all(text for labels in LABELS.values() for text in labels.values())
    assert language_of(None) == language_of("xx") == "en"
    assert language_of("fr") == "fr"


@pytest.mark.parametrize(
    ("days", "total", "language", "said"),
    [
        (30, "1", "en", "Payable without deduction by DAY (30 days)."),
        (1, "1", "en", "Payable without deduction by DAY (1 day)."),
        (1, "1", "de", "Zahlbar ohne Abzug bis DAY (1 Tag)."),
        (0, "1", "fr", "Payable à réception, sans escompte."),
        (30, "0", "es", "No hay nada que pagar."),
        (30, "-1", "en", "There is nothing to pay."),
    ],
)
def test_the_terms_say_what_is_to_be_done(days, total, language, said):
    assert terms_in(language, day="DAY", days=days, total=Decimal(total)) == said


def test_nobody_is_asked_to_pay_nothing_into_an_account():
    terms = issued(
        amounts=("10.00", "-10.00"), currency="EUR", name="Kunde AG", category="S", reason="", words="Calls"
    )
    terms["invoice"].snapshot["account"] = {"iban": "DE02120300000000202051"}

    assert content_of(**terms, language="en")["notes"] == ["There is nothing to pay."]


@pytest.mark.parametrize(
    ("price", "currency", "language", "shown"),
    [
        ("118", "EUR", "en", "118.00"),
        ("0.000031", "EUR", "de", "0,000031"),
        ("1234.5", "KWD", "en", "1,234.500"),
        ("5", "JPY", "en", "5"),
        ("0.5", "JPY", "en", "0.5"),
    ],
)
def test_a_price_has_at_least_the_decimals_of_an_amount(price, currency, language, shown):
    assert Formats(language, currency).price(Decimal(price)) == shown


@pytest.mark.parametrize("line_count", range(8, 15))
def test_what_closes_a_document_stays_on_the_pages_it_was_given(line_count):
    shown = content(amounts=["10.00"] * line_count)
    for note_count in range(1, 8):
        told = shown | {"notes": [f"Note {number}" for number in range(note_count)]}
        planned = paged(told)

        pages = PdfReader(BytesIO(invoice_pdf(told))).pages

        assert len(pages) == len(planned["pages"]) + planned["apart"], note_count


def test_lines_carry_their_running_sum_and_days_include_the_last():
    shown = content()

    assert [line["sum"] for line in shown["lines"]] == ["1,000.50", "1,001.00"]
    assert shown["facts"][-1] == ("Service period", "Sep 1, 2024 – Sep 30, 2024")
    assert shown["lines"][0]["quantity"] == "4,002.5 call"
    assert shown["notes"] == ["Payable without deduction by Oct 31, 2024 (30 days)."]
    assert shown["customer"] == {
        "name": "Kunde AG",
        "address": ["Austria"],
        "tax_id": "DE123456789",
        "email": "billing@acme.example",
    }
    assert shown["taxes"][0]["reason"] == "Reverse charge: the customer accounts for the tax."
    assert shown["sums"] == [
        ("Net", "1,001.00"),
        ("Tax", "0.00"),
        ("Total", "1,001.00"),
        ("Amount due", "1,001.00"),
    ]


@pytest.mark.parametrize(
    ("currency", "language", "amount", "text"),
    [
        ("JPY", "en", "1234567", "1,234,567"),
        ("KWD", "en", "1234.5", "1,234.500"),
        ("EUR", "de", "1234.5", "1.234,50"),
        ("EUR", "fr", "1234.5", "1\u202f234,50"),
    ],
)
def test_amounts_have_the_currencys_decimals_in_the_languages_signs(currency, language, amount, text):
    assert content(amounts=[amount], currency=currency, language=language)["sums"][-1][1] == text


@given(
    amount=st.decimals(min_value=-(10**14), max_value=10**14, places=2).filter(lambda amount: amount),
    language=st.sampled_from(sorted(LABELS)),
)
def test_amounts_are_written_as_babel_writes_them(amount, language):
    assert Formats(language, "EUR").money(amount) == format_decimal(amount, "#,##0.00", locale=language)


@pytest.mark.parametrize(
    ("category", "certificate", "language", "said"),
    [
        # Directive 2006/112/EC, art. 226 no. 11a, in its German, French and Spanish versions.
        ("AE", "", "de", "Steuerschuldnerschaft des Leistungsempfängers"),
        ("AE", "", "fr", "Autoliquidation"),
        ("AE", "", "es", "Inversión del sujeto pasivo"),
        ("AE", "", "en", "Reverse charge: the customer accounts for the tax."),
        ("E", "NV 31/4711.", "en", "Exempt from tax: certificate NV 31/4711.."),
        ("E", "NV 31/4711", "de", "Steuerbefreit: Bescheinigung NV 31/4711."),
        ("E", "NV 31/4711", "fr", "Exonéré de taxe : attestation n° NV 31/4711."),
        ("E", "NV 31/4711", "es", "Exento de impuesto: certificado NV 31/4711."),
        ("E", "", "fr", "Exonéré de taxe."),
        (
            "K",
            "",
            "de",
            "Steuerfreie innergemeinschaftliche Lieferung nach §\N{NO-BREAK SPACE}4 Nr.\N{NO-BREAK SPACE}1 Buchst.\N{NO-BREAK SPACE}b UStG.",
        ),
        (
            "K",
            "",
            "fr",
            "Livraison intracommunautaire exonérée de TVA, article 138 de la directive 2006/112/CE.",
        ),
        ("K", "", "es", "Entrega intracomunitaria exenta de IVA, artículo 138 de la Directiva 2006/112/CE."),
        ("K", "", "en", "Intra-Community supply, exempt under art. 138 of Directive 2006/112/EC."),
        ("G", "", "de", "Lieferung oder Leistung in ein Drittland, ohne Umsatzsteuer."),
        ("L", "", "es", ""),
        ("M", "", "en", ""),
        ("O", "", "es", "Operación no sujeta al impuesto."),
        ("S", "", "de", ""),
    ],
)
def test_no_tax_has_its_reason_in_the_readers_language(category, certificate, language, said):
    stored = exemption_reason(category, certificate)

    assert reason_in(language, category, stored, country="DE") == said
    shown = content(category=category, reason=stored, language=language)["taxes"][0]
    assert said.rstrip(".") in (shown["reason"].rstrip("."), shown["category"])


@pytest.mark.parametrize(
    ("language", "country", "said"),
    [
        ("de", "AT", "Art. 6 Abs. 1 UStG"),
        ("de", "LU", "Art. 138 der Richtlinie 2006/112/EG"),
        ("fr", "FR", "article 262 ter, I du CGI"),
        ("es", "ES", "artículo 25 de la Ley\N{NO-BREAK SPACE}37/1992"),
        ("en", "DE", "art. 138 of Directive 2006/112/EC"),
    ],
)
def test_an_intra_community_supply_names_the_sellers_law_in_its_own_language(language, country, said):
    assert said in reason_in(language, "K", exemption_reason("K"), country=country)


def pages_of(pdf: bytes) -> list[list[str]]:
    """The lines of text of every page, as a reader of the file sees them."""
    return [page.extract_text().splitlines() for page in PdfReader(BytesIO(pdf)).pages]


def amount_after(label: str, page: list[str]) -> Decimal | None:
    """Of the one line that begins with `label`."""
    found = [line for line in page if line.startswith(label)]
    assert len(found) <= 1
    return Decimal(found[0].rsplit(" ", 1)[1].replace(",", "")) if found else None


@pytest.mark.parametrize("tagged_up_to", [1_000, 0])
@pytest.mark.parametrize("words", ["Calls", "What was delivered, at length. " * 10])
def test_every_page_says_what_the_rows_before_its_end_come_to(words, tagged_up_to, settings):
    settings.DOCUMENT_TAGS_MAX_LINES = tagged_up_to
    amounts = [Decimal(n) + Decimal("0.01") for n in range(1, 101)]

    pages = pages_of(invoice_pdf(content(amounts=amounts, words=words.strip())))

    assert len(pages) > 3
    so_far = Decimal(0)
    for number, page in enumerate(pages, start=1):
        own = [line.rsplit(" ", 1)[1] for line in page if "19\N{NO-BREAK SPACE}%" in line]
        assert amount_after("Brought forward", page) == (so_far if number > 1 and own else None)
        so_far += sum(Decimal(amount.replace(",", "")) for amount in own)
        assert amount_after("Carried forward", page) == (so_far if so_far < sum(amounts) else None)
        assert page[-1].endswith(f"Page {number} of {len(pages)}")
    assert so_far == sum(amounts) == Decimal("5051.00")


def test_a_document_without_tags_has_the_same_text(settings):
    shown = content(amounts=["1.50"] * 60)
    tagged = pages_of(invoice_pdf(shown))
    settings.DOCUMENT_TAGS_MAX_LINES = 0

    untagged = pages_of(invoice_pdf(shown))

    assert [sorted(" ".join(page).split()) for page in untagged] == [
        sorted(" ".join(page).split()) for page in tagged
    ]


def test_the_colour_is_the_deployments(settings):
    before = invoice_pdf(content())
    settings.DOCUMENT_COLOR = "#aa0000"

    assert invoice_pdf(content()) != before


def test_totals_that_do_not_fit_below_the_last_row_have_a_page_of_their_own():
    def ends(rows: int) -> list:
        pages = pages_of(invoice_pdf(content(amounts=["1.00"] * rows)))
        return [len(pages), any(line.startswith("Amount due") for line in pages[0])]

    assert [ends(rows) for rows in (9, 17)] == [[1, True], [2, False]]


def test_the_same_content_makes_the_same_bytes():
    first, second = invoice_pdf(content()), invoice_pdf(content())

    assert first.startswith(b"%PDF-")
    assert first == second
    assert invoice_pdf(content(name="#panic() $x$ *bold* \\ [")).startswith(b"%PDF-")  # text, never code


def test_documents_are_for_archives_and_for_screen_readers():
    def metadata(pdf: bytes) -> bytes:
        return PdfReader(BytesIO(pdf)).xmp_metadata.stream.get_data()

    short, long = invoice_pdf(content()), invoice_pdf(content(amounts=["1.00"] * 1001))

    assert b"<pdfaid:part>3</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>" in metadata(short)
    assert b"<pdfuaid:part>1</pdfuaid:part>" in metadata(short)
    assert PdfReader(BytesIO(short)).trailer["/Root"]["/Lang"] == "en"
    assert b"<pdfaid:part>3</pdfaid:part><pdfaid:conformance>U</pdfaid:conformance>" in metadata(long)
    assert b"pdfuaid" not in metadata(long)
    assert b"pdfaid" not in metadata(invoice_pdf(content(name="\u682a\u5f0f")))  # letters the font lacks


def rendered() -> int:
    return AuditEntry.objects.filter(action="invoice.document_rendered").count()


@pytest.mark.django_db
def test_a_document_is_made_once_and_kept_with_its_checksum():
    invoice = make_invoice()

    first = services.render_invoice_document(actor="test", invoice_id=invoice.pk)
    BillingEntity.objects.filter(pk=invoice.customer_id).update(name="Renamed since")
    again = services.render_invoice_document(actor="other", invoice_id=invoice.pk)

    assert (again.pk, bytes(again.content)) == (first.pk, bytes(first.content))
    assert first.sha256 == hashlib.sha256(first.content).hexdigest()
    assert (first.size, first.language) == (len(first.content), "en")
    assert rendered() == InvoiceDocument.objects.count() == 1
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_document_speaks_the_language_the_customer_had_at_issue():
    draft = make_draft()
    BillingEntity.objects.filter(pk=draft.customer_id).update(language="de")
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=date(2024, 10, 1))
    BillingEntity.objects.filter(pk=draft.customer_id).update(language="fr")

    assert services.render_invoice_document(actor="test", invoice_id=draft.pk).language == "de"


@pytest.mark.django_db
def test_an_invoice_says_where_to_pay_to_as_known_at_issue():
    draft = make_draft()
    account = {"iban": "DE89370400440532013000", "bic": "COBADEFFXXX", "bank": "Commerzbank"}
    BillingEntity.objects.filter(pk=draft.seller_id).update(bank_account=account)
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=date(2024, 10, 1))
    BillingEntity.objects.filter(pk=draft.seller_id).update(bank_account={})

    document = services.render_invoice_document(actor="test", invoice_id=draft.pk)

    [page] = pages_of(bytes(document.content))
    assert "Please pay to: Commerzbank, IBAN DE89 3704 0044 0532 0130 00, BIC COBADEFFXXX." in page


@pytest.mark.django_db
def test_a_draft_has_no_document():
    draft = make_draft()

    with pytest.raises(InvoiceNotIssued):
        services.render_invoice_document(actor="test", invoice_id=draft.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        InvoiceDocument.objects.create(
            invoice=draft, language="en", sha256=hashlib.sha256(b"%PDF").hexdigest(), size=4, content=b"%PDF"
        )

    assert rendered() == InvoiceDocument.objects.count() == 0


@pytest.mark.django_db
def test_the_database_refuses_a_checksum_that_is_not_the_contents():
    invoice = make_invoice()

    with pytest.raises(IntegrityError), transaction.atomic():
        InvoiceDocument.objects.create(
            invoice=invoice, language="en", sha256="0" * 64, size=4, content=b"%PDF"
        )

    assert InvoiceDocument.objects.count() == 0


@pytest.mark.django_db
def test_the_api_answers_with_the_kept_bytes_and_304_to_whom_has_them(api):
    invoice = make_invoice()
    client = api(make_grant(role="VW", entity=invoice.customer).user)

    shown = client.get(f"{API}invoices/{invoice.pk}/pdf", HTTP_ACCEPT="application/pdf")

    document = InvoiceDocument.objects.get()
    assert (shown.status_code, shown["Content-Type"]) == (200, "application/pdf")
    assert shown.content == bytes(document.content)
    assert shown["ETag"] == f'"{document.sha256}"'
    assert shown["Content-Disposition"] == 'inline; filename="INV-2024-000001.pdf"'
    unchanged = client.get(f"{API}invoices/{invoice.pk}/pdf", HTTP_IF_NONE_MATCH=shown["ETag"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.django_db
def test_the_api_has_no_pdf_of_drafts_and_of_what_is_out_of_reach(api):
    draft, theirs = make_draft(), make_invoice()
    client = api(make_grant(role="VW", entity=draft.customer).user)

    refused = client.get(f"{API}invoices/{draft.pk}/pdf", HTTP_ACCEPT="application/pdf")
    foreign = client.get(f"{API}invoices/{theirs.pk}/pdf")

    assert (refused.status_code, refused.json()["code"]) == (409, "invoice-not-issued")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not-found")
    assert InvoiceDocument.objects.count() == 0
