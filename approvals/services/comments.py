"""What is done to a pending request besides deciding it: commenting, asking somebody else."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from approvals import routing
from approvals.errors import DelegationRefused, InvolvedMayNotDecide, NoApprover, NotAskedToDecide
from approvals.models import ApprovalDelegation, ApprovalLevel, ApprovalRequest
from approvals.services.actions import locked_request, record_action, require_pending
from approvals.services.notifications import tell_asked, tell_delegate
from approvals.states import ActionKind, LevelState
from billing.access.models import User
from billing.access.queries import acting_user
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.versions import require_version

OPEN = (LevelState.WAITING, LevelState.PENDING)


@transaction.atomic
def comment_on_request(*, actor: str, request_id: UUID, comment: str) -> ApprovalRequest:
    """Say something that stays with the request, at any time. Raises NotFound, Invalid."""
    request = locked_request(request_id)
    if not comment.strip():
        raise Invalid("A comment says something.", field="comment")
    record_action(request, actor=actor, action=ActionKind.COMMENT, comment=comment)
    return request


@transaction.atomic
def delegate_request(
    *,
    actor: str,
    request_id: UUID,
    to_id: UUID,
    at: datetime,
    comment: str,
    version: int | None = None,
) -> ApprovalRequest:
    """Let somebody else who may decide there decide this one request in one's place; one may still do it oneself.

    Raises NotFound, PreconditionFailed, RequestNotPending, NotAskedToDecide, InvolvedMayNotDecide, NoApprover,
    DelegationRefused.
    """
    request = locked_request(request_id)
    require_version(request, version)
    require_pending(request)
    person = acting_user(actor)
    asked = ApprovalLevel.objects.filter(request=request, state__in=OPEN)
    if person is None or not any(person.pk in level.approvers for level in asked):
        raise NotAskedToDecide("No level that is open asks you.")
    if to_id == person.pk:
        raise DelegationRefused("Nobody delegates to himself.")
    _require_fit(_colleague(to_id), request, limited=False)
    delegation = ApprovalDelegation.objects.create(
        delegator=person,
        delegate_id=to_id,
        request=request,
        starts_on=at.date(),
        ends_on=request.expires_on + timedelta(days=1),
        reason=comment,
    )
    record_action(request, actor=actor, action=ActionKind.DELEGATE, comment=comment, detail=f"to {to_id}")
    tell_delegate(delegation)
    return request


@transaction.atomic
def reassign_request(
    *,
    actor: str,
    request_id: UUID,
    from_id: UUID,
    to_id: UUID,
    comment: str,
    version: int | None = None,
) -> ApprovalRequest:
    """On every open level that waits for `from_id`, ask `to_id` instead: for approvers who left.

    Who asked for the request, edited it or gains by it exchanges nobody, and nobody puts himself in the place.
    Raises NotFound, PreconditionFailed, RequestNotPending, InvolvedMayNotDecide, DelegationRefused, NotAskedToDecide if no level waits for him, NoApprover if the other
    may not decide the amount or is asked by such a level already.
    """
    request = locked_request(request_id)
    require_version(request, version)
    require_pending(request)
    who = acting_user(actor)
    if who is not None and who.person_id in request.barred:
        raise InvolvedMayNotDecide("You asked for this, edited it, or gain by it.")
    if who is not None and who.person_id == to_id:
        raise DelegationRefused("Nobody puts himself in an approver's place.")
    other = _colleague(to_id)
    _require_fit(other, request, limited=True)
    waiting = [
        level
        for level in ApprovalLevel.objects.locked().filter(request=request, state__in=OPEN)
        if from_id in level.approvers and not level.votes.filter(approver=from_id).exists()
    ]
    if not waiting:
        raise NotAskedToDecide("No open level waits for this approver.")
    for level in waiting:
        if to_id in level.approvers:
            raise NoApprover(f"Level {level.position} asks {other} already.", level=level.position)
        level.approvers = [to_id if approver == from_id else approver for approver in level.approvers]
        level.save(update_fields=["approvers"])
    record_action(
        request,
        actor=actor,
        action=ActionKind.REASSIGN,
        comment=comment,
        detail=f"from {from_id} to {to_id}",
    )
    for level in waiting:
        if level.state == LevelState.PENDING:
            tell_asked(request, level, as_of=timezone.now().date(), only=[to_id])
    return request


def _colleague(user_id: UUID) -> User:
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _require_fit(user: User, request: ApprovalRequest, *, limited: bool) -> None:
    """A delegate acts within the limits of his principal; a new approver has his own."""
    if user.person_id in request.barred:
        raise InvolvedMayNotDecide(f"{user} asked for this, edited it, or gains by it.")
    if not routing.may_decide(user, request) or (limited and not routing.within_limit(user, request)):
        raise NoApprover(f"{user} may not decide this.")
