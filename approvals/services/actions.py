"""What every act on a request leaves behind: its link of the chain, and its line in the audit trail."""

from uuid import UUID

from approvals.errors import RequestNotPending
from approvals.models import ApprovalAction, ApprovalRequest
from approvals.states import ActionKind, RequestState
from billing.access.models import User
from billing.access.queries import acting_user
from billing.kernel import audit
from billing.kernel.errors import NotFound


def locked_request(request_id: UUID) -> ApprovalRequest:
    """Raises NotFound."""
    locked = ApprovalRequest.objects.locked().select_related("entity", "department")
    request = locked.filter(pk=request_id).first()
    if request is None:
        raise NotFound("There is no such request.")
    return request


def require_pending(request: ApprovalRequest) -> None:
    if request.state != RequestState.PENDING:
        raise RequestNotPending(f"The request is {request.state}.", state=request.state)


def person_of(user: User | None) -> UUID | None:
    return user.person_id if user else None


def record_action(
    request: ApprovalRequest,
    *,
    actor: str,
    action: ActionKind,
    comment: str = "",
    detail: str = "",
    level: int | None = None,
    on_behalf_of: UUID | None = None,
) -> ApprovalAction:
    """The database gives it its number, instant and digests. Its digest is in the audit trail too, which is sealed."""
    made = ApprovalAction.objects.create(
        request=request,
        action=action,
        level=level,
        actor=actor,
        person_id=person_of(acting_user(actor)),
        on_behalf_of_id=on_behalf_of,
        content_digest=request.digest,
        comment=comment,
        detail=detail,
    )
    made.refresh_from_db(fields=["number", "digest"])
    told = {
        "kind": request.kind,
        "subject": request.subject_id,
        "level": level,
        "on_behalf_of": on_behalf_of,
        "detail": detail if action != ActionKind.REQUEST else "",
        "digest": made.digest,
    }
    audit.record(
        actor=actor,
        action=f"approval.{action}",
        subject=request,
        reason=comment,
        detail={name: value for name, value in told.items() if value},
    )
    return made
