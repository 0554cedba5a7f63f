"""The months that events are stored by: a month gets its partition when its first event comes, or before."""

from collections.abc import Iterable
from datetime import date

from django.db import connection, transaction

from billing.usage.calendar import first_of_month, months_from

AHEAD = 3  # months
# Each new month is some locks until COMMIT, and the server has a table of limited size for them.
NEW_MONTHS_MAX = 240
YEARS = range(1900, 3000)

MISSING = """
    SELECT month FROM unnest(%s::date[]) AS month WHERE NOT EXISTS (
        SELECT FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
        WHERE inhparent = 'usage_events'::regclass AND c.relname = 'usage_events_' || to_char(month, 'YYYY_MM')
    ) ORDER BY month
"""
MAKE = """
    SELECT coalesce(sum(ensure_usage_partitions(month, month)), 0)
    FROM (SELECT month FROM unnest(%s::date[]) AS month ORDER BY month) wanted
"""


class Months:
    """The months a batch falls into: which of them have no partition yet, asked once."""

    def __init__(self, days: Iterable[date]) -> None:
        months = {first_of_month(day) for day in days if day.year in YEARS}
        self._missing = _missing(months) if months else []
        self._too_many = set(self._missing[NEW_MONTHS_MAX:])

    def fault(self, day: date) -> tuple[str, str] | None:
        """Why an event of this day has no place in this batch, or None."""
        if day.year not in YEARS:
            return "day-out-of-range", f"Events are of the years {YEARS[0]} to {YEARS[-1]}."
        if first_of_month(day) in self._too_many:
            return "too-many-months", f"A call opens at most {NEW_MONTHS_MAX} new months: send it again."
        return None

    def make_room_for(self, days: Iterable[date]) -> None:
        """Make the partitions these days lack."""
        needed = {first_of_month(day) for day in days}
        if wanted := [month for month in self._missing if month in needed]:
            _make(wanted)


@transaction.atomic
def make_usage_partitions(*, as_of: date, months: int = AHEAD) -> int:
    """Make the partitions of the month of `as_of` and of the next `months`; how many were missing."""
    return _make(months_from(as_of, months + 1))


def _missing(months: Iterable[date]) -> list[date]:
    with connection.cursor() as cursor:
        cursor.execute(MISSING, [list(months)])
        return [month for (month,) in cursor]


def _make(months: list[date]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(MAKE, [months])
        return cursor.fetchone()[0]
