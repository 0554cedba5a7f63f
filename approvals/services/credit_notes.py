"""Credit notes above a limit: asked for with their terms, issued on the day the last approval is given."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Sum

from approvals.kinds import effect, unapproved_amount
from approvals.models import ApprovalRequest
from approvals.services.operations import approved_outcomes, request_operation_approval
from billing.entities.queries import today_at
from billing.invoicing import services as invoicing
from billing.invoicing.approval import CREDIT_NOTE
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.states import CreditRemainder
from billing.kernel.approval import proposals_of
from billing.kernel.errors import NotFound


def request_credit_note(
    *,
    actor: str,
    invoice_id: UUID,
    reason: str,
    at: datetime,
    lines: Mapping[UUID, Decimal] | None = None,
    net_amount: Decimal | None = None,
    remainder_to: str = CreditRemainder.BALANCE,
    comment: str = "",
) -> ApprovalRequest:
    """Request approval for a credit note with these terms, as `issue_credit_note` takes them. Its total, with tax, is
    the amount. Another request over the same invoice is superseded. Two transactions, so that the locks of the
    proposal are gone before the request takes its own; within a greater one, its savepoint lets go of them.

    Raises what `issue_credit_note` and `request_approval` raise.
    """
    invoice = Invoice.objects.select_related("seller").filter(pk=invoice_id).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    [act] = proposals_of(
        lambda: invoicing.issue_credit_note(
            actor=actor,
            invoice_id=invoice_id,
            issued_on=today_at(invoice.seller),
            reason=reason,
            lines=lines,
            net_amount=net_amount,
            remainder_to=remainder_to,
        )
    )
    return request_operation_approval(act, at=at, comment=comment)


@effect(CREDIT_NOTE)
def issue_approved_credit_note(request: ApprovalRequest) -> dict:
    """By who asked for it, on the day of the last approval where the seller is."""
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


@unapproved_amount(CREDIT_NOTE)
def unapproved_credit_notes(customer_id: UUID, currency: str, since: datetime) -> Decimal:
    approved = approved_outcomes(CREDIT_NOTE, key="credit_note", since=since)
    recent = CreditNote.objects.filter(customer=customer_id, currency=currency, created_at__gt=since)
    return recent.exclude(pk__in=approved).aggregate(sum=Sum("total_amount"))["sum"] or Decimal(0)
