"""What is approved here for its own sake."""

from approvals.kinds import effect
from approvals.models import ApprovalRequest

GENERAL = "general"


@effect(GENERAL)
def consent_is_given(request: ApprovalRequest) -> dict:
    """Nothing happens in this system: who acts on it reads the event `approval.approved` or the request."""
    return {}
