from collections.abc import Mapping
from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Length

from billing.access.models import User
from billing.entities.editing import DEPARTMENT, DEPARTMENT_GL, require_code, require_plausible
from billing.entities.errors import (
    CodeTaken,
    DefaultDepartmentRequired,
    DepartmentOfOtherEntity,
    EntityClosed,
    HierarchyLoop,
    UserInactive,
)
from billing.entities.events import DepartmentCreated, DepartmentUpdated
from billing.entities.models import BillingEntity, Department
from billing.entities.paths import SEGMENT, depth_of
from billing.entities.services.trees import require_depth
from billing.entities.states import EntityState
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.events import publish
from billing.kernel.versions import require_version


@transaction.atomic
def create_department(
    *, actor: str, entity_id: UUID, code: str, name: str, starts_on: date, **details: object
) -> Department:
    """Add a part of an entity that costs are charged to. `details` are further editable facts.

    Raises NotFound, EntityClosed, CodeTaken, DepartmentOfOtherEntity, HierarchyTooDeep, UserInactive, Invalid.
    """
    if unknown := sorted(set(details) - DEPARTMENT - DEPARTMENT_GL):
        raise Invalid(f"Not a fact of a department: {', '.join(unknown)}.", fields=unknown)
    require_code(code)
    require_plausible(details | {"name": name})
    entity = _locked_entity(entity_id)
    if Department.objects.filter(entity=entity, code__iexact=code).exists():
        raise CodeTaken(f"'{code}' is in use in {entity.code}.", field="code")
    department = Department(entity=entity, code=code, name=name, starts_on=starts_on, **details)
    _require_order_of_days(department)
    _require_manager(department)
    if department.parent_id:
        require_depth(_parent_of(department), 1)
    department.save(force_insert=True)
    department.refresh_from_db()
    audit.record(actor=actor, action="department.created", subject=department)
    publish(DepartmentCreated(entity_id=entity.pk, department_id=department.pk))
    return department


@transaction.atomic
def update_department(
    *, actor: str, department_id: UUID, changes: Mapping[str, object], version: int | None = None
) -> Department:
    """Change editable facts; those that stay as they are change nothing. `version` is the one last seen.

    Raises NotFound, PreconditionFailed, EntityClosed, DepartmentOfOtherEntity, HierarchyLoop,
    HierarchyTooDeep, DefaultDepartmentRequired, UserInactive, Invalid.
    """
    if unknown := sorted(set(changes) - DEPARTMENT - DEPARTMENT_GL):
        raise Invalid(f"Not editable: {', '.join(unknown)}.", fields=unknown)
    found = Department.objects.filter(pk=department_id).values_list("entity_id", flat=True).first()
    if found is None:
        raise NotFound("There is no such department.")
    _locked_entity(found)  # one change at a time in the tree of an entity's departments
    department = Department.objects.locked().get(pk=department_id)
    require_version(department, version)
    require_plausible(changes)
    changed = sorted(field for field, value in changes.items() if getattr(department, field) != value)
    if not changed:
        return department

    for field in changed:
        setattr(department, field, changes[field])
    _require_order_of_days(department)
    if department.is_default and department.ends_on is not None:
        raise DefaultDepartmentRequired(f"{department.code} takes what names no department.")
    if "manager_id" in changed:
        _require_manager(department)
    if "parent_id" in changed and department.parent_id:
        _require_place(department)
    department.save(update_fields=changed)
    department.refresh_from_db()
    audit.record(actor=actor, action="department.updated", subject=department, detail={"fields": changed})
    publish(DepartmentUpdated(entity_id=department.entity_id, department_id=department.pk, fields=changed))
    return department


def _locked_entity(entity_id: UUID) -> BillingEntity:
    entity = BillingEntity.objects.locked().filter(pk=entity_id).first()
    if entity is None:
        raise NotFound("There is no such entity.")
    if entity.state == EntityState.CLOSED:
        raise EntityClosed(f"{entity.code} is closed.")
    return entity


def _parent_of(department: Department) -> Department:
    parent = Department.objects.filter(pk=department.parent_id).first()
    if parent is None:
        raise NotFound("There is no such department.", field="parent")
    if parent.entity_id != department.entity_id:
        raise DepartmentOfOtherEntity(f"{parent.code} is a department of another entity.", field="parent")
    return parent


def _require_place(department: Department) -> None:
    parent = _parent_of(department)
    if parent.path.startswith(department.path):
        raise HierarchyLoop(f"{parent.code} is {department.code} or below it.", field="parent")
    below = Department.objects.filter(path__startswith=department.path)
    deepest = below.aggregate(length=Max(Length("path")))["length"]
    require_depth(parent, deepest // SEGMENT - depth_of(department.path) + 1)


def _require_manager(department: Department) -> None:
    manager_id = department.manager_id
    if manager_id and not User.objects.filter(pk=manager_id, is_active=True).exists():
        raise UserInactive("The manager must be an active user.", field="manager")


def _require_order_of_days(department: Department) -> None:
    if department.ends_on is not None and department.ends_on <= department.starts_on:
        raise Invalid("A department ends after it starts.", field="ends_on")
