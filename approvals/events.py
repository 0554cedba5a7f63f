from dataclasses import dataclass
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class ApprovalRequested(Event):
    name = "approval.requested"
    request_id: UUID


@dataclass(frozen=True, kw_only=True)
class ApprovalApproved(Event):
    name = "approval.approved"
    request_id: UUID


@dataclass(frozen=True, kw_only=True)
class ApprovalRejected(Event):
    name = "approval.rejected"
    request_id: UUID


@dataclass(frozen=True, kw_only=True)
class ApprovalEnded(Event):
    """Without a decision: canceled, expired or superseded."""

    name = "approval.ended"
    request_id: UUID
    state: str
