"""Days and windows of an entity's own calendar."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from billing.usage.models import QuotaWindow

FIRST_DAY = date(1970, 1, 1)


@cache
def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local_day(instant: datetime, time_zone: str) -> date:
    """The business day an instant belongs to."""
    return instant.astimezone(zone(time_zone)).date()


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def months_from(day: date, count: int) -> list[date]:
    """The first days of `count` months, beginning with the month of `day`."""
    number = day.year * 12 + day.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(number, number + count)]


def window_start(window: str, day: date) -> date:
    """The first day of the window that `day` lies in."""
    if window == QuotaWindow.DAY:
        return day
    if window == QuotaWindow.MONTH:
        return first_of_month(day)
    return FIRST_DAY


def window_end(window: str, starts_on: date) -> date | None:
    """The first day after the window; None for one without an end."""
    if window == QuotaWindow.DAY:
        return starts_on + timedelta(days=1)
    if window == QuotaWindow.MONTH:
        return months_from(starts_on, 2)[1]
    return None


def resets_at(window: str, starts_on: date, time_zone: str) -> datetime | None:
    """The instant (UTC) at which the next window begins; None for a window without an end."""
    ends_on = window_end(window, starts_on)
    return ends_on and datetime.combine(ends_on, time.min, zone(time_zone)).astimezone(UTC)
