"""Entities, departments and grants, with only the interesting facts said aloud."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import count

from django.db import connection
from django.utils import timezone

from billing.access.models import User, UserKind
from billing.access.roles import Role, in_conflict
from billing.access.tests.makers import make_key, make_user
from billing.entities import services
from billing.entities.models import (
    BillingEntity,
    Department,
    EntityRelation,
    RoleException,
    RoleGrant,
    RoleGrantLimit,
)
from billing.entities.states import EntityState

__all__ = [
    "make_department",
    "make_entity",
    "make_exception",
    "make_grant",
    "make_grant_beside",
    "make_key",
    "make_robot",
    "make_user",
    "move_below",
]

FIRST_DAY = date(2020, 1, 1)
_serial = count(1)


def make_entity(**overrides) -> BillingEntity:
    """An active entity with its GENERAL department: a root, or below `parent` since FIRST_DAY."""
    serial = next(_serial)
    values = {
        "code": f"E{serial:05d}",
        "name": f"Entity {serial}",
        "state": EntityState.ACTIVE,
        "currency": "EUR",
        "country": "DE",
    } | overrides
    starts_on = values.pop("starts_on", FIRST_DAY)
    entity = BillingEntity.objects.create(**values)
    entity.refresh_from_db()  # the database keeps the path
    if entity.parent_id:
        EntityRelation.objects.create(entity=entity, parent_id=entity.parent_id, starts_on=starts_on)
    Department.objects.create(
        entity=entity, code="GENERAL", name="General", is_default=True, starts_on=starts_on
    )
    return entity


def make_department(**overrides) -> Department:
    """A department besides GENERAL. `entity` defaults to that of `parent`, or a new one."""
    serial = next(_serial)
    if "entity" not in overrides:
        parent = overrides.get("parent")
        overrides["entity"] = parent.entity if parent else make_entity()
    values = {"code": f"D{serial:05d}", "name": f"Department {serial}", "starts_on": FIRST_DAY} | overrides
    department = Department.objects.create(**values)
    department.refresh_from_db()
    return department


def make_grant(
    *,
    role: str,
    entity: BillingEntity,
    user: User | None = None,
    limits: dict[str, str] | None = None,
    **overrides,
) -> RoleGrant:
    """A live grant as if by command. `user` defaults to a new person (a service account for SA)."""
    if user is None:
        user = make_user(kind=UserKind.SERVICE if role == Role.SERVICE_ACCOUNT else UserKind.PERSON)
    values = {"starts_on": FIRST_DAY, "confirmed_at": timezone.now()} | overrides
    if role == Role.BUDGET_OWNER and "department" not in values:
        values["department"] = entity.departments.get(is_default=True)
    grant = RoleGrant.objects.create(user=user, role=role, entity=entity, **values)
    RoleGrantLimit.objects.bulk_create(
        RoleGrantLimit(grant=grant, currency=currency, amount=Decimal(amount))
        for currency, amount in (limits or {}).items()
    )
    return grant


def make_exception(person: User, *roles: str, entity: BillingEntity, **overrides) -> RoleException:
    """Somebody has allowed the person to hold two conflicting roles for a month from now."""
    role, other_role = sorted(roles)
    today = timezone.now().date()
    values = {
        "starts_on": today,
        "ends_on": today + timedelta(days=30),
        "approved_by": overrides.pop("approved_by", None) or make_user(),
        "reason": "Nobody else is there",
    } | overrides
    return RoleException.objects.create(
        person=person, role=role, other_role=other_role, entity=entity, **values
    )


def make_robot(owner: User, entity: BillingEntity) -> User:
    """A service account of the owner that works at the entity for a week, whatever roles he has: by exceptions."""
    for grant in owner.grants.filter(revoked_at__isnull=True):
        if in_conflict(grant.role, Role.SERVICE_ACCOUNT):
            make_exception(owner, grant.role, Role.SERVICE_ACCOUNT, entity=entity)
    ends_on = timezone.now().date() + timedelta(days=7)
    account = make_user(kind=UserKind.SERVICE, owner=owner)
    return make_grant(role=Role.SERVICE_ACCOUNT, entity=entity, user=account, ends_on=ends_on).user


def make_grant_beside(other: RoleGrant, role: str, **overrides) -> RoleGrant:
    """A grant to the same person that conflicts with his other, as from before the database refused it."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        grant = make_grant(user=other.user, role=role, **({"entity": other.entity} | overrides))
        cursor.execute("SET session_replication_role = origin")
    return grant


def move_below(entity: BillingEntity, parent: BillingEntity) -> None:
    """Today."""
    today = timezone.now().date()
    services.move_entity(
        actor="command:test",
        entity_id=entity.pk,
        parent_id=parent.pk,
        effective_on=today,
        as_of=today,
        reason="Bought",
    )
    entity.refresh_from_db()
    parent.refresh_from_db()
