"""Requests that wait too long: their approvers are reminded, and once they are late somebody else may decide, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When

from approvals import routing
from approvals.core.due import Stage, is_late, stage_of
from approvals.models import ApprovalAction, ApprovalDelegation, ApprovalLevel, ApprovalRequest
from approvals.queries import to_chase
from approvals.services.actions import locked_request, record_action
from approvals.services.batch import one_by_one
from approvals.services.notifications import tell_chased, tell_stuck
from approvals.states import ActionKind, LevelState, Occasion, RequestState
from approvals.stuck_levels import controllers_of, stuck_levels
from billing.access.models import User
from billing.kernel.retrying import retrying

NOBODY = "to nobody"


@dataclass(frozen=True, kw_only=True)
class Chased:
    reminded: int = 0
    escalated: int = 0
    failed: Mapping[UUID, Exception] = field(default_factory=dict)  # by request


def remind_approvers(*, actor: str, as_of: date) -> Chased:
    """Remind those whom pending requests wait for, and let others stand in for who is late, as of a day in UTC.

    Once per level and stage, however often it runs; a stage that a missed run left out is not made up for. Each
    request is chased in a transaction of its own.
    """
    found = list(unchased(as_of=as_of).values_list("pk", flat=True))
    done, failed = one_by_one(found, partial(_chase, actor=actor, as_of=as_of))
    return Chased(
        reminded=sum(one.reminded for one in done),
        escalated=sum(one.escalated for one in done),
        failed=failed,
    )


def unchased(*, as_of: date) -> QuerySet[ApprovalRequest]:
    """Those whose pending level has not been told of the present stage, or is late and not escalated. The stages are
    those of `stage_of`."""
    on_this_level = ApprovalAction.objects.filter(
        request=OuterRef("pk"),
        request__levels__state=LevelState.PENDING,
        level=F("request__levels__position"),
    )
    stage = Case(
        When(expires_on__lte=as_of + timedelta(days=1), due_on__lt=as_of, then=Value(Stage.LAST)),
        When(due_on__lt=as_of, then=Value(Stage.LATE)),
        default=Value(Stage.SOON),
    )
    told = Exists(on_this_level.filter(action=ActionKind.REMIND, detail=OuterRef("stage")))
    escalated = Exists(on_this_level.filter(action=ActionKind.ESCALATE))
    found = to_chase(as_of=as_of).annotate(stage=stage)
    return found.filter(~told | (Q(due_on__lt=as_of) & ~escalated)).order_by("pk")


@retrying
@transaction.atomic
def _chase(request_id: UUID, *, actor: str, as_of: date) -> Chased:
    request = locked_request(request_id)
    stage = stage_of(due_on=request.due_on, expires_on=request.expires_on, as_of=as_of)
    if request.state != RequestState.PENDING or stage is None:
        return Chased()
    level = ApprovalLevel.objects.get(request=request, state=LevelState.PENDING)
    before = set(
        ApprovalAction.objects.filter(
            request=request, level=level.position, action__in=[ActionKind.REMIND, ActionKind.ESCALATE]
        ).values_list("action", "detail")
    )
    reminds = (ActionKind.REMIND, stage) not in before
    if reminds:
        late = [user.pk for user in late_approvers(level, request)]
        tell_chased(request, level, late, Occasion.REMINDER, stage)
        if any(stuck == level for stuck in stuck_levels(ApprovalRequest.objects.filter(pk=request.pk))):
            tell_stuck(request, level, [user.pk for user in controllers_of(request)], stage)
        record_action(request, actor=actor, action=ActionKind.REMIND, level=level.position, detail=stage)
    escalates = is_late(due_on=request.due_on, as_of=as_of) and not any(
        action == ActionKind.ESCALATE for action, _ in before
    )
    if escalates:
        _escalate(request, level, actor=actor, as_of=as_of)
    return Chased(reminded=reminds, escalated=escalates)


def _escalate(request: ApprovalRequest, level: ApprovalLevel, *, actor: str, as_of: date) -> None:
    """The approvers who are late may still decide; one more person may in the place of any of them, within their
    limits and his own. He is barred from what they are."""
    late = late_approvers(level, request)
    stand_in = routing.escalated_to(request, but_not=level.approvers) if late else None
    if stand_in is not None:
        tell_chased(request, level, [stand_in.pk], Occasion.ESCALATED)
        ApprovalDelegation.objects.bulk_create(
            ApprovalDelegation(
                delegator=approver,
                delegate=stand_in,
                request=request,
                starts_on=as_of,
                ends_on=request.expires_on + timedelta(days=1),
                reason=f"Undecided after {request.due_on}.",
            )
            for approver in late
        )
    record_action(
        request,
        actor=actor,
        action=ActionKind.ESCALATE,
        level=level.position,
        detail=f"to {stand_in.pk} for {', '.join(str(one.pk) for one in late)}" if stand_in else NOBODY,
    )


def late_approvers(level: ApprovalLevel, request: ApprovalRequest) -> list[User]:
    """Those asked who may decide and have not agreed."""
    voted = set(level.votes.values_list("approver", flat=True))
    asked = User.objects.filter(pk__in=set(level.approvers) - voted).order_by("pk")
    return [user for user in asked if routing.may_decide(user, request)]
