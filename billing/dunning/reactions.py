"""What dunning does when an invoice is no longer open, or open again, what it bills and what it tells of an invoice."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from billing.dunning import services
from billing.dunning.models import (
    DunningCase,
    DunningMail,
    DunningNotice,
    DunningPause,
    LateFee,
    LateFeeClaim,
)
from billing.dunning.services import late_fee_lines
from billing.invoicing.billing_runs.hooks import owes
from billing.invoicing.drafting.hooks import bills, claims, recomputes
from billing.invoicing.events import InvoicePaid, InvoiceRecovered, InvoiceVoided, InvoiceWrittenOff
from billing.invoicing.models import Invoice
from billing.invoicing.verification.services.timeline import Moment, tells
from billing.kernel.events import subscribe
from billing.kernel.models import AuditEntry, AuditKind
from billing.kernel.money import round_half_up

bills(late_fee_lines.late_fee_lines)
owes(late_fee_lines.late_payers)
claims(LateFeeClaim)
recomputes(late_fee_lines.LATE_FEE)(late_fee_lines.recomputed_fees)


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


BILLED = {"invoice.issued": "late_fee.billed", "invoice.voided": "late_fee.released"}


@tells
def billing_of_fees(invoice: Invoice) -> Iterable[Moment]:
    """On which invoices its late fees were billed, and which of those are void since."""
    claims = LateFeeClaim.objects.filter(fee__invoice=invoice).select_related("fee", "line__invoice")
    billed: dict[str, list[LateFeeClaim]] = {}
    for claim in claims.order_by("pk"):
        billed.setdefault(str(claim.line.invoice_id), []).append(claim)
    told = AuditEntry.objects.filter(
        subject_type="invoices", subject_id__in=list(billed), action__in=list(BILLED), kind=AuditKind.VERB
    )
    for entry in told.order_by("id"):
        for claim in billed[entry.subject_id]:
            yield Moment(
                at=entry.at,
                kind="dunning",
                what=BILLED[entry.action],
                who=entry.actor,
                reason=entry.reason,
                detail={
                    "invoice": entry.subject_id,
                    "number": claim.line.invoice.number,
                    "amount": str(round_half_up(claim.fee.amount, claim.fee.currency)),
                    "currency": claim.fee.currency,
                },
            )
