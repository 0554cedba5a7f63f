"""Closed months that are opened again."""

from datetime import datetime
from uuid import UUID

from approvals.kinds import effect
from approvals.models import ApprovalRequest
from approvals.services.operations import request_operation_approval
from billing.kernel.approval import proposals_of
from billing.kernel.models import AuditEntry, AuditKind
from billing.ledger import services as ledger
from billing.ledger.approval import PERIOD_REOPENING
from billing.ledger.models import AccountingPeriod


def request_period_reopening(
    *, actor: str, period_id: UUID, reason: str, at: datetime, comment: str = ""
) -> ApprovalRequest:
    """Request approval for opening the latest closed month again. Raises what `reopen_period` and `request_approval`
    raise: whoever closed it does not ask for it."""
    [act] = proposals_of(lambda: ledger.reopen_period(period_id=period_id, actor=actor, reason=reason))
    return request_operation_approval(act, at=at, comment=comment)


@effect(PERIOD_REOPENING, is_summed=False)
def reopen_as_approved(request: ApprovalRequest) -> dict:
    """By who asked for it. The outcome names the version of the month that it made, and the line of the audit trail
    that has this change of its state: the same month can be closed and reopened again."""
    ledger.reopen_period(
        period_id=request.subject_id,
        actor=f"user:{request.requested_by_id}",
        reason=request.content["terms"]["reason"],
    )
    period = AccountingPeriod.objects.get(pk=request.subject_id)
    lines = AuditEntry.objects.filter(
        kind=AuditKind.ROW, subject_type=AccountingPeriod._meta.db_table, subject_id=str(period.pk)
    )
    return {
        "period": str(period.pk),
        "version": str(period.version),
        "line": str(lines.latest("pk").pk),
    }
