"""When a request that waits is chased: a day before it is due, once it is late, and before its last day ends."""

from datetime import date, timedelta
from enum import StrEnum

DAY = timedelta(days=1)


class Stage(StrEnum):
    SOON = "due soon"
    LATE = "overdue"
    LAST = "expires"


def stage_of(*, due_on: date, expires_on: date, as_of: date) -> Stage | None:
    """What a reminder of `as_of` says; None as long as nobody is reminded, and once it has expired. Days in UTC."""
    if as_of >= expires_on or as_of < due_on - DAY:
        return None
    if as_of >= expires_on - DAY and as_of > due_on:
        return Stage.LAST
    return Stage.LATE if as_of > due_on else Stage.SOON


def is_late(*, due_on: date, as_of: date) -> bool:
    """The day it is due is still in time."""
    return as_of > due_on
