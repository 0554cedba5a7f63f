from dataclasses import dataclass
from datetime import date
from typing import ClassVar
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class QuotaThresholdReached(Event):
    name: ClassVar[str] = "quota.threshold_reached"
    alert_id: UUID
    quota_id: UUID
    meter_id: UUID
    starts_on: date
    threshold: int
