"""Roles: two persons, no conflicts of duties, and gone when they are taken away."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.access.models import UserKind
from billing.access.roles import Role, in_conflict
from billing.access.services import deactivate_user
from billing.entities import services
from billing.entities.errors import (
    DepartmentOfOtherEntity,
    DepartmentRequired,
    GrantEnded,
    RoleNotForAccount,
    RolesConflict,
    UserInactive,
)
from billing.entities.models import RoleGrant
from billing.entities.reach import live_grants_of
from billing.entities.tests.makers import (
    make_department,
    make_entity,
    make_grant,
    make_grant_beside,
    make_user,
)
from billing.kernel.errors import FourEyesRequired, Invalid
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival

TODAY = date(2026, 3, 1)


def actor(user):
    return f"user:{user.pk}"


def grant(user, role, entity, *, by="command:grant_role", **overrides):
    return services.grant_role(
        actor=by, user_id=user.pk, role=role, entity_id=entity.pk, starts_on=TODAY, **overrides
    )


@pytest.mark.django_db
def test_a_grant_takes_effect_when_somebody_else_confirms_it():
    entity, holder, granter, confirmer = make_entity(), make_user(), make_user(), make_user()
    made = grant(holder, "FC", entity, by=actor(granter))
    assert not live_grants_of(holder).exists()

    for person in (holder, granter):
        with pytest.raises(FourEyesRequired):
            services.confirm_grant(actor=actor(person), grant_id=made.pk)
    assert not live_grants_of(holder).exists()

    services.confirm_grant(actor=actor(confirmer), grant_id=made.pk)
    services.confirm_grant(actor=actor(confirmer), grant_id=made.pk)

    assert live_grants_of(holder).get().confirmed_by == confirmer
    verbs = AuditEntry.objects.filter(kind="verb").order_by("pk").values_list("action", flat=True)
    assert list(verbs) == ["grant.created", "grant.confirmed"]
    assert_invariants_hold()


@pytest.mark.django_db
def test_the_owner_of_a_service_account_is_the_same_person():
    entity, owner, other = make_entity(), make_user(), make_user()
    account = make_user(owner=owner)

    with pytest.raises(FourEyesRequired):
        grant(account, "SA", entity, by=actor(owner))
    made = grant(account, "SA", entity, by=actor(other))
    with pytest.raises(FourEyesRequired):
        services.confirm_grant(actor=actor(owner), grant_id=made.pk)

    assert not live_grants_of(account).exists()


@pytest.mark.django_db
def test_a_command_grants_at_once_and_says_so():
    entity, holder = make_entity(), make_user()

    made = grant(holder, "AP", entity, limits={"EUR": Decimal(500), "JPY": Decimal(9)})

    assert live_grants_of(holder).get() == made
    assert AuditEntry.objects.get(kind="verb").actor == "command:grant_role"
    assert {limit.currency: limit.amount for limit in made.limits.all()} == {"EUR": 500, "JPY": 9}


@pytest.mark.django_db
@pytest.mark.parametrize("one", Role.values)
@pytest.mark.parametrize("other", Role.values)
def test_the_table_of_conflicts_is_held(one, other):
    """A pair of a person's roles; SA is held by an account that the person owns."""
    entity, person = make_entity(), make_user()
    account = make_user(owner=person)
    department = entity.departments.get()

    def give(role):
        holder = account if role == "SA" else person
        return grant(holder, role, entity, department_id=department.pk if role == "BU" else None)

    give(one)
    if in_conflict(one, other):
        with pytest.raises(RolesConflict):
            give(other)
        assert RoleGrant.objects.count() == 1
    else:
        give(other)
        assert RoleGrant.objects.count() == 2


