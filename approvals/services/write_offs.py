"""Write-offs above a limit: all that is open on the invoice when the last approval is given."""

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
from billing.invoicing.approval import WRITE_OFF
from billing.invoicing.models import Invoice
from billing.kernel.approval import proposals_of
from billing.kernel.errors import NotFound
from billing.ledger.accounts import BAD_DEBT
from billing.ledger.models import JournalEntry, JournalLine


def request_write_off(
    *, actor: str, invoice_id: UUID, reason: str, at: datetime, comment: str = ""
) -> ApprovalRequest:
    """Request approval for giving up what is open on the invoice: that is the amount. If less or more is open by then,
    it is not what was approved. Another request over the same invoice is superseded.

    Raises NotFound, and what `write_off_invoice` and `request_approval` raise.
    """
    invoice = Invoice.objects.select_related("seller").filter(pk=invoice_id).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    [act] = proposals_of(
        lambda: invoicing.write_off_invoice(
            actor=actor, invoice_id=invoice_id, written_off_on=today_at(invoice.seller), reason=reason
        )
    )
    return request_operation_approval(act, at=at, comment=comment)


@effect(WRITE_OFF)
def write_off_as_approved(request: ApprovalRequest) -> dict:
    """By who asked for it, on the day of the last approval where the seller is. The outcome names the version of the
    invoice that it made: another write-off of the same invoice is another act."""
    seller = Invoice.objects.select_related("seller").get(pk=request.subject_id).seller
    invoicing.write_off_invoice(
        actor=f"user:{request.requested_by_id}",
        invoice_id=request.subject_id,
        written_off_on=request.decided_at.astimezone(ZoneInfo(seller.time_zone)).date(),
        reason=request.content["terms"]["reason"],
    )
    invoice = Invoice.objects.get(pk=request.subject_id)
    entries = JournalEntry.objects.filter(source=f"invoice:{invoice.pk}", event__startswith="written_off")
    return {
        "invoice": str(invoice.pk),
        "number": invoice.number,
        "version": str(invoice.version),
        "entry": str(entries.latest("pk").pk),
    }


@unapproved_amount(WRITE_OFF)
def unapproved_write_offs(customer_id: UUID, currency: str, since: datetime) -> Decimal:
    """Of the customer's bad debt. What was recovered meanwhile was given up all the same."""
    lines = JournalLine.objects.filter(
        account__code=BAD_DEBT.code,
        customer=customer_id,
        currency=currency,
        entry__event__startswith="written_off",
        entry__created_at__gt=since,
    ).exclude(entry__in=approved_outcomes(WRITE_OFF, key="entry", since=since))
    return lines.aggregate(sum=Sum("debit"))["sum"] or Decimal(0)
