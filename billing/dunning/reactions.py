"""What dunning does when an invoice is no longer open, or open again, and what it tells of an invoice."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from billing.dunning import services
from billing.dunning.models import DunningCase, DunningMail, DunningNotice, DunningPause, LateFee
from billing.invoicing.events import InvoicePaid, InvoiceRecovered, InvoiceVoided, InvoiceWrittenOff
from billing.invoicing.models import Invoice
from billing.invoicing.timeline import Moment, tells
from billing.kernel.events import subscribe
from billing.kernel.models import AuditEntry, AuditKind


@subscribe(InvoiceWrittenOff, name="dunning.close_written_off")
@subscribe(InvoiceVoided, name="dunning.close_void")
@subscribe(InvoicePaid, name="dunning.close_paid")
def close_case(payload: dict) -> None:
    """Nothing is asked for any more, and what was suspended goes on, at once and not only with the daily run."""
    services.close_cases(
        actor="reaction:dunning.close_case",
        invoice_ids=[UUID(payload["invoice_id"])],
        as_of=timezone.now().date(),
    )


@subscribe(InvoiceRecovered, name="dunning.reopen_recovered")
def reopen_case(payload: dict) -> None:
    """What was given up is asked for again. What was suspended still is: only a payment, or a person, lifts it."""
    services.reopen_cases(actor="reaction:dunning.reopen_case", invoice_ids=[UUID(payload["invoice_id"])])


@tells
def dunning_of(invoice: Invoice) -> Iterable[Moment]:
    """Steps taken and passed over, pauses, late fees, letters with what became of them, and the case's end."""
    told = (
        DunningCase.objects.filter(invoice=invoice),
        DunningNotice.objects.filter(invoice=invoice),
        DunningPause.objects.filter(invoice=invoice),
        LateFee.objects.filter(invoice=invoice),
        DunningMail.objects.filter(notices__invoice=invoice),
    )
    subjects = Q(pk__in=[])
    for rows in told:
        ids = [str(pk) for pk in rows.values_list("pk", flat=True)]
        subjects |= Q(subject_type=rows.model._meta.db_table, subject_id__in=ids)
    for entry in AuditEntry.objects.filter(subjects, kind=AuditKind.VERB).order_by("id"):
        yield Moment(
            at=entry.at,
            kind="dunning",
            what=entry.action,
            who=entry.actor,
            reason=entry.reason,
            detail=entry.detail,
        )
