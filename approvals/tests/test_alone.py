"""One person with all accounts, roles, delegations and verbs takes nothing from nothing to effect."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals import services
from approvals.models import ApprovalAction, ApprovalRequest, ApprovalRuleVersion
from approvals.services.rules import RuleTerms
from approvals.states import RequestState, VersionState
from approvals.tests.acts import ACTS as GUARDED
from approvals.tests.acts import GuardedAct
from approvals.tests.makers import (
    asks,
    asks_role,
    decide,
    make_approval_rule,
    make_approver,
    make_delegation,
    request_terms,
)
from billing.access.models import User
from billing.entities import services as entities
from billing.entities.models import BillingEntity, RoleGrant
from billing.entities.tests.makers import make_entity, make_robot
from billing.kernel.errors import DomainError
from billing.kernel.tests.commits import as_if_committed

pytestmark = pytest.mark.django_db


@dataclass
class Scene:
    """The person has a role to decide and a service account; two colleagues let him decide for them."""

    entity: BillingEntity
    alone: User
    robot: User
    colleagues: list[User]

    @property
    def accounts(self) -> list[User]:
        return [self.alone, self.robot]


def scene(role: str, levels: list[str]) -> Scene:
    entity = make_entity()
    alone = make_approver(entity, role=role)
    robot = make_robot(alone, entity)
    robot.key_scopes = frozenset({"approvals:write", "approvals:read"})
    colleagues = [make_approver(entity) for _ in range(2)]
    for colleague in colleagues:
        make_delegation(colleague, alone)
    shapes = {
        "any of us": asks(alone, *colleagues),
        "all of us": asks(alone, *colleagues, mode="all"),
        "two of us": asks(alone, *colleagues, mode="quorum", quorum=2),
        "anybody": asks_role("AP"),
    }
    make_approval_rule(entity, *(shapes[level] for level in levels), is_fallback=True)
    return Scene(entity, alone, robot, colleagues)


# What the person does, with which of his accounts, to which of the requests there are.
ACTS = (
    "ask",
    "approve",
    "reject",
    "reassign",
    "delegate",
    "stand in",
    "cancel",
    "propose",
    "confirm",
    "comment",
    "grant a role",
    "confirm roles",
)
acts = st.lists(
    st.tuples(st.sampled_from(ACTS), st.integers(0, 1), st.integers(0, 3)), min_size=3, max_size=12
)
some_levels = st.lists(
    st.sampled_from(["any of us", "all of us", "two of us", "anybody"]), min_size=1, max_size=3
)


def act(scene: Scene, what: str, account: User, which: int) -> None:
    requests = list(ApprovalRequest.objects.order_by("pk"))
    request = requests[which % len(requests)] if requests else None
    actor, now = f"user:{account.pk}", timezone.now()
    if what == "ask":
        services.request_approval(**request_terms(scene.entity, by=account, amount=Decimal(which + 1)))
    elif what == "propose":
        services.propose_rule(
            actor=actor,
            entity_id=scene.entity.pk,
            name=f"mine {which}",
            kind="general",
            terms=RuleTerms(levels=[asks(scene.alone)], priority=99, reason="quicker"),
        )
    elif what == "confirm":
        for rule in ApprovalRuleVersion.objects.filter(state=VersionState.PROPOSED):
            services.confirm_rule(actor=actor, rule_id=rule.rule_id)
    elif what == "grant a role":
        receiver = [scene.alone, scene.robot, *scene.colleagues][which]
        entities.grant_role(
            actor=actor,
            user_id=receiver.pk,
            role="SA" if receiver == scene.robot else "FC",
            entity_id=scene.entity.pk,
            starts_on=now.date(),
        )
    elif what == "confirm roles":
        for grant in RoleGrant.objects.filter(confirmed_at=None):
            entities.confirm_grant(actor=actor, grant_id=grant.pk)
    elif what == "stand in":
        make_delegation(account, scene.colleagues[which % 2])
    elif request is None:
        return
    elif what in {"approve", "reject"}:
        decide(request, account, what)
    elif what == "reassign":
        services.reassign_request(
            actor=actor,
            request_id=request.pk,
            from_id=scene.colleagues[which % 2].pk,
            to_id=scene.alone.pk,
            comment="mine",
        )
    elif what == "delegate":
        services.delegate_request(
            actor=actor, request_id=request.pk, to_id=scene.robot.pk, at=now, comment="mine"
        )
    elif what == "cancel":
        services.cancel_request(actor=actor, request_id=request.pk, comment="again")
    else:
        services.comment_on_request(actor=actor, request_id=request.pk, comment="please")


@pytest.mark.parametrize("role", ["AP", "FC"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(levels=some_levels, does=acts)
def test_nobody_carries_out_what_he_asked_for_whatever_he_does_with_all_his_accounts(role, levels, does):
    with transaction.atomic():
        here = scene(role, levels)
        for what, account, which in [("ask", 0, 0), *does]:
            try:
                with transaction.atomic():
                    act(here, what, here.accounts[account], which)
            except DomainError:
                continue
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

        asked = ApprovalRequest.objects.filter(requester=here.alone)
        assert asked.exists()
        assert not asked.filter(state__in=[RequestState.APPROVED, RequestState.REJECTED]).exists()
        assert not ApprovalAction.objects.filter(action__in=["approve", "reject"]).exists()
        assert not ApprovalRuleVersion.objects.filter(
            state=VersionState.ACTIVE, proposed_by__in=here.accounts
        ).exists()
        assert not RoleGrant.objects.filter(granted_by__in=here.accounts, confirmed_at__isnull=False).exists()
        transaction.set_rollback(True)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(levels=some_levels, times=st.integers(1, 8))
def test_what_others_ask_for_he_decides_on_each_level_once(levels, times):
    """A request of a clerk, decided by nobody but the person, for himself and for two colleagues."""
    with transaction.atomic():
        here = scene("AP", levels)
        request = services.request_approval(**request_terms(here.entity))
        for _ in range(times):
            try:
                with transaction.atomic():
                    decide(request, here.alone)
            except DomainError:
                continue
        alone_is_enough = all(level in {"any of us", "anybody"} for level in levels)
        request.refresh_from_db()
        assert (request.state == RequestState.APPROVED) <= alone_is_enough
        filled = request.levels.filter(state="approved")
        assert all(level.needed == 1 for level in filled)
        transaction.set_rollback(True)


def guarded_act(guarded: GuardedAct, here: Scene, what: str, account: User, which: int) -> None:
    """As `act`, but the requests are those of a guarded act, and he tries to do it without one, too."""
    if what == "do":
        guarded.done_by(account)
    elif what == "ask":
        guarded.ask(account)
    else:
        act(here, what, account, which)


guarded_acts = st.lists(
    st.tuples(st.sampled_from(("do", *ACTS)), st.integers(0, 1), st.integers(0, 3)), min_size=3, max_size=10
)


@pytest.mark.parametrize("kind", GUARDED)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(does=guarded_acts)
def test_nobody_does_alone_what_needs_consent_whatever_he_does_with_all_his_accounts(kind, does):
    with transaction.atomic():
        guarded = GUARDED[kind]()
        alone = guarded.controller
        robot = make_robot(alone, guarded.place)
        here = Scene(guarded.place, alone, robot, [guarded.boss, make_approver(guarded.place)])
        for colleague in here.colleagues:
            make_delegation(colleague, alone)
        as_if_committed()
        for what, account, which in [("ask", 0, 0), ("do", 0, 0), ("approve", 0, 0), *does]:
            try:
                with transaction.atomic():
                    guarded_act(guarded, here, what, here.accounts[account], which)
            except DomainError:
                continue
        as_if_committed()

        assert not guarded.is_done()
        assert not ApprovalRequest.objects.filter(state=RequestState.APPROVED).exists()
        transaction.set_rollback(True)
