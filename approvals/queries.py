"""What may be read: of requests, what one asked for, is asked about, or oversees."""

from collections.abc import Iterable
from datetime import date, timedelta
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Prefetch, Q, QuerySet

from approvals.models import (
    ApprovalAction,
    ApprovalDelegation,
    ApprovalLevel,
    ApprovalMail,
    ApprovalRequest,
    ApprovalRule,
    ApprovalRuleVersion,
)
from approvals.states import LevelState, RequestState, VersionState
from billing.access.models import User
from billing.entities.models import RoleGrant
from billing.entities.reach import visible

VIEW_REQUEST = "approvals.view_approvalrequest"
VIEW_ALL = "approvals.view_all_requests"
VIEW_RULE = "approvals.view_approvalrule"
VIEW_DELEGATION = "approvals.view_approvaldelegation"
VIEW_MAIL = "approvals.view_approvalmail"


def requests_for(user: User, permission: str = VIEW_REQUEST) -> QuerySet[ApprovalRequest]:
    """Within reach: those of others for who oversees (controllers, auditors), else one's own and those one is asked
    about, also as a delegate, or was."""
    requests = ApprovalRequest.objects.select_related("entity", "department", "requester", "beneficiary")
    within = visible(requests, user=user, permission=permission, department="department")
    everything = visible(requests, user=user, permission=VIEW_ALL, department="department")
    mine = Q(requester=user.person_id) | Q(pk__in=asked_of(user).values("request"))
    return within.filter(mine | Q(pk__in=everything.values("pk")))


def overseen_by(user: User) -> QuerySet[ApprovalRequest]:
    """Everybody's within reach: for controllers and auditors."""
    requests = ApprovalRequest.objects.select_related("entity", "department", "requester", "beneficiary")
    return visible(requests, user=user, permission=VIEW_ALL, department="department")


def asked_of(user: User) -> QuerySet[ApprovalLevel]:
    """The levels that ask the person, or somebody for whom he ever was a delegate."""
    principals = ApprovalDelegation.objects.filter(delegate=user, request=None).values("delegator")
    return ApprovalLevel.objects.filter(
        Q(approvers__contains=[user.pk])
        | Q(approvers__overlap=ArraySubquery(principals))
        | Q(request__in=ApprovalDelegation.objects.filter(delegate=user).values("request"))
    )


def inbox_of(user: User, *, as_of: date) -> QuerySet[ApprovalRequest]:
    """Requests that wait for the person now: the pending level asks him or who delegated to him, and neither he nor
    that approver has voted on it."""
    waiting = Q(approvers__contains=[user.pk])
    for delegation in live_delegations(as_of=as_of).filter(delegate=user):
        waiting |= Q(approvers__contains=[delegation.delegator_id]) & _covered_by(delegation)
    levels = ApprovalLevel.objects.filter(waiting, state=LevelState.PENDING).exclude(votes__person=user)
    return (
        requests_for(user)
        .filter(pk__in=levels.values("request"), state=RequestState.PENDING, expires_on__gt=as_of)
        .exclude(barred__contains=[user.pk])
    )


def _covered_by(delegation: ApprovalDelegation) -> Q:
    covered = Q(request__kind__in=delegation.kinds) if delegation.kinds else Q()
    if delegation.request_id:
        covered &= Q(request=delegation.request_id)
    if delegation.amount is not None:
        covered &= Q(request__currency=delegation.currency, request__amount__lte=delegation.amount)
    return covered


def live_delegations(*, as_of: date) -> QuerySet[ApprovalDelegation]:
    """In force on `as_of`, a day in UTC."""
    return ApprovalDelegation.objects.filter(
        starts_on__lte=as_of, ends_on__gt=as_of, revoked_at__isnull=True
    ).order_by("pk")


def delegations_to(user: User, request: ApprovalRequest, *, as_of: date) -> list[ApprovalDelegation]:
    """Those by which `user` may decide this request for somebody else."""
    received = live_delegations(as_of=as_of).filter(delegate=user)
    return [delegation for delegation in received if _covers(delegation, request)]


def stand_ins(people: Iterable[UUID], request: ApprovalRequest, *, as_of: date) -> set[UUID]:
    """Who may decide this request in the place of one of `people`, and has no part in it."""
    given = live_delegations(as_of=as_of).filter(delegator__in=set(people))
    return {one.delegate_id for one in given if _covers(one, request)} - set(request.barred)


def _covers(delegation: ApprovalDelegation, request: ApprovalRequest) -> bool:
    return (
        (not delegation.kinds or request.kind in delegation.kinds)
        and delegation.request_id in {None, request.pk}
        and (
            delegation.amount is None
            or (delegation.currency == request.currency and request.amount <= delegation.amount)
        )
    )


def delegations_for(user: User) -> QuerySet[ApprovalDelegation]:
    """One's own, given and received; for who oversees also those of people who hold a role within reach."""
    delegations = ApprovalDelegation.objects.select_related("delegator", "delegate", "request")
    grants = RoleGrant.objects.filter(revoked_at__isnull=True)
    holders = visible(grants, user=user, permission=VIEW_ALL, department="department").values("user")
    return delegations.filter(
        Q(delegator=user) | Q(delegate=user) | Q(delegator__in=holders) | Q(delegate__in=holders)
    )


def due_to_expire(*, as_of: date) -> QuerySet[ApprovalRequest]:
    """Undecided on their last day."""
    return ApprovalRequest.objects.filter(state=RequestState.PENDING, expires_on__lte=as_of)


def to_chase(*, as_of: date) -> QuerySet[ApprovalRequest]:
    """Pending on `as_of`, and due on the next day or before; what was done about them is for `remind_approvers`."""
    return ApprovalRequest.objects.filter(
        state=RequestState.PENDING, due_on__lte=as_of + timedelta(days=1), expires_on__gt=as_of
    )


def mails_for(user: User) -> QuerySet[ApprovalMail]:
    """One's own; for who oversees also those about requests within reach."""
    mails = ApprovalMail.objects.select_related("person", "request")
    return mails.filter(Q(person=user) | Q(request__in=overseen_by(user).values("pk")))


def rules_for(user: User, permission: str = VIEW_RULE) -> QuerySet[ApprovalRule]:
    """The rules of entities within reach, each with its versions, the newest first."""
    versions = ApprovalRuleVersion.objects.select_related(
        "department", "proposed_by", "confirmed_by"
    ).order_by("-number")
    rules = ApprovalRule.objects.select_related("entity").prefetch_related(Prefetch("versions", versions))
    return visible(rules, user=user, permission=permission)


def rules_to_confirm(user: User) -> QuerySet[ApprovalRule]:
    """Rules with a proposal that waits for a second person."""
    return rules_for(user).filter(versions__state=VersionState.PROPOSED)


def with_story(requests: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
    """With levels, votes and actions, each in order."""
    return requests.prefetch_related(
        Prefetch("levels", ApprovalLevel.objects.prefetch_related("votes").order_by("position")),
        Prefetch(
            "actions", ApprovalAction.objects.select_related("person", "on_behalf_of").order_by("number")
        ),
    )
