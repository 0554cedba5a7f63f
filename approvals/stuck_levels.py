"""Requests that wait for people who may not decide them any more: who left, lost the role, or whose limit shrank."""

from collections.abc import Iterable

from django.db.models import QuerySet

from approvals import routing
from approvals.models import ApprovalLevel, ApprovalRequest
from approvals.states import LevelState, RequestState
from billing.access.models import User
from billing.access.roles import Role
from billing.entities.reach import live_grants, may, read_reaches

OPEN = (LevelState.WAITING, LevelState.PENDING)
REASSIGN = "approvals.reassign_request"


def stuck_levels(requests: QuerySet[ApprovalRequest]) -> list[ApprovalLevel]:
    """Of the pending ones of these requests, the open levels that those who agreed and those who may still decide are
    too few for. What everybody may do is read at once."""
    levels = list(
        ApprovalLevel.objects.filter(
            request__in=requests.filter(state=RequestState.PENDING).values("pk"), state__in=OPEN
        )
        .select_related("request__entity", "request__department")
        .prefetch_related("votes")
        .order_by("request", "position")
    )
    people = {
        user.pk: user for user in User.objects.filter(pk__in={pk for one in levels for pk in one.approvers})
    }
    read_reaches(people.values())
    return [level for level in levels if _is_stuck(level, [people[pk] for pk in level.approvers])]


def _is_stuck(level: ApprovalLevel, asked: Iterable[User]) -> bool:
    voted = {vote.approver_id for vote in level.votes.all()}
    able = [
        user
        for user in asked
        if user.pk in voted
        or (routing.may_decide(user, level.request) and routing.within_limit(user, level.request))
    ]
    return len(able) < level.needed


def controllers_of(request: ApprovalRequest) -> list[User]:
    """Those who may exchange its approvers and have no part in it."""
    holders = live_grants().filter(role=Role.FINANCE_CONTROLLER).values("user")
    users = list(User.objects.filter(pk__in=holders, is_active=True).exclude(pk__in=request.barred))
    read_reaches(users)
    return [user for user in users if may(user, REASSIGN, request)]
