"""What a source tells us, and what we answer, row by row."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

Status = Literal["accepted", "duplicate", "conflict", "rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """One thing that was used. `meter` is a code of the entity's seller; `cost` is exact, in `currency`.

    Without `billed_on` the event is billed on the day it occurred in the entity's time zone.
    """

    source: str
    transaction_id: str
    entity_id: UUID
    meter: str
    occurred_at: datetime
    quantity: Decimal = Decimal(0)
    cost: Decimal | None = None
    currency: str = ""
    department_id: UUID | None = None
    billed_on: date | None = None
    properties: dict = field(default_factory=dict)
    subscription_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one report. `code` says why not, or warns; then a quota says what remains until when."""

    transaction_id: str
    status: Status
    code: str = ""
    detail: str = ""
    event_id: UUID | None = None
    remaining: Decimal | None = None
    resets_at: datetime | None = None