@pytest.mark.django_db
def test_conflicting_roles_are_fine_where_they_do_not_overlap():
    root = make_entity()
    left, right = make_entity(parent=root), make_entity(parent=root)
    person = make_user()
    grant(person, "BO", left, ends_on=TODAY + timedelta(days=10_000))

    grant(person, "FC", right)
    for place in (root, left, make_entity(parent=left)):
        with pytest.raises(RolesConflict):
            grant(person, "FC", place)
    services.grant_role(
        actor="command:test",
        user_id=person.pk,
        role="FC",
        entity_id=left.pk,
        starts_on=TODAY + timedelta(days=10_000),
    )

    assert RoleGrant.objects.count() == 3
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_confirmation_looks_for_conflicts_again():
    entity, person = make_entity(), make_user()
    made = grant(person, "BO", entity, by=actor(make_user()))
    make_grant_beside(made, "FC")

    with pytest.raises(RolesConflict):
        services.confirm_grant(actor=actor(make_user()), grant_id=made.pk)

    made.refresh_from_db()
    assert made.confirmed_at is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "kind", "overrides", "error"),
    [
        ("SA", UserKind.PERSON, {}, RoleNotForAccount),
        ("VW", UserKind.SERVICE, {}, RoleNotForAccount),
        ("BU", UserKind.PERSON, {}, DepartmentRequired),
        ("XX", UserKind.PERSON, {}, Invalid),
        ("VW", UserKind.PERSON, {"ends_on": TODAY}, Invalid),
        ("AP", UserKind.PERSON, {"limits": {"JPY": Decimal("0.5")}}, Invalid),
        ("AP", UserKind.PERSON, {"limits": {"JPY": Decimal("-1")}}, Invalid),
    ],
)
def test_what_makes_no_sense_is_not_granted(role, kind, overrides, error):
    entity, user = make_entity(), make_user(kind=kind)

    with pytest.raises(error):
        grant(user, role, entity, **overrides)

    assert not RoleGrant.objects.exists()


@pytest.mark.django_db
def test_a_department_of_another_entity_is_refused_here_and_by_the_database():
    entity, foreign, user = make_entity(), make_department(), make_user()

    with pytest.raises(DepartmentOfOtherEntity):
        grant(user, "BU", entity, department_id=foreign.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_grant(user=user, role="BU", entity=entity, department=foreign)

    assert not RoleGrant.objects.exists()


@pytest.mark.django_db
def test_nothing_is_granted_to_an_account_that_is_switched_off():
    entity, user = make_entity(), make_user()
    deactivate_user(actor="command:test", user_id=user.pk, reason="left")

    with pytest.raises(UserInactive):
        grant(user, "VW", entity)

    assert not RoleGrant.objects.exists()


@pytest.mark.django_db
def test_a_revoked_grant_is_over_for_good():
    entity, user = make_entity(), make_user()
    made = grant(user, "VW", entity)

    services.revoke_grant(actor="command:test", grant_id=made.pk, reason="left")
    services.revoke_grant(actor="command:test", grant_id=made.pk, reason="left")

    assert not live_grants_of(user).exists()
    assert AuditEntry.objects.filter(action="grant.revoked").count() == 1
    with pytest.raises(GrantEnded):
        services.confirm_grant(actor=actor(make_user()), grant_id=made.pk)
    with pytest.raises(IntegrityError, match="final"), transaction.atomic():
        RoleGrant.objects.filter(pk=made.pk).update(revoked_at=None)


@pytest.mark.django_db
def test_a_grant_cannot_be_rewritten_after_it_was_confirmed():
    made = grant(make_user(), "VW", make_entity())

    with pytest.raises(IntegrityError, match="final"), transaction.atomic():
        RoleGrant.objects.filter(pk=made.pk).update(role="FC")

    made.refresh_from_db()
    assert made.role == "VW"


@pytest.mark.django_db
def test_a_grant_by_the_minute_ends_by_the_minute(freeze):
    user = make_user()
    now = timezone.now()
    grant(user, "VW", make_entity(), ends_at=now + timedelta(minutes=60))
    freeze(now + timedelta(minutes=59))
    assert live_grants_of(user).exists()

    freeze(now + timedelta(minutes=60))

    assert not live_grants_of(user).exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_conflicting_grants_at_once_one_is_refused():
    entity, person = make_entity(), make_user()

    with transaction.atomic():
        grant(person, "BO", entity)
        rival = start_rival(lambda: grant(person, "FC", entity))

    with pytest.raises(RolesConflict):
        rival.result(timeout=5)
    assert RoleGrant.objects.get().role == "BO"
