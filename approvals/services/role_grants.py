"""Roles whose confirmation needs further people's approval."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from approvals.kinds import conflict_of_interest, effect
from approvals.models import ApprovalRequest
from approvals.services.operations import request_operation_approval
from billing.entities import services as entities
from billing.entities.approval import ROLE_GRANT
from billing.entities.models import RoleGrant
from billing.kernel.approval import proposals_of
from billing.kernel.errors import Conflict


def request_role_grant(*, actor: str, grant_id: UUID, at: datetime, comment: str = "") -> ApprovalRequest:
    """Request approval to confirming a role that somebody granted. Neither he nor who receives it decides.

    Raises Conflict if it is confirmed already, and what `confirm_grant` and `request_approval` raise.
    """
    acts = proposals_of(lambda: entities.confirm_grant(actor=actor, grant_id=grant_id))
    if not acts:
        raise Conflict("It is confirmed already.")
    return request_operation_approval(acts[0], at=at, comment=comment)


@effect(ROLE_GRANT, is_summed=False)
def confirm_as_approved(request: ApprovalRequest) -> dict:
    """By who asked for it."""
    grant = entities.confirm_grant(actor=f"user:{request.requested_by_id}", grant_id=request.subject_id)
    return {"grant": str(grant.pk)}


@conflict_of_interest(ROLE_GRANT)
def who_granted(request: ApprovalRequest, at: datetime) -> Iterable[UUID]:
    return RoleGrant.objects.filter(pk=request.subject_id, granted_by__isnull=False).values_list(
        "granted_by", flat=True
    )
