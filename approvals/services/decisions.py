"""Approving and rejecting: under the request's lock, by who may decide at this moment, over what was shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from approvals import routing
from approvals.conflicts_of_interest import persons_with_conflicts
from approvals.core import levels as core
from approvals.errors import (
    BeyondLimit,
    ContentChanged,
    DecidedBefore,
    InvolvedMayNotDecide,
    NotAskedToDecide,
    RequestNotPending,
)
from approvals.events import ApprovalApproved, ApprovalRejected
from approvals.kinds import EFFECTS
from approvals.models import ApprovalAction, ApprovalEffect, ApprovalLevel, ApprovalRequest, ApprovalVote
from approvals.queries import delegations_to
from approvals.services.actions import locked_request, record_action, require_pending
from approvals.services.closing import skip_levels
from approvals.services.notifications import tell_asked, tell_outcome
from approvals.states import DECISIONS, LEVEL_MOVES, REQUEST_MOVES, ActionKind, LevelState
from billing.access.models import User
from billing.access.queries import acting_user
from billing.kernel.audit import plain
from billing.kernel.errors import DomainError, Invalid
from billing.kernel.events import publish
from billing.kernel.states import next_state
from billing.kernel.versions import require_version

BULK_MAX = 100


@transaction.atomic
def decide_request(
    *,
    actor: str,
    request_id: UUID,
    decision: str,
    digest: str,
    at: datetime,
    comment: str = "",
    version: int | None = None,
) -> ApprovalRequest:
    """Approve or reject on the pending level, for oneself or, as a delegate, for an approver of it.

    `digest` is that of the content the decider was shown. The last approval carries the act out, in this
    transaction: if the act is refused, so is the approval. A rejection ends the request and says why.

    Raises NotFound, PreconditionFailed, RequestNotPending, ContentChanged, InvolvedMayNotDecide, NotAskedToDecide,
    BeyondLimit, DecidedBefore, Invalid, and whatever the act itself is refused with.
    """
    request = locked_request(request_id)
    require_version(request, version)
    if decision not in DECISIONS:
        raise Invalid(f"'{decision}' is no decision.", field="decision")
    if decision == ActionKind.REJECT and not comment.strip():
        raise Invalid("A rejection says why.", field="comment")
    require_pending(request)
    if at.date() >= request.expires_on:
        raise RequestNotPending("The request has expired.", state="expired")
    if digest != request.digest:
        raise ContentChanged("The content is not the one you were shown.", digest=request.digest)
    levels = list(ApprovalLevel.objects.locked().filter(request=request).order_by("position"))
    person = acting_user(actor)
    level = next(level for level in levels if level.state == LevelState.PENDING)
    approver = _stands_for(person, request, level, at=at)
    action = record_action(
        request,
        actor=actor,
        action=ActionKind(decision),
        comment=comment,
        level=level.position,
        on_behalf_of=None if approver == person.pk else approver,
    )
    if decision == ActionKind.REJECT:
        _reject(request, level, at=at, comment=comment)
    elif _fill(levels, action, approver=approver, person=person):
        _approve(request, at=at)
    elif (now := next(one for one in levels if one.state == LevelState.PENDING)) is not level:
        tell_asked(request, now, as_of=at.date())
    request.refresh_from_db(fields=["state", "decided_at", "version"])
    return request


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What became of one item of many: the request, or why not."""

    request_id: UUID
    request: ApprovalRequest | None = None
    refusal: DomainError | None = None


@transaction.atomic
def bulk_approve(
    *, actor: str, items: Sequence[tuple[UUID, str]], at: datetime, comment: str = ""
) -> list[Decided]:
    """Approve up to 100 requests, each with the digest shown, each on its own: a refusal holds up no other.

    Results are in the order of the items. Raises Invalid for too many, none, or one twice.
    """
    ids = [request_id for request_id, _ in items]
    if not 0 < len(ids) <= BULK_MAX or len(set(ids)) < len(ids):
        raise Invalid(f"From 1 to {BULK_MAX} requests, each once.", field="items")
    list(ApprovalRequest.objects.locked().filter(pk__in=ids))  # all first, in order: then what they are about
    return [_approve_one(actor, request_id, digest, at, comment) for request_id, digest in items]


def _approve_one(actor: str, request_id: UUID, digest: str, at: datetime, comment: str) -> Decided:
    try:
        with transaction.atomic():
            request = decide_request(
                actor=actor,
                request_id=request_id,
                decision=ActionKind.APPROVE,
                digest=digest,
                at=at,
                comment=comment,
            )
    except DomainError as refusal:
        return Decided(request_id=request_id, refusal=refusal)
    return Decided(request_id=request_id, request=request)


