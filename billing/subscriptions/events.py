from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class SubscriptionCreated(Event):
    name = "subscription.created"
    subscription_id: UUID


@dataclass(frozen=True, kw_only=True)
class SubscriptionChanged(Event):
    name = "subscription.changed"
    subscription_id: UUID


@dataclass(frozen=True, kw_only=True)
class SubscriptionPaused(Event):
    name = "subscription.paused"
    subscription_id: UUID


@dataclass(frozen=True, kw_only=True)
class SubscriptionResumed(Event):
    name = "subscription.resumed"
    subscription_id: UUID


@dataclass(frozen=True, kw_only=True)
class SubscriptionCanceled(Event):
    name = "subscription.canceled"
    subscription_id: UUID


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
