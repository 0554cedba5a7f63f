"""Invoices above a limit: drafts that are issued on the day of the last approval. Each is looked at by itself."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from approvals.conflicts_of_interest import users_among
from approvals.kinds import conflict_of_interest, effect
from approvals.models import ApprovalRequest
from approvals.services.operations import request_operation_approval
from billing.entities.queries import today_at
from billing.invoicing import services as invoicing
from billing.invoicing.approval import INVOICE
from billing.invoicing.models import Invoice
from billing.kernel.approval import proposals_of
from billing.kernel.errors import NotFound
from billing.kernel.models import AuditEntry, AuditKind


def request_invoice(*, actor: str, invoice_id: UUID, at: datetime, comment: str = "") -> ApprovalRequest:
    """Request approval for issuing a draft as it stands; its total, with tax, is the amount. Drafted anew with the same
    lines it is the same request, with others another one.

    Raises NotFound, and what `issue_invoice` and `request_approval` raise.
    """
    draft = Invoice.objects.select_related("seller").filter(pk=invoice_id).first()
    if draft is None:
        raise NotFound("There is no such invoice.")
    [act] = proposals_of(
        lambda: invoicing.issue_invoice(actor=actor, invoice_id=invoice_id, issued_on=today_at(draft.seller))
    )
    return request_operation_approval(act, at=at, comment=comment)


@conflict_of_interest(INVOICE)
def who_drafted(request: ApprovalRequest, at: datetime) -> Iterable[UUID]:
    """Whoever drafted or revised it, or began the run that did."""
    lines = AuditEntry.objects.filter(
        kind=AuditKind.VERB,
        action__in=["invoice.drafted", "invoice.revised"],
        subject_type=Invoice._meta.db_table,
        subject_id=str(request.subject_id),
    )
    return users_among(lines.values_list("actor", flat=True))


@effect(INVOICE, is_summed=False)
def issue_approved_invoice(request: ApprovalRequest) -> dict:
    """By who asked for it, on the day of the last approval where the seller is."""
    draft = Invoice.objects.select_related("seller").filter(pk=request.subject_id).first()
    if draft is None:
        raise NotFound("The draft is gone.")
    invoice = invoicing.issue_invoice(
        actor=f"user:{request.requested_by_id}",
        invoice_id=draft.pk,
        issued_on=request.decided_at.astimezone(ZoneInfo(draft.seller.time_zone)).date(),
    )
    return {"invoice": str(invoice.pk), "number": invoice.number}
