"""Roles whose confirmation needs approval: which, and who never gives it."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import services
from approvals.errors import InvolvedMayNotDecide, NotAskedToDecide
from approvals.models import ApprovalRequest
from approvals.tests.makers import asks, asks_role, decide, make_approval_rule, make_approver
from billing.entities import services as entities
from billing.entities.models import RoleGrant
from billing.entities.tests.makers import make_department, make_entity, make_grant, make_user
from billing.kernel.approval import ApprovalRequired
from billing.kernel.errors import Conflict
from billing.kernel.tests.commits import as_if_committed

pytestmark = pytest.mark.django_db


@pytest.fixture
def place():
    return make_entity()


def granted(place, role="CM", by=None, user=None, **terms):
    """Not yet confirmed."""
    by = by or make_grant(role="SY", entity=place).user
    return entities.grant_role(
        actor=f"user:{by.pk}",
        user_id=(user or make_user()).pk,
        role=role,
        entity_id=place.pk,
        starts_on=timezone.now().date(),
        **terms,
    )


def confirm(grant, by):
    entities.confirm_grant(actor=f"user:{by.pk}", grant_id=grant.pk)
    as_if_committed()


def ask(grant, by):
    return services.request_role_grant(actor=f"user:{by.pk}", grant_id=grant.pk, at=timezone.now())


def is_confirmed(grant):
    return RoleGrant.objects.get(pk=grant.pk).confirmed_at is not None


def test_a_rule_can_name_the_role_also_against_raw_sql(place):
    controller, boss = make_approver(place, role="FC"), make_approver(place)
    make_approval_rule(place, asks(boss), kind="role_grant", fields={"role": ["FC", "AP"]})
    other, guarded = granted(place, role="CM"), granted(place, role="FC")
    confirm(other, controller)
    with pytest.raises(ApprovalRequired):
        confirm(guarded, controller)
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        RoleGrant.objects.filter(pk=guarded.pk).update(confirmed_by=controller, confirmed_at=timezone.now())
        as_if_committed()
    assert refusal.value.__cause__.diag.constraint_name == "granted_with_consent"
    assert (is_confirmed(other), is_confirmed(guarded)) == (True, False)
    decide(ask(guarded, controller), boss)
    assert is_confirmed(guarded)


def test_a_rule_can_name_the_department_also_against_raw_sql(place):
    controller, boss = make_approver(place, role="FC"), make_approver(place)
    sales, support = make_department(entity=place), make_department(entity=place)
    make_approval_rule(place, asks(boss), kind="role_grant", department=sales)
    confirm(granted(place, role="BU", department_id=support.pk), controller)
    guarded = granted(place, role="BU", department_id=sales.pk)
    with pytest.raises(ApprovalRequired):
        confirm(guarded, controller)
    with pytest.raises(IntegrityError), transaction.atomic():
        RoleGrant.objects.filter(pk=guarded.pk).update(confirmed_by=controller, confirmed_at=timezone.now())
        as_if_committed()
    assert not is_confirmed(guarded)
    assert ask(guarded, controller).department == sales


def test_a_fallback_asks_nobody_about_roles(place):
    controller = make_approver(place, role="FC")
    make_approval_rule(place, asks(make_approver(place)), kind="", is_fallback=True)
    grant = granted(place)
    confirm(grant, controller)
    assert is_confirmed(grant)


def test_neither_who_granted_nor_who_receives_nor_who_asks_decides(place):
    granter, receiver, controller, boss = (
        make_approver(place, role=role) for role in ("AP", "AP", "FC", "AP")
    )
    make_approval_rule(place, {**asks_role("AP"), "mode": "any"}, kind="role_grant")
    grant = granted(place, role="VW", by=granter, user=receiver)
    request = ask(grant, controller)
    assert set(request.barred) == {granter.pk, receiver.pk, controller.pk}
    assert request.beneficiary == receiver
    for involved in (granter, receiver, controller):
        with pytest.raises((InvolvedMayNotDecide, NotAskedToDecide)):
            decide(request, involved)
    assert not is_confirmed(grant)
    decide(request, boss)
    confirmed = RoleGrant.objects.get(pk=grant.pk)
    assert confirmed.confirmed_by == controller


def test_what_a_command_grants_is_the_operators_own_doing(place):
    make_approval_rule(place, asks(make_approver(place)), kind="role_grant")
    grant = entities.grant_role(
        actor="command:grant_role",
        user_id=make_user().pk,
        role="VW",
        entity_id=place.pk,
        starts_on=timezone.now().date(),
    )
    as_if_committed()
    assert is_confirmed(grant)


def test_a_confirmed_role_is_not_asked_for(place):
    controller = make_approver(place, role="FC")
    grant = granted(place)
    confirm(grant, controller)
    with pytest.raises(Conflict):
        ask(grant, controller)
    assert not ApprovalRequest.objects.exists()
