import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Prefetch, QuerySet

from billing.documents.core.rendering import kept_fields
from billing.documents.core.wording import language_of
from billing.documents.services.storage import facts_of, keep_document
from billing.invoicing.consolidation.core.document_content import consolidated_content
from billing.invoicing.documents.content import content_of, credit_note_content
from billing.invoicing.errors import InvoiceNotIssued
from billing.invoicing.models import (
    ConsolidatedDocument,
    ConsolidatedInvoice,
    CreditNote,
    CreditNoteDocument,
    Invoice,
    InvoiceDocument,
    InvoiceLine,
    InvoiceTax,
)
from billing.invoicing.queries import without_document
from billing.kernel import audit
from billing.kernel.errors import DomainError
from billing.kernel.retrying import retrying

Progress = Callable[[int, int], None]  # invoices seen, invoices in all
AT_ONCE = 100  # invoices per transaction,
LINES_AT_ONCE = 5_000  # and their lines, unless one alone has more: what is in memory at a time
FAILURES_NAMED = 100

logger = logging.getLogger(__name__)


@dataclass
class Rendered:
    """What became of a batch: how many documents are new, and which invoices have none for which reason.

    `failures` names the first hundred by number; `failed` counts all.
    """

    rendered: int = 0
    failed: int = 0
    failures: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, other: "Rendered") -> None:
        self.rendered += other.rendered
        self.failed += other.failed
        room = FAILURES_NAMED - len(self.failures)
        self.failures |= dict(list(other.failures.items())[:room])


@transaction.atomic
def render_invoice_document(*, actor: str, invoice_id: UUID) -> InvoiceDocument:
    """The invoice's PDF: made the first time it is asked for, the kept one ever after.

    Nothing is locked while it is set. Of two at the same time one is kept, and both get that one.
    Raises InvoiceNotIssued for a draft.
    """
    kept = InvoiceDocument.objects.filter(invoice_id=invoice_id).first()
    if kept is not None:
        return kept
    _keep([_made(_to_be_set([invoice_id]).get())], actor=actor)
    return InvoiceDocument.objects.get(invoice_id=invoice_id)


@transaction.atomic
def render_credit_note_document(*, actor: str, credit_note_id: UUID) -> CreditNoteDocument:
    """The credit note's PDF in its customer's language, in the same way."""
    kept = CreditNoteDocument.objects.filter(credit_note_id=credit_note_id).first()
    if kept is not None:
        return kept
    note = CreditNote.objects.select_related("invoice").get(pk=credit_note_id)
    content = credit_note_content(
        note,
        lines=note.lines.select_related("line").order_by("line__position"),
        taxes=note.taxes.order_by("category", "percent"),
        language=language_of(note.snapshot["customer"].get("language")),
    )
    return keep_document(
        CreditNoteDocument,
        of={"credit_note": note},
        template="credit_note",
        content=content,
        actor=actor,
        action="credit_note.document_rendered",
        subject=note,
    )


@transaction.atomic
def render_consolidated_document(*, actor: str, consolidated_invoice_id: UUID) -> ConsolidatedDocument:
    """The consolidated invoice's PDF in its payer's language, in the same way; its children as they were gathered."""
    kept = ConsolidatedDocument.objects.filter(consolidated_invoice_id=consolidated_invoice_id).first()
    if kept is not None:
        return kept
    document = ConsolidatedInvoice.objects.get(pk=consolidated_invoice_id)
    children = document.children.select_related("customer", "invoice")
    content = consolidated_content(
        document,
        children=list(children.order_by("currency", "customer__code", "invoice__number")),
        totals=list(document.totals.order_by("currency")),
        language=language_of(document.snapshot["payer"].get("language")),
    )
    return keep_document(
        ConsolidatedDocument,
        of={"consolidated_invoice": document},
        template="consolidated_invoice",
        content=content,
        actor=actor,
        action="consolidated_invoice.document_rendered",
        subject=document,
    )


