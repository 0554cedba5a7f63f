"""What a batch takes from quotas: decided row by row, in the order they came; booked in one statement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from billing.kernel.errors import Conflict
from billing.kernel.money import EXACT
from billing.usage import calendar
from billing.usage.models import Aggregation, Quota, QuotaCounter, QuotaMode, QuotaWindow
from billing.usage.services.alerting import Use, raise_alerts
from billing.usage.services.storing import Row

# Decided under lock by `_Level`; here it is said again that nothing moved meanwhile, and that no quota is exceeded.
BOOK = """
    UPDATE quota_counters c SET used_quantity = booked.used, latest_at = booked.latest_at,
        latest_event_id = booked.latest_event_id,
        ceiling = CASE WHEN c.ceiling IS NOT NULL THEN greatest(q.limit_quantity, booked.used) END
    FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::timestamptz[], %s::uuid[])
        AS booked (id, before, used, latest_at, latest_event_id), quotas q
    WHERE c.id = booked.id AND q.id = c.quota_id AND c.used_quantity = booked.before
        AND (c.ceiling IS NULL OR booked.used <= c.ceiling)
"""

SEEN = """
    SELECT DISTINCT counted.id, u.value
    FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[], %s::date[], %s::date[])
        AS counted (id, entity_id, meter_id, starts_on, ends_on)
    JOIN usage_uniques u ON u.entity_id = counted.entity_id AND u.meter_id = counted.meter_id
        AND u.billed_on >= counted.starts_on AND u.billed_on < counted.ends_on
    WHERE u.value = ANY(%s)
