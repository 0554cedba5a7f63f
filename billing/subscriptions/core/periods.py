"""Billing periods: half-open spans of days, and the cycles that lay them out without gap or overlap."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from billing.kernel.errors import Invalid

FIRST_YEAR, LAST_YEAR = 1900, 2999


class Interval(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


IN_DAYS = {Interval.DAY: 1, Interval.WEEK: 7}
IN_MONTHS = {Interval.MONTH: 1, Interval.YEAR: 12}


@dataclass(frozen=True, order=True, slots=True)
class Period:
    """[starts_on, ends_on): at least one day, the last one excluded. Raises Invalid otherwise."""

    starts_on: date
    ends_on: date

    def __post_init__(self) -> None:
        if self.ends_on <= self.starts_on:
            raise Invalid(f"A period ends after it starts: {self.starts_on} to {self.ends_on} is none.")

    def __contains__(self, day: date) -> bool:
        return self.starts_on <= day < self.ends_on

    def __str__(self) -> str:
        return f"[{self.starts_on}, {self.ends_on})"

    @property
    def days(self) -> int:
        return (self.ends_on - self.starts_on).days

    def overlap(self, other: "Period") -> "Period | None":
        """The days both have, if any."""
        starts_on, ends_on = max(self.starts_on, other.starts_on), min(self.ends_on, other.ends_on)
        return Period(starts_on, ends_on) if starts_on < ends_on else None


@dataclass(frozen=True, slots=True)
class Cycle:
    """Every `count` intervals, counted from the anchor both ways.

    A month too short for the anchor's day ends early and the next boundary is back on that day:
    31 January, 28 February, 31 March. Boundaries are in the years 1900 to 2999; Invalid is raised beyond.
    """

    interval: str
    count: int
    anchor_on: date

    def __post_init__(self) -> None:
        if self.interval not in set(Interval):
            raise Invalid(f"'{self.interval}' is not an interval.", known=list(Interval))
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise Invalid("A cycle has a whole number of intervals, at least 1.")
        _require_year(self.anchor_on.year)

    @classmethod
    def anniversary(cls, interval: str, count: int, starts_on: date) -> "Cycle":
        """Counted from the day it starts."""
        return cls(interval, count, starts_on)

    @classmethod
    def calendar(cls, interval: str, count: int, starts_on: date) -> "Cycle":
        """On the calendar's own edges: months and years from 1 January (so that three months are a quarter
        of the year), weeks from Monday, days from the day itself."""
        if interval in IN_MONTHS:
            return cls(interval, count, starts_on.replace(month=1, day=1))
        if interval == Interval.WEEK:
            return cls(interval, count, starts_on - timedelta(days=starts_on.weekday()))
        return cls(interval, count, starts_on)

    def boundary(self, n: int) -> date:
        """The n-th boundary; the anchor is number 0, and earlier ones are negative."""
        if self.interval in IN_DAYS:
            ordinal = self.anchor_on.toordinal() + n * self._step
            if not _FIRST_DAY <= ordinal <= _LAST_DAY:
                raise _beyond()
            return date.fromordinal(ordinal)
        year, month = divmod(_months(self.anchor_on) + n * self._step, 12)
        _require_year(year)
        return date(year, month + 1, min(self.anchor_on.day, monthrange(year, month + 1)[1]))

    def period_of(self, day: date) -> Period:
        """The whole period that holds the day."""
        n = self._number_of(day)
        return Period(self.boundary(n), self.boundary(n + 1))

    def period_after(self, period: Period) -> Period:
        """The whole period that holds the day on which `period`, whole or a stub, ends."""
        return self.period_of(period.ends_on)

    def periods(self, starts_on: date, ends_on: date) -> Iterator[Period]:
        """The whole periods that touch [starts_on, ends_on), in order; none touches an empty span."""
        if starts_on >= ends_on:
            return
        period = self.period_of(starts_on)
        yield period
        while period.ends_on < ends_on:
            period = self.period_after(period)
            yield period

    @property
    def _step(self) -> int:
        """In days or in months, as the interval is."""
        return self.count * (IN_DAYS.get(self.interval) or IN_MONTHS[self.interval])

    def _number_of(self, day: date) -> int:
        if self.interval in IN_DAYS:
            return (day - self.anchor_on).days // self._step
        n = (_months(day) - _months(self.anchor_on)) // self._step
        # Its month has begun; in a boundary's own month the boundary itself may be still to come.
        return n if self.boundary(n) <= day else n - 1


_FIRST_DAY = date(FIRST_YEAR, 1, 1).toordinal()
_LAST_DAY = date(LAST_YEAR, 12, 31).toordinal()


def _months(day: date) -> int:
    return day.year * 12 + day.month - 1


def _beyond() -> Invalid:
    return Invalid(f"Periods are in the years {FIRST_YEAR} to {LAST_YEAR}.")


def _require_year(year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise _beyond()
