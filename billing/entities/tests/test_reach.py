"""Who reaches what, against a slow and obvious reference."""

import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.access.permissions import PERMISSIONS
from billing.access.roles import Role
from billing.entities import queries
from billing.entities.models import BillingEntity, Department, RoleGrant
from billing.entities.reach import limit_at, live_grants_of, may, only_proposes, visible
from billing.entities.tests.makers import make_department, make_entity, make_exception, make_grant, make_user

pytestmark = pytest.mark.django_db
PERMISSIONS_TRIED = [
    "entities.view_billingentity",
    "entities.view_department",
    "entities.update_department",
    "entities.create_entity",
    "entities.close_entity",
    "entities.view_rolegrant",
]


def is_or_is_below(node, top):
    while node is not None:
        if node.pk == top.pk:
            return True
        node = node.parent
    return False


def obviously_may(user, permission, entity, department):
    """By the words of the specification, one grant and one step up the tree at a time."""
    today = timezone.now().date()
    declared = PERMISSIONS[permission]
    for grant in RoleGrant.objects.filter(user=user):
        live = (
            grant.confirmed_at
            and not grant.revoked_at
            and grant.starts_on <= today
            and (grant.ends_on is None or today < grant.ends_on)
        )
        if not live or grant.role not in declared.roles | declared.proposers | declared.own:
            continue
        if grant.department is None:
            if is_or_is_below(entity, grant.entity):
                return True
        elif department is not None:
            if is_or_is_below(department, grant.department):
                return True
        elif grant.entity_id == entity.pk and "view_" in permission and grant.role not in declared.own:
            return True
    return False


def random_grant(dice, user, entities):
    """Of those that conflict with what there is, the database takes none: another is drawn."""
    entity = dice.choice(entities)
    role = dice.choice([role for role in Role.values if role != "SA"])
    today = timezone.now().date()
    narrowed = role == "BU" or dice.random() < 0.4
    try:
        with transaction.atomic():
            make_grant(
                user=user,
                role=role,
                entity=entity,
                department=dice.choice(list(entity.departments.all())) if narrowed else None,
                starts_on=today + timedelta(days=dice.choice([-30, -30, -30, 1])),
                ends_on=dice.choice([None, None, today + timedelta(days=30)]),
                confirmed_at=dice.choice([timezone.now(), timezone.now(), None]),
                revoked_at=dice.choice([None, None, timezone.now()]),
            )
    except IntegrityError:
        random_grant(dice, user, entities)


@pytest.mark.parametrize("seed", range(4))
def test_random_grants_reach_exactly_what_they_should(seed):
    dice = random.Random(seed)
    entities = [make_entity(), make_entity()]
    for _ in range(5):
        entities.append(make_entity(parent=dice.choice(entities)))
    for _ in range(8):
        above = dice.choice(list(Department.objects.all()))
        make_department(entity=above.entity, parent=dice.choice([above, None]))
    user = make_user()
    for _ in range(4):
        random_grant(dice, user, entities)

    for permission in PERMISSIONS_TRIED:
        for entity in BillingEntity.objects.all():
            assert may(user, permission, entity) == obviously_may(user, permission, entity, None), (
                permission,
                entity,
            )
        for department in Department.objects.all():
            expected = obviously_may(user, permission, department.entity, department)
            assert may(user, permission, department) == expected, (permission, department)
        shown = set(visible(BillingEntity.objects.all(), user=user, permission=permission, entity=""))
        assert shown == {e for e in BillingEntity.objects.all() if may(user, permission, e)}
        shown = set(visible(Department.objects.all(), user=user, permission=permission, department="self"))
        assert shown == {d for d in Department.objects.all() if may(user, permission, d)}


def test_a_budget_owner_sees_his_departments_and_those_below():
    entity = make_entity()
    own = make_department(entity=entity)
    below, beside = make_department(entity=entity, parent=own), make_department(entity=entity)
    child_entity = make_entity(parent=entity)
    user = make_grant(role="BU", entity=entity, department=own).user

    assert set(queries.departments_for(user)) == {own, below}
    assert set(queries.entities_for(user)) == {entity}
    assert not may(user, "entities.view_department", beside)
    assert not may(user, "entities.view_billingentity", child_entity)


def test_a_grant_narrowed_to_a_department_changes_nothing_of_its_entity():
    entity = make_entity()
    user = make_grant(role="FC", entity=entity, department=entity.departments.get()).user

    assert may(user, "entities.view_billingentity", entity)
    assert not may(user, "entities.close_entity", entity)
    assert not may(user, "entities.update_entity", entity)


def test_only_those_who_propose_and_nothing_more_make_drafts():
    root = make_entity()
    child = make_entity(parent=root)
    user = make_user()
    allowed = make_exception(user, "BO", "FC", entity=child)
    make_grant(user=user, role="BO", entity=root)
    make_grant(user=user, role="FC", entity=child, ends_on=allowed.ends_on)

    assert only_proposes(user, "entities.create_entity", root)
    assert not only_proposes(user, "entities.create_entity", child)
    assert not only_proposes(make_user(), "entities.create_entity", root)


def test_the_largest_limit_that_applies_counts():
    root = make_entity()
    child = make_entity(parent=root)
    user = make_user()
    make_grant(user=user, role="FC", entity=root, limits={"EUR": "100"})
    make_grant(user=user, role="FC", entity=child, limits={"EUR": "500", "JPY": "9"})
    permission = "entities.close_entity"

    assert limit_at(user, permission, root, "EUR") == Decimal(100)
    assert limit_at(user, permission, child, "EUR") == Decimal(500)
    assert limit_at(user, permission, child, "USD") == Decimal(0)
    unlimited = make_grant(role="FC", entity=root).user
    assert limit_at(unlimited, permission, child, "USD") is None


@pytest.mark.parametrize(
    ("starts_in", "ends_in", "live"), [(0, None, 1), (1, None, 0), (-5, 0, 0), (-5, 1, 1)]
)
def test_a_grant_lives_from_its_first_day_until_the_day_it_ends(starts_in, ends_in, live, freeze):
    freeze("2026-03-10T23:59:59Z")
    today = date(2026, 3, 10)
    ends_on = None if ends_in is None else today + timedelta(days=ends_in)
    grant = make_grant(
        role="VW", entity=make_entity(), starts_on=today + timedelta(days=starts_in), ends_on=ends_on
    )

    assert live_grants_of(grant.user).count() == live


def test_an_undeclared_action_is_nobodys():
    entity = make_entity()
    user = make_user()
    for role in ("FC", "AP", "VW"):
        make_grant(user=user, role=role, entity=entity)

    assert not may(user, "entities.delete_everything", entity)
    assert not user.has_perm("entities.delete_everything")


def test_who_is_switched_off_reaches_nothing():
    grant = make_grant(role="FC", entity=make_entity())
    grant.user.is_active = False

    assert not may(grant.user, "entities.view_billingentity", grant.entity)
    assert not queries.entities_for(grant.user).exists()
