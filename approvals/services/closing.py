"""Requests that end without a decision: canceled by who asked, expired, superseded by other content."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals.errors import NotAskedToDecide
from approvals.events import ApprovalEnded
from approvals.models import ApprovalLevel, ApprovalRequest
from approvals.queries import due_to_expire
from approvals.services.actions import locked_request, record_action, require_pending
from approvals.services.batch import one_by_one
from approvals.services.notifications import tell_outcome, tell_superseded
from approvals.states import REQUEST_MOVES, ActionKind, LevelState
from billing.access.queries import acting_user
from billing.kernel.events import publish
from billing.kernel.retrying import retrying
from billing.kernel.states import next_state
from billing.kernel.versions import require_version


@dataclass(frozen=True, kw_only=True)
class Expired:
    expired: int
    failed: Mapping[UUID, Exception]  # by request


@transaction.atomic
def cancel_request(
    *, actor: str, request_id: UUID, comment: str, version: int | None = None
) -> ApprovalRequest:
    """Withdraw a request one made (or one's service account). Raises NotFound, PreconditionFailed,
    RequestNotPending, NotAskedToDecide for a request of somebody else."""
    request = locked_request(request_id)
    require_version(request, version)
    require_pending(request)
    user = acting_user(actor)
    if user is None or user.person_id != request.requester_id:
        raise NotAskedToDecide("Only who asked withdraws a request.")
    end_request(request, actor=actor, action=ActionKind.CANCEL, at=timezone.now(), comment=comment)
    return request


def expire_requests(*, actor: str, as_of: date) -> Expired:
    """End every request whose last day has passed on `as_of`, a day in UTC. Safe to run twice.

    Each in a transaction of its own. One that somebody is deciding at this moment is left to the next run.
    """
    due = list(due_to_expire(as_of=as_of).order_by("pk").values_list("pk", flat=True))
    done, failed = one_by_one(due, partial(_expire, actor=actor, as_of=as_of))
    return Expired(expired=sum(done), failed=failed)


@retrying
@transaction.atomic
def _expire(request_id: UUID, *, actor: str, as_of: date) -> bool:
    request = due_to_expire(as_of=as_of).locked(skip_locked=True).filter(pk=request_id).first()
    if request is None:
        return False
    end_request(request, actor=actor, action=ActionKind.EXPIRE, at=timezone.now())
    return True


def end_request(
    request: ApprovalRequest, *, actor: str, action: ActionKind, at: datetime, comment: str = ""
) -> None:
    """Under the request's lock: nobody is asked any more."""
    record_action(request, actor=actor, action=action, comment=comment)
    if action == ActionKind.SUPERSEDE:
        tell_superseded(request)
    skip_levels(request)
    request.state = next_state(REQUEST_MOVES, action=action, current=request.state)
    request.decided_at = at
    request.save(update_fields=["state", "decided_at"])
    publish(ApprovalEnded(entity_id=request.entity_id, request_id=request.pk, state=request.state))
    if action == ActionKind.EXPIRE:
        tell_outcome(request)


def skip_levels(request: ApprovalRequest) -> None:
    ApprovalLevel.objects.filter(request=request, state__in=[LevelState.WAITING, LevelState.PENDING]).update(
        state=LevelState.SKIPPED
    )
