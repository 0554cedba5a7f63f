"""The usage of a period, read from the roll-ups: never from the events, however many there are.

Each aggregation is exact over any period, because roll-ups are by day: sums and counts add up, the highest is the
highest of the days, the latest that of the last day that has one. A unique count is counted from the values seen
on each day, of which a value counts once.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import models
from django.db.models import Aggregate, Count, DateField, F, Max, QuerySet, Sum, Value
from django.db.models.functions import TruncMonth

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.reach import visible
from billing.usage.calendar import window_end
from billing.usage.errors import UsageTooDetailed
from billing.usage.models import Aggregation, UsageRollup, UsageUnique

ROWS_MAX = 10_000


class Granularity(models.TextChoices):
    TOTAL = "total"
    DAY = "day"
    MONTH = "month"


class _Newest(Aggregate):
    template = (
        '(array_agg(%(expressions)s ORDER BY "usage_rollups"."latest_at" DESC,'
        ' "usage_rollups"."latest_event_id" DESC))[1]'
    )


QUANTITY: dict[str, Callable[[dict, int], Decimal]] = {
    Aggregation.SUM: lambda row, unique: row["total_quantity"],
    Aggregation.COUNT: lambda row, unique: Decimal(row["events"]),
    Aggregation.MAX: lambda row, unique: row["highest"],
    Aggregation.LATEST: lambda row, unique: row["newest"],
    Aggregation.UNIQUE_COUNT: lambda row, unique: Decimal(unique),
}


def usage_totals(
    user: User,
    *,
    entity: BillingEntity,
    starts_on: date,
    ends_on: date,
    meter_id: UUID | None = None,
    granularity: str = Granularity.TOTAL,
    by_group: bool = False,
) -> list[dict]:
    """What was used of each meter in [starts_on, ends_on), by currency of the cost, bucket and perhaps group.

    Without `by_group` a maximum or a latest level is that of all groups together. `user` sees the departments
    within reach. Raises UsageTooDetailed above ROWS_MAX rows. Two statements, or three where something is
    counted by its values.
    """
    keys = ["meter_id", "currency", "bucket", *(["group_key"] if by_group else [])]

    def seen(model: type[models.Model]) -> QuerySet:
        rows = model.objects.filter(entity=entity, billed_on__gte=starts_on, billed_on__lt=ends_on)
        if meter_id:
            rows = rows.filter(meter_id=meter_id)
        mine = visible(rows, user=user, permission="usage.view_usageevent", department="department")
        return mine.annotate(bucket=_bucket(granularity, starts_on))

    named = [
        *keys,
        "meter__code",
        "meter__unit",
        "meter__aggregation",
        *(["group_values"] if by_group else []),
    ]
    summed = list(
        seen(UsageRollup)
        .values(*named)
        .annotate(
            events=Sum("event_count"),
            total_quantity=Sum("quantity"),
            total_cost=Sum("cost"),
            highest=Max("maximum"),
            newest=_Newest("latest_quantity"),
        )
        .order_by("meter__code", *keys)[: ROWS_MAX + 1]
    )
    if len(summed) > ROWS_MAX:
        raise UsageTooDetailed(f"More than {ROWS_MAX} rows.", maximum=ROWS_MAX)
    unique: dict[tuple, int] = {}
    if any(row["meter__aggregation"] == Aggregation.UNIQUE_COUNT for row in summed):
        counted = seen(UsageUnique).values(*keys).annotate(values_seen=Count("value", distinct=True))
        unique = {tuple(row[key] for key in keys): row["values_seen"] for row in counted.order_by()}
    return [
        {
            "meter": row["meter_id"],
            "code": row["meter__code"],
            "unit": row["meter__unit"],
            "aggregation": row["meter__aggregation"],
            "starts_on": max(row["bucket"], starts_on),
            "ends_on": _end_of(row["bucket"], granularity, ends_on),
            "group": row.get("group_values", {}),
            "event_count": row["events"],
            "quantity": QUANTITY[row["meter__aggregation"]](
                row, unique.get(tuple(row[key] for key in keys), 0)
            ),
            "cost": row["total_cost"],
            "currency": row["currency"],
        }
        for row in summed
    ]


def _bucket(granularity: str, starts_on: date):
    if granularity == Granularity.DAY:
        return F("billed_on")
    if granularity == Granularity.MONTH:
        return TruncMonth("billed_on")
    return Value(starts_on, output_field=DateField())


def _end_of(bucket: date, granularity: str, ends_on: date) -> date:
    if granularity == Granularity.TOTAL:
        return ends_on
    return min(window_end(granularity, bucket), ends_on)
