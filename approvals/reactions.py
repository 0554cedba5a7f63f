"""What approvals answers when lower apps ask, and what happens once consent is given."""

from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.utils import timezone

from approvals.errors import ApprovalRequired
from approvals.kinds import GENERAL, effect
from approvals.models import ApprovalRequest
from approvals.services.credit_notes import CREDIT_NOTE, is_being_carried_out, needs_consent
from billing.invoicing import services as invoicing
from billing.invoicing.consent import ProposedCredit, guards_credits
from billing.invoicing.models import Invoice


@effect(GENERAL)
def consent_is_given(request: ApprovalRequest) -> dict:
    """Nothing happens in this system: who acts on it reads the event `approval.approved` or the request."""
    return {}


@guards_credits
def large_credits_need_consent(proposed: ProposedCredit) -> None:
    """Raises ApprovalRequired for a note that a rule covers, unless exactly this was just approved."""
    note = proposed.note
    if is_being_carried_out(note, proposed.terms):
        return
    if needs_consent(note, actor=proposed.actor, at=timezone.now()):
        raise ApprovalRequired(
            f"A credit of {note.total_amount} {note.currency} needs consent: ask for it first.",
            kind=CREDIT_NOTE,
        )


@effect(CREDIT_NOTE)
def issue_approved_credit_note(request: ApprovalRequest) -> dict:
    """By who asked for it, on the day of the last consent where the seller is."""
    terms = request.content["terms"]
    seller = Invoice.objects.select_related("seller").get(pk=request.subject_id).seller
    lines = terms["lines"]
    note = invoicing.issue_credit_note(
        actor=f"user:{request.requested_by_id}",
        invoice_id=request.subject_id,
        issued_on=request.decided_at.astimezone(ZoneInfo(seller.time_zone)).date(),
        reason=terms["reason"],
        lines={UUID(line): Decimal(amount) for line, amount in lines.items()} if lines else None,
        net_amount=None if terms["net_amount"] is None else Decimal(terms["net_amount"]),
        remainder_to=terms["remainder_to"],
    )
    return {"credit_note": str(note.pk), "number": note.number}
