"""What approvals answers when lower apps ask, and what happens once approval is given."""

from collections.abc import Sequence

from django.utils import timezone

from approvals.kinds import GENERAL, effect
from approvals.models import ApprovalRequest
from approvals.services.operations import request_operation_approval, unapproved_operations
from billing.kernel.approval import ApprovalRequired, ProposedOperation, approval_guard, approval_requester
from billing.kernel.money import round_half_up


@effect(GENERAL)
def record_general_approval(request: ApprovalRequest) -> dict:
    """Nothing happens in this system: who acts on it reads the event `approval.approved` or the request."""
    return {}


@approval_guard
def require_approval_above_limits(acts: Sequence[ProposedOperation]) -> None:
    """Raises ApprovalRequired for acts that a rule covers, unless exactly this was just approved."""
    if lacking := unapproved_operations(acts, at=timezone.now()):
        told = ", ".join(_told(act) for act in lacking[:10])
        raise ApprovalRequired(f"This needs approval, ask for it first: {told}.", operations=lacking)


@approval_requester
def file_request(act: ProposedOperation, *, comment: str) -> str:
    return str(request_operation_approval(act, at=timezone.now(), comment=comment))


def _told(act: ProposedOperation) -> str:
    if not act.amount:
        return act.title
    return f"{act.title}, {round_half_up(act.amount, act.currency)} {act.currency}"
