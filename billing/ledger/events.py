"""What the books tell others."""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class BooksClosed(Event):
    name: ClassVar[str] = "period.closed"
    period_id: UUID
    starts_on: date


@dataclass(frozen=True, kw_only=True)
class BooksReopened(Event):
    name: ClassVar[str] = "period.reopened"
    period_id: UUID
    starts_on: date


@dataclass(frozen=True, kw_only=True)
class EntryReversed(Event):
    name: ClassVar[str] = "journal_entry.reversed"
    entry_id: UUID
    reversed_by_id: UUID
