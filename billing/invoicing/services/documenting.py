import hashlib
from uuid import UUID

from django.db import transaction

from billing.invoicing.documents.content import content_of
from billing.invoicing.documents.rendering import pdf_of
from billing.invoicing.documents.wording import language_of
from billing.invoicing.errors import InvoiceNotIssued
from billing.invoicing.models import Invoice, InvoiceDocument
from billing.kernel import audit


@transaction.atomic
def render_invoice_document(*, actor: str, invoice_id: UUID) -> InvoiceDocument:
    """The invoice's PDF: made the first time it is asked for, the kept one ever after.

    Nothing is locked while it is set. Of two at the same time one is kept, and both get that one.
    Raises InvoiceNotIssued for a draft.
    """
    kept = InvoiceDocument.objects.filter(invoice_id=invoice_id).first()
    if kept is not None:
        return kept
    invoice = Invoice.objects.get(pk=invoice_id)
    if invoice.number is None:
        raise InvoiceNotIssued("A draft may still change. Issue it first.")
    made = _made(invoice)
    InvoiceDocument.objects.bulk_create([made], ignore_conflicts=True)
    kept = InvoiceDocument.objects.get(invoice_id=invoice_id)
    if kept.pk == made.pk:
        audit.record(
            actor=actor,
            action="invoice.document_rendered",
            subject=invoice,
            detail={"sha256": kept.sha256, "size": kept.size, "language": kept.language},
        )
    return kept


def _made(invoice: Invoice) -> InvoiceDocument:
    language = language_of(invoice.snapshot["customer"].get("language"))
    content = content_of(
        invoice,
        lines=invoice.lines.order_by("position"),
        taxes=invoice.taxes.order_by("category", "percent"),
        language=language,
    )
    pdf = pdf_of("invoice", content)
    return InvoiceDocument(
        invoice=invoice,
        language=language,
        sha256=hashlib.sha256(pdf).hexdigest(),
        size=len(pdf),
        content=pdf,
    )
