"""What events come to under their meter's aggregation, per line and department.

Both statements that count (claiming new events, and counting billed ones again) end in the same text, so
that what is recomputed is what was billed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.db import connection

from billing.kernel.money import total_of
from billing.subscriptions.models import PriceModel
from billing.usage.models import Aggregation

NOTHING = Decimal(0)
BY_COUNT = frozenset({Aggregation.COUNT, Aggregation.UNIQUE_COUNT})


@dataclass(frozen=True)
class Part:
    """One department's events on a line."""

    department_id: UUID | None
    events: int
    summed: Decimal
    highest: Decimal
    cost: Decimal | None


@dataclass
class Counted:
    """The events of one line (or several), added up: `latest` and `distinct` only where the meter asks."""

    aggregation: str
    latest: Decimal | None = None
    distinct: int = 0
    parts: list[Part] = field(default_factory=list)

    @property
    def events(self) -> int:
        return sum(part.events for part in self.parts)

    @property
    def quantity(self) -> Decimal:
        """By the meter's aggregation, in its unit."""
        match Aggregation(self.aggregation):
            case Aggregation.COUNT:
                return Decimal(self.events)
            case Aggregation.MAX:
                return max((part.highest for part in self.parts), default=NOTHING)
            case Aggregation.LATEST:
                return self.latest or NOTHING
            case Aggregation.UNIQUE_COUNT:
                return Decimal(self.distinct)
        return total_of([part.summed for part in self.parts])

    def rated(self, model: str) -> Decimal:
        """What the price is applied to: the quantity, or the cost where that is passed through."""
        if model == PriceModel.PASS_THROUGH:
            return total_of([part.cost or NOTHING for part in self.parts])
        return self.quantity

    def quantity_of(self, part: Part) -> Decimal:
        """A department's own: its number of events where events are counted, else what it used in sum."""
        return Decimal(part.events) if self.aggregation in BY_COUNT else part.summed


# The end of a statement that has `counted` (line_id, department_id, id, occurred_at, quantity, cost, value,
# aggregation): a row per line and department.
SUMMED = """, latest AS (
    SELECT DISTINCT ON (line_id) line_id, quantity FROM counted WHERE aggregation = 'latest'
    ORDER BY line_id, occurred_at DESC, id DESC
), uniques AS (
    SELECT line_id, count(DISTINCT value) AS number FROM counted WHERE aggregation = 'unique_count' GROUP BY line_id
), part AS (
    SELECT line_id, department_id, aggregation, count(*) AS events, sum(quantity) AS summed,
           max(quantity) AS highest, sum(cost) AS cost
    FROM counted GROUP BY line_id, department_id, aggregation
), summed AS (
    SELECT part.line_id, part.aggregation, latest.quantity AS latest, coalesce(uniques.number, 0) AS uniques,
           part.department_id, part.events, part.summed, part.highest, part.cost
    FROM part LEFT JOIN latest USING (line_id) LEFT JOIN uniques USING (line_id)
)
"""

_OF_LINES = f"""
WITH counted AS MATERIALIZED (
    SELECT g.number AS line_id, NULL::uuid AS department_id, e.id, e.occurred_at, e.quantity, e.cost,
           e.properties ->> nullif(m.counted_property, '') AS value, m.aggregation
    FROM unnest(%(groups)s::integer[], %(lines)s::uuid[]) AS g (number, line_id)
    JOIN usage_claims k ON k.line_id = g.line_id
    JOIN usage_keys y ON y.event_id = k.event_id
    JOIN usage_events e ON e.id = y.event_id AND e.billed_on = y.billed_on
    JOIN meters m ON m.id = e.meter_id
)
{SUMMED}
SELECT * FROM summed ORDER BY line_id
"""  # noqa: S608


def counted_in(groups: Sequence[Iterable[UUID]]) -> list[Counted | None]:
    """What the events billed by each group of lines come to together, in their order. One statement.

    Every claim of a line counts, also one released since: a line's events are those it was made of.
    """
    numbers, lines = [], []
    for number, group in enumerate(groups):
        for line_id in group:
            numbers.append(number)
            lines.append(line_id)
    if not lines:
        return [None] * len(groups)
    with connection.cursor() as cursor:
        cursor.execute(_OF_LINES, {"groups": numbers, "lines": lines})
        found: Mapping[int, Counted] = dict(counted_rows(cursor.fetchall()))
    return [found.get(number) for number in range(len(groups))]


def counted_rows(rows: Sequence[tuple]) -> Iterable[tuple[object, Counted]]:
    """Rows of `summed`, those of one line together, as (line, what it counts)."""
    for line, group in groupby(rows, key=lambda row: row[0]):
        parts = list(group)
        _, aggregation, latest, distinct, *_ = parts[0]
        counted = Counted(aggregation, latest, distinct)
        for *_, department_id, events, summed, highest, cost in parts:
            counted.parts.append(Part(department_id, events, summed, highest, cost))
        yield line, counted
