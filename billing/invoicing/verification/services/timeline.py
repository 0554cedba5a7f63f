"""What happened to an invoice, in the order of time. Higher apps add what they know (payments, disputes)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from billing.invoicing.models import ConsolidatedInvoice, CreditNote, Invoice
from billing.kernel.models import AuditEntry, AuditKind, OutboxEvent


@dataclass(frozen=True, kw_only=True)
class Moment:
    """`kind` says whose telling it is: "verb" (somebody did), "event" (others were told), "credit", "payment"…"""

    at: datetime
    kind: str
    what: str
    who: str = ""
    reason: str = ""
    detail: dict = field(default_factory=dict)


Teller = Callable[[Invoice], Iterable[Moment]]
TELLERS: list[Teller] = []


def tells(teller: Teller) -> Teller:
    """Register what a higher app knows about an invoice. A fixed number of queries, please."""
    TELLERS.append(teller)
    return teller


def timeline_of(invoice: Invoice) -> list[Moment]:
    """Every moment, the oldest first; what is told at one instant keeps the order of the tellers."""
    return sorted((moment for teller in TELLERS for moment in teller(invoice)), key=lambda moment: moment.at)


@tells
def _verbs(invoice: Invoice) -> Iterable[Moment]:
    lines = [str(pk) for pk in invoice.lines.values_list("pk", flat=True)]
    told = AuditEntry.objects.filter(
        Q(subject_type="invoices", subject_id=str(invoice.pk))
        | Q(subject_type="invoice_lines", subject_id__in=lines),
        kind=AuditKind.VERB,
    )
    for entry in told.order_by("id"):
        yield Moment(
            at=entry.at,
            kind="verb",
            what=entry.action,
            who=entry.actor,
            reason=entry.reason,
            detail=entry.detail,
        )


@tells
def _credits(invoice: Invoice) -> Iterable[Moment]:
    """The credit notes over it, and what was applied to it of others."""
    concerned = CreditNote.objects.filter(Q(invoice=invoice) | Q(applications__invoice=invoice))
    notes = {str(pk): number for pk, number in concerned.values_list("pk", "number")}
    told = AuditEntry.objects.filter(
        subject_type="credit_notes", subject_id__in=list(notes), kind=AuditKind.VERB
    )
    for entry in told.order_by("id"):
        if entry.action != "credit.applied" or entry.detail.get("invoice") == str(invoice.pk):
            yield Moment(
                at=entry.at,
                kind="credit",
                what=entry.action,
                who=entry.actor,
                reason=entry.reason,
                detail={"number": notes[entry.subject_id], **entry.detail},
            )


@tells
def _events(invoice: Invoice) -> Iterable[Moment]:
    told = OutboxEvent.objects.filter(entity_id=invoice.customer_id, payload__invoice_id=str(invoice.pk))
    for event in told.order_by("id"):
        yield Moment(at=event.occurred_at, kind="event", what=event.name, detail={"event": str(event.pk)})


@tells
def _consolidations(invoice: Invoice) -> Iterable[Moment]:
    """When it was gathered into a consolidated invoice, and when that was void again."""
    documents = ConsolidatedInvoice.objects.filter(children__invoice=invoice).values_list("pk", flat=True)
    told = AuditEntry.objects.filter(
        subject_type="consolidated_invoices",
        subject_id__in=[str(pk) for pk in documents],
        kind=AuditKind.VERB,
    )
    for entry in told.order_by("id"):
        yield Moment(
            at=entry.at,
            kind="verb",
            what=entry.action,
            who=entry.actor,
            reason=entry.reason,
            detail={"consolidated_invoice": entry.subject_id, "number": entry.detail["number"]},
        )