def _stands_for(person: User | None, request: ApprovalRequest, level: ApprovalLevel, *, at: datetime) -> UUID:
    """The approver whose vote it would be: the decider himself if he is asked, else who delegated to him.

    Roles and limits are those of this moment, of the decider and of who delegated to him.
    """
    if person is None or not routing.may_decide(person, request):
        raise NotAskedToDecide("You may not decide here.")
    barred = {*request.barred, *persons_with_conflicts(request, at=at)}
    if person.person_id in barred:
        raise InvolvedMayNotDecide("You asked for this, edited it, or gain by it.")
    votes = list(level.votes.all())
    if any(vote.person_id == person.pk for vote in votes):
        raise DecidedBefore("You have decided on this level.")
    voted = {vote.approver_id for vote in votes}
    candidates = [person, *_principals(person, request, level, barred=barred, at=at)]
    asked = [one for one in candidates if one.pk in level.approvers]
    if not asked:
        raise NotAskedToDecide(f"Level {level.position} does not ask you.", level=level.position)
    free = [one for one in asked if one.pk not in voted]
    if not free:
        raise DecidedBefore("The vote is cast.")
    for one in free:
        if routing.within_limit(one, request):
            return one.pk
    raise BeyondLimit(f"{request.shown_amount} is above the limit.")


def _principals(
    person: User, request: ApprovalRequest, level: ApprovalLevel, *, barred: set[UUID], at: datetime
) -> list[User]:
    """Approvers of the level in whose place the person may act and who may still decide themselves."""
    received = {
        delegation.delegator_id
        for delegation in delegations_to(person, request, as_of=at.date())
        if delegation.delegator_id in level.approvers and delegation.delegator_id not in barred
    }
    found = User.objects.filter(pk__in=received).order_by("pk")
    return [principal for principal in found if routing.may_decide(principal, request)]


def _fill(levels: list[ApprovalLevel], action: ApprovalAction, *, approver: UUID, person: User) -> bool:
    """Cast the votes of an approval, level by level; True when the last one is filled."""
    rows: dict[UUID, list[ApprovalVote]] = {level.pk: [] for level in levels}
    for vote in ApprovalVote.objects.filter(level__in=levels).order_by("pk"):
        rows[vote.level_id].append(vote)
    behind = {vote.approver_id: vote.action_id for cast in rows.values() for vote in cast}
    behind[approver] = action.pk
    added = core.agree(
        [core.Level(frozenset(level.approvers), level.needed) for level in levels],
        [
            core.Vote(position, vote.approver_id, vote.person_id)
            for position, level in enumerate(levels)
            for vote in rows[level.pk]
        ],
        approver=approver,
        person=person.pk,
    )
    for position, level in enumerate(levels):
        new = [vote for vote in added if vote.level == position]
        for vote in new:
            ApprovalVote.objects.create(
                level=level,
                approver_id=vote.approver,
                person_id=vote.person,
                action_id=behind[vote.approver],
            )
        if level.state == LevelState.PENDING and len(rows[level.pk]) + len(new) >= level.needed:
            _move(level, "fill")
            if position + 1 == len(levels):
                return True
            _move(levels[position + 1], "open")
    return False


def _reject(request: ApprovalRequest, level: ApprovalLevel, *, at: datetime, comment: str) -> None:
    _move(level, "reject")
    skip_levels(request)
    _end(request, "reject", at=at)
    tell_outcome(request, comment=comment)
    publish(ApprovalRejected(entity_id=request.entity_id, request_id=request.pk))


def _approve(request: ApprovalRequest, *, at: datetime) -> None:
    _end(request, "approve", at=at)
    outcome = EFFECTS[request.kind](request)
    ApprovalEffect.objects.create(request=request, digest=request.digest, outcome=plain(outcome))
    tell_outcome(request)
    publish(ApprovalApproved(entity_id=request.entity_id, request_id=request.pk))


def _end(request: ApprovalRequest, action: str, *, at: datetime) -> None:
    request.state = next_state(REQUEST_MOVES, action=action, current=request.state)
    request.decided_at = at
    request.save(update_fields=["state", "decided_at"])


def _move(level: ApprovalLevel, action: str) -> None:
    level.state = next_state(LEVEL_MOVES, action=action, current=level.state)
    level.save(update_fields=["state"])
