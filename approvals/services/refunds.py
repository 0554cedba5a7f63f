"""What is left of a credit note, paid back to the customer instead of kept."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from approvals.kinds import effect, unapproved_amount
from approvals.models import ApprovalRequest
from approvals.services.operations import approved_outcomes, request_operation_approval
from billing.invoicing import services as invoicing
from billing.invoicing.approval import PAY_BACK
from billing.invoicing.models import CreditNote
from billing.invoicing.states import CreditRemainder
from billing.kernel.approval import proposals_of
from billing.kernel.errors import Conflict, NotFound
from billing.kernel.models import AuditEntry, AuditKind
from billing.kernel.money import total_of

NOTES = CreditNote._meta.db_table


def request_refund(
    *, actor: str, credit_note_id: UUID, reason: str, at: datetime, comment: str = ""
) -> ApprovalRequest:
    """Request approval for paying back what is left of the note: that is the amount. If less is left by then, it is not
    what was approved.

    Raises NotFound, Conflict if nothing is left or it is to be paid back already, and what `request_approval` raises.
    """
    if not CreditNote.objects.filter(pk=credit_note_id).exists():
        raise NotFound("There is no such credit note.")
    acts = proposals_of(
        lambda: invoicing.redirect_credit(
            actor=actor, credit_note_id=credit_note_id, remainder_to=CreditRemainder.REFUND, reason=reason
        )
    )
    if not acts:
        raise Conflict("It is to be paid back already.")
    return request_operation_approval(acts[0], at=at, comment=comment)


@effect(PAY_BACK)
def refund_as_approved(request: ApprovalRequest) -> dict:
    """By who asked for it. The outcome names the version of the note that it made, and the line of the audit trail that
    has this change: what is kept after all can be paid back another time."""
    invoicing.redirect_credit(
        actor=f"user:{request.requested_by_id}",
        credit_note_id=request.subject_id,
        remainder_to=CreditRemainder.REFUND,
        reason=request.content["terms"]["reason"],
    )
    note = CreditNote.objects.get(pk=request.subject_id)
    lines = AuditEntry.objects.filter(kind=AuditKind.ROW, subject_type=NOTES, subject_id=str(note.pk))
    return {
        "credit_note": str(note.pk),
        "number": note.number,
        "version": str(note.version),
        "line": str(lines.latest("pk").pk),
    }


@unapproved_amount(PAY_BACK)
def unapproved_refunds(customer_id: UUID, currency: str, since: datetime) -> Decimal:
    """What is to be paid back to the customer since then, by an act of its own or with a new credit note."""
    approved = approved_outcomes(PAY_BACK, key="line", since=since)
    lines = AuditEntry.objects.filter(
        kind=AuditKind.ROW,
        subject_type=NOTES,
        entity_id=customer_id,
        at__gt=since,
        after__remainder_to=CreditRemainder.REFUND,
    ).exclude(pk__in=map(int, approved))
    notes = CreditNote.objects.filter(
        pk__in=set(lines.values_list("subject_id", flat=True)),
        currency=currency,
        remainder_to=CreditRemainder.REFUND,
    )
    return total_of([note.unapplied_amount for note in notes])
