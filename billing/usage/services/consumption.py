"""What a batch takes from quotas: decided row by row, in the order they came; booked in one statement."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection

from billing.kernel.errors import Conflict
from billing.kernel.money import EXACT
from billing.usage import calendar
from billing.usage.models import Aggregation, Meter, Quota, QuotaCounter, QuotaMode

# The condition is decided above, under lock; here it is said again, so that no path can exceed a quota.
TAKE = """
    UPDATE quota_counters c SET used_quantity = c.used_quantity + taken.amount
    FROM (SELECT * FROM unnest(%s::bigint[], %s::numeric[]) AS taken (id, amount)) taken
    WHERE c.id = taken.id AND (c.ceiling IS NULL OR c.used_quantity + taken.amount <= c.ceiling)
"""


LARGEST = Decimal(10) ** 16 - 1  # a counter that only warns holds no more either


class QuotaChangedMeanwhile(Conflict):
    code = "quota-changed-meanwhile"
    title = "The quota changed while usage was being recorded."


@dataclass(frozen=True, slots=True)
class Verdict:
    fits: bool
    exceeded: bool  # fits only because the quota warns
    remaining: Decimal
    resets_at: datetime | None


def amount_of(meter: Meter, quantity: Decimal) -> Decimal:
    """What a quota on the meter counts for one event. Credits give nothing back."""
    return Decimal(1) if meter.aggregation == Aggregation.COUNT else max(quantity, Decimal(0))


class Tally:
    """The counters a batch needs, locked; what fits is decided against them, then booked."""

    def __init__(self, quotas: dict[tuple[UUID, UUID], Quota], wanted: Iterable[tuple[UUID, UUID, date]]):
        """`wanted`: entity, meter and billing day of every row under a quota."""
        self._quotas = quotas
        windows = sorted(
            {
                (quota.pk, calendar.window_start(quota.window, day), quota)
                for entity, meter, day in wanted
                if (quota := quotas.get((entity, meter)))
            },
            key=lambda window: window[:2],
        )
        QuotaCounter.objects.bulk_create(
            [
                QuotaCounter(
                    quota=quota,
                    starts_on=starts_on,
                    ceiling=quota.limit_quantity if quota.mode == QuotaMode.BLOCK else None,
                )
                for _, starts_on, quota in windows
            ],
            ignore_conflicts=True,
        )
        self._counters = {
            (counter.quota_id, counter.starts_on): counter
            for counter in QuotaCounter.objects.locked().filter(
                quota__in={quota for quota, _, _ in windows},
                starts_on__in={starts_on for _, starts_on, _ in windows},
            )
        }
        self._taken: dict[int, Decimal] = defaultdict(Decimal)

    def take(self, entity_id: UUID, meter: Meter, day: date, quantity: Decimal) -> Verdict:
        """Take the row's amount if it fits. A later, smaller row may fit where an earlier one did not."""
        quota, counter = self._at(entity_id, meter, day)
        amount = amount_of(meter, quantity)
        used = EXACT.add(counter.used_quantity, self._taken[counter.pk])
        wanted = EXACT.add(used, amount)
        # Nothing needs no room, also where a quota was lowered below what is used.
        fits = amount == 0 or wanted <= (LARGEST if counter.ceiling is None else counter.ceiling)
        if fits:
            self._taken[counter.pk] = EXACT.add(self._taken[counter.pk], amount)
            used = wanted
        return Verdict(
            fits=fits,
            exceeded=counter.ceiling is None and amount > 0 and used > quota.limit_quantity,
            remaining=max(EXACT.subtract(quota.limit_quantity, used), Decimal(0)),
            resets_at=calendar.resets_at(quota.window, counter.starts_on, quota.entity.time_zone),
        )

    def give_back(self, entity_id: UUID, meter: Meter, day: date, quantity: Decimal) -> None:
        """Undo a `take` before it is booked."""
        _, counter = self._at(entity_id, meter, day)
        self._taken[counter.pk] = EXACT.subtract(self._taken[counter.pk], amount_of(meter, quantity))

    def book(self) -> None:
        """Move the counters: all of them, or none."""
        taken = {counter: amount for counter, amount in self._taken.items() if amount}
        if not taken:
            return
        with connection.cursor() as cursor:
            cursor.execute(TAKE, [list(taken), list(taken.values())])
            if cursor.rowcount != len(taken):
                raise QuotaChangedMeanwhile("Nothing was recorded; send the batch again.")

    def _at(self, entity_id: UUID, meter: Meter, day: date) -> tuple[Quota, QuotaCounter]:
        quota = self._quotas[entity_id, meter.pk]
        return quota, self._counters[quota.pk, calendar.window_start(quota.window, day)]
