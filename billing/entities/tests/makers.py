"""Entities, departments and grants, with only the interesting facts said aloud."""

from datetime import date
from decimal import Decimal
from itertools import count

from django.utils import timezone

from billing.access.models import User, UserKind
from billing.access.roles import Role
from billing.access.tests.makers import make_key, make_user
from billing.entities.models import BillingEntity, Department, EntityRelation, RoleGrant, RoleGrantLimit
from billing.entities.states import EntityState

__all__ = ["make_department", "make_entity", "make_grant", "make_key", "make_user"]

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