"""

LARGEST = Decimal(10) ** 16 - 1  # a counter that only warns holds no more either
LEVELS = {Aggregation.MAX, Aggregation.LATEST}
# What has no end, or began before all days, as a day for the database.
ALWAYS = (date.min, date.max)


class QuotaChangedMeanwhile(Conflict):
    code = "quota-changed-meanwhile"
    title = "The quota changed while usage was being recorded."


@dataclass(frozen=True, slots=True)
class Verdict:
    fits: bool
    exceeded: bool  # fits only because the quota warns
    remaining: Decimal
    resets_at: datetime | None


@dataclass(slots=True)
class _Level:
    """Where a counter stands while a batch is decided. Credits and corrections give nothing back."""

    quota: Quota
    counter: QuotaCounter
    used: Decimal
    latest: tuple[datetime, UUID] | None
    seen: set[str] = field(default_factory=set)

    @property
    def is_of_levels(self) -> bool:
        return self.quota.meter.aggregation in LEVELS

    def amount_of(self, row: Row) -> Decimal:
        """What the row adds; of a meter of levels: the level it says."""
        match self.quota.meter.aggregation:
            case Aggregation.COUNT:
                return Decimal(1)
            case Aggregation.UNIQUE_COUNT:
                return Decimal(row.value not in self.seen)
            case _:
                return max(row.report.quantity, Decimal(0))

    def has_room_for(self, amount: Decimal) -> bool:
        """A level is held against the limit; a sum against what is left, and nothing needs no room."""
        blocks = self.counter.ceiling is not None
        if self.is_of_levels:
            return not blocks or amount <= self.quota.limit_quantity
        return amount == 0 or EXACT.add(self.used, amount) <= (self.counter.ceiling if blocks else LARGEST)

    def take(self, row: Row) -> None:
        amount = self.amount_of(row)
        if self.quota.meter.aggregation == Aggregation.LATEST:
            moment = row.report.occurred_at, row.event_id
            if self.latest is None or moment > self.latest:
                self.used, self.latest = amount, moment
        elif self.quota.meter.aggregation == Aggregation.MAX:
            self.used = max(self.used, amount)
        else:
            self.used = EXACT.add(self.used, amount)
        if row.value is not None:
            self.seen.add(row.value)


class Tally:
    """The counters a batch needs, locked; what fits is decided against them, then booked."""

    def __init__(self, quotas: dict[tuple[UUID, UUID], Quota], rows: Sequence[Row]) -> None:
        """`rows`: those under a quota."""
        self._quotas = quotas
        windows = sorted({self._window_of(row) for row in rows})
        by_id = {quota.pk: quota for quota in quotas.values()}
        QuotaCounter.objects.bulk_create(
            [
                QuotaCounter(
                    quota=quota,
                    starts_on=starts_on,
                    ceiling=quota.limit_quantity if quota.mode == QuotaMode.BLOCK else None,
                )
                for quota_id, starts_on in windows
                if (quota := by_id[quota_id])
            ],
            ignore_conflicts=True,
        )
        self._counters = {
            (counter.quota_id, counter.starts_on): counter
            for counter in QuotaCounter.objects.locked().filter(
                quota__in={quota_id for quota_id, _ in windows},
                starts_on__in={starts_on for _, starts_on in windows},
            )
        }
        self._wanted = windows
        self._seen = self._values_seen(rows)
        self._levels = self._as_counted()

    def take(self, row: Row) -> Verdict:
        """Take the row's amount if it fits. A later, smaller row may fit where an earlier one did not."""
        level = self._levels[self._window_of(row)]
        amount = level.amount_of(row)
        fits = level.has_room_for(amount)
        if fits:
            level.take(row)
        quota = level.quota
        reached = amount if level.is_of_levels else level.used
        return Verdict(
            fits=fits,
            exceeded=fits and quota.mode == QuotaMode.WARN and amount > 0 and reached > quota.limit_quantity,
            remaining=max(EXACT.subtract(quota.limit_quantity, level.used), Decimal(0)),
            resets_at=calendar.resets_at(quota.window, level.counter.starts_on, quota.entity.time_zone),
        )

    def book(self, stored: Iterable[Row], *, as_of: datetime) -> None:
        """Move the counters by what was stored in the end, all of them or none, and raise the alerts due."""
        self._levels = self._as_counted()
        for row in stored:
            self._levels[self._window_of(row)].take(row)
        moved = [level for level in self._levels.values() if _has_moved(level)]
        if not moved:
            return
        with connection.cursor() as cursor:
            cursor.execute(
                BOOK,
                [
                    [level.counter.pk for level in moved],
                    [level.counter.used_quantity for level in moved],
                    [level.used for level in moved],
                    [level.latest and level.latest[0] for level in moved],
                    [level.latest and level.latest[1] for level in moved],
                ],
            )
            if cursor.rowcount != len(moved):
                raise QuotaChangedMeanwhile("Nothing was recorded; send the batch again.")
        raise_alerts(
            [
                Use(level.quota, level.counter.starts_on, level.used, before=level.counter.used_quantity)
                for level in moved
            ],
            as_of=as_of,
        )

    def _window_of(self, row: Row) -> tuple[UUID, date]:
        quota = self._quotas[row.entity_id, row.meter.pk]
        return quota.pk, calendar.window_start(quota.window, row.billed_on)

    def _as_counted(self) -> dict[tuple[UUID, date], _Level]:
        by_id = {quota.pk: quota for quota in self._quotas.values()}
        return {
            window: _Level(
                quota=by_id[window[0]],
                counter=counter,
                used=counter.used_quantity,
                latest=counter.latest_at and (counter.latest_at, counter.latest_event_id),
                seen={value for counter_id, value in self._seen if counter_id == counter.pk},
            )
            for window in self._wanted
            if (counter := self._counters[window])
        }

    def _values_seen(self, rows: Sequence[Row]) -> set[tuple[int, str]]:
        """Which values of the batch each window has seen before: looked up, not counted."""
        values = {row.value for row in rows} - {None}
        if not values:
            return set()
        unique = {self._window_of(row): row for row in rows if row.value is not None}
        with connection.cursor() as cursor:
            cursor.execute(
                SEEN,
                [
                    [self._counters[window].pk for window in unique],
                    [row.entity_id for row in unique.values()],
                    [row.meter.pk for row in unique.values()],
                    [self._days_of(row)[0] for row in unique.values()],
                    [self._days_of(row)[1] for row in unique.values()],
                    list(values),
                ],
            )
            return set(cursor)

    def _days_of(self, row: Row) -> tuple[date, date]:
        quota = self._quotas[row.entity_id, row.meter.pk]
        if quota.window == QuotaWindow.EVER:
            return ALWAYS
        starts_on = calendar.window_start(quota.window, row.billed_on)
        return starts_on, calendar.window_end(quota.window, starts_on)


def _has_moved(level: _Level) -> bool:
    counter = level.counter
    latest = counter.latest_at and (counter.latest_at, counter.latest_event_id)
    return level.used != counter.used_quantity or level.latest != latest
