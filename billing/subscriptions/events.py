from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class LicenseCreated(Event):
    name: ClassVar[str] = "license.created"
    license_id: UUID


@dataclass(frozen=True, kw_only=True)
class LicenseChanged(Event):
    name: ClassVar[str] = "license.changed"
    license_id: UUID
    fields: list[str]


@dataclass(frozen=True, kw_only=True)
class LicenseRevoked(Event):
    name: ClassVar[str] = "license.revoked"
    license_id: UUID


@dataclass(frozen=True, kw_only=True)
class LicenseExpired(Event):
    name: ClassVar[str] = "license.expired"
    license_id: UUID
