from dataclasses import dataclass
from datetime import date
from typing import ClassVar
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class EntityCreated(Event):
    name: ClassVar[str] = "entity.created"


@dataclass(frozen=True, kw_only=True)
class EntityUpdated(Event):
    name: ClassVar[str] = "entity.updated"
    fields: list[str]


@dataclass(frozen=True, kw_only=True)
class EntityActivated(Event):
    name: ClassVar[str] = "entity.activated"


@dataclass(frozen=True, kw_only=True)
class EntitySuspended(Event):
    name: ClassVar[str] = "entity.suspended"


@dataclass(frozen=True, kw_only=True)
class EntityResumed(Event):
    name: ClassVar[str] = "entity.resumed"


@dataclass(frozen=True, kw_only=True)
class EntityClosed(Event):
    name: ClassVar[str] = "entity.closed"


@dataclass(frozen=True, kw_only=True)
class EntityMoved(Event):
    name: ClassVar[str] = "entity.moved"
    old_parent_id: UUID | None
    new_parent_id: UUID
    effective_on: date


@dataclass(frozen=True, kw_only=True)
class DepartmentCreated(Event):
    name: ClassVar[str] = "department.created"
    department_id: UUID


@dataclass(frozen=True, kw_only=True)
class DepartmentUpdated(Event):
    name: ClassVar[str] = "department.updated"
    department_id: UUID
    fields: list[str]


@dataclass(frozen=True, kw_only=True)
class GrantConfirmed(Event):
    name: ClassVar[str] = "grant.confirmed"
    grant_id: UUID


@dataclass(frozen=True, kw_only=True)
class GrantRevoked(Event):
    name: ClassVar[str] = "grant.revoked"
    grant_id: UUID