def render_invoice_documents(*, actor: str, invoice_ids: Sequence[UUID]) -> Rendered:
    """The PDFs of those that have none yet, in parts that commit: a kill loses the part at hand only.

    An invoice whose document cannot be made (a draft, a fault) is noted and stops no other.
    """
    result = Rendered()
    for part in _parts(invoice_ids):
        made = []
        for invoice in _to_be_set(part):
            try:
                made.append(_made(invoice))
            except DomainError as error:
                result.add(_failure(invoice, code=error.code, detail=error.detail))
            except Exception:
                logger.exception("document cannot be made", extra={"invoice": str(invoice.pk)})
                result.add(_failure(invoice, code="internal", detail="It failed because of an error here."))
        result.rendered += _keep(made, actor=actor)
    return result


def render_missing_documents(
    *,
    actor: str,
    seller_id: UUID,
    run_id: UUID | None = None,
    issued_from: date | None = None,
    issued_to: date | None = None,
    progress: Progress | None = None,
) -> Rendered:
    """Those of all the seller's issued invoices, of a run, or of days of issue (`issued_to` exclusive).

    Void invoices are left out. What has a document is not seen again, so that running it again after a kill
    does the rest, and gives those that failed another try.
    """
    missing = without_document(
        seller_id=seller_id, run_id=run_id, issued_from=issued_from, issued_to=issued_to
    )
    result, seen, total, last = Rendered(), 0, missing.count(), UUID(int=0)
    while ids := list(missing.filter(pk__gt=last).values_list("pk", flat=True)[:AT_ONCE]):
        result.add(render_invoice_documents(actor=actor, invoice_ids=ids))
        seen, last = seen + len(ids), ids[-1]
        if progress:
            progress(seen, max(total, seen))
    return result


def _parts(invoice_ids: Sequence[UUID]) -> Iterator[list[UUID]]:
    """In the order of their ids: at most so many invoices and lines at once."""
    for start in range(0, len(invoice_ids), AT_ONCE):
        counted = (
            Invoice.objects.filter(pk__in=invoice_ids[start : start + AT_ONCE], document=None)
            .annotate(lines_count=Count("lines"))
            .order_by("pk")
            .values_list("pk", "lines_count")
        )
        part, lines = [], 0
        for pk, count in counted:
            if part and lines + count > LINES_AT_ONCE:
                yield part
                part, lines = [], 0
            part.append(pk)
            lines += count
        if part:
            yield part


def _to_be_set(invoice_ids: Iterable[UUID]) -> QuerySet[Invoice]:
    return (
        Invoice.objects.filter(pk__in=invoice_ids)
        .prefetch_related(
            Prefetch("lines", InvoiceLine.objects.order_by("position"), to_attr="lines_in_order"),
            Prefetch("taxes", InvoiceTax.objects.order_by("category", "percent"), to_attr="taxes_in_order"),
        )
        .order_by("pk")
    )


def _made(invoice: Invoice) -> InvoiceDocument:
    if invoice.number is None:
        raise InvoiceNotIssued("A draft may still change. Issue it first.")
    language = language_of(invoice.snapshot["customer"].get("language"))
    content = content_of(
        invoice, lines=invoice.lines_in_order, taxes=invoice.taxes_in_order, language=language
    )
    return InvoiceDocument(invoice=invoice, **kept_fields("invoice", content))


@retrying
@transaction.atomic
def _keep(made: Sequence[InvoiceDocument], *, actor: str) -> int:
    """Those that nobody else has kept in the meantime; how many."""
    InvoiceDocument.objects.bulk_create(made, ignore_conflicts=True)
    ours = set(
        InvoiceDocument.objects.filter(pk__in=[document.pk for document in made]).values_list("pk", flat=True)
    )
    audit.record_all(
        [
            audit.line(
                actor=actor,
                action="invoice.document_rendered",
                subject=document.invoice,
                detail=facts_of(document),
            )
            for document in made
            if document.pk in ours
        ]
    )
    return len(ours)


def _failure(invoice: Invoice, *, code: str, detail: str) -> Rendered:
    return Rendered(failed=1, failures={invoice.number or str(invoice.pk): {"code": code, "detail": detail}})
