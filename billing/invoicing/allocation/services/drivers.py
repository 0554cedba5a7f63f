"""What costs are divided by: units used, seats held and people, by department. Read for a batch at once."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection

from billing.entities.models import Department
from billing.invoicing.allocation.core.rules import Driver

_USED = """
    SELECT k.number, r.department_id, sum(r.quantity)
    FROM unnest(%s::int[], %s::uuid[], %s::uuid[], %s::date[], %s::date[])
         AS k (number, entity_id, meter_id, starts_on, ends_on)
    JOIN usage_rollups r ON r.entity_id = k.entity_id AND r.meter_id = k.meter_id
     AND r.billed_on >= k.starts_on AND r.billed_on < k.ends_on
    WHERE r.department_id IS NOT NULL GROUP BY 1, 2
"""
# A seat is the department's for which its licence is subscribed, if anybody held it in the period (days of UTC).
_HELD = """
    SELECT k.number, s.department_id, count(*)
    FROM unnest(%s::int[], %s::uuid[], %s::date[], %s::date[]) AS k (number, entity_id, starts_on, ends_on)
    JOIN licenses l ON l.entity_id = k.entity_id
    JOIN subscriptions s ON s.id = l.subscription_id
    JOIN license_assignments a ON a.license_id = l.id
     AND a.assigned_at < k.ends_on::timestamp AT TIME ZONE 'UTC'
     AND (a.released_at IS NULL OR a.released_at > k.starts_on::timestamp AT TIME ZONE 'UTC')
    WHERE s.department_id IS NOT NULL GROUP BY 1, 2
"""


@dataclass(frozen=True)
class Need:
    """A driver of a customer's departments over a service period, half-open."""

    driver: Driver
    customer_id: UUID
    meter_id: UUID | None
    starts_on: date
    ends_on: date


def weights_for(
    needs: Iterable[Need], departments: Mapping[UUID, Collection[Department]]
) -> dict[Need, dict[UUID, Decimal]]:
    """The weight of each of the customer's `departments`, by their customer, in three queries at most.

    What was used or is held by a department that is not among them counts for nobody, nor does a sum below zero.
    """
    wanted = sorted(set(needs), key=str)
    found = {need: dict[UUID, Decimal]() for need in wanted}
    _count(found, [need for need in wanted if need.driver == Driver.USAGE], _USED, _of_usage)
    _count(found, [need for need in wanted if need.driver == Driver.SEATS], _HELD, _of_seats)
    for need in wanted:
        eligible = {
            department.pk: Decimal(department.headcount)
            for department in departments.get(need.customer_id, ())
            if in_force(department, need.starts_on)
        }
        if need.driver == Driver.HEADCOUNT:
            found[need] = eligible
        else:
            found[need] = {pk: weight for pk, weight in found[need].items() if pk in eligible and weight > 0}
    return found


def in_force(department: Department, day: date) -> bool:
    return department.starts_on <= day and (department.ends_on is None or day < department.ends_on)


def _count(found: dict, needs: list[Need], sql: str, columns) -> None:
    if not needs:
        return
    counted = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(range(len(needs))), *columns(needs)])
        for number, department_id, weight in cursor.fetchall():
            counted[number][department_id] = Decimal(weight)
    for number, need in enumerate(needs):
        found[need] = counted[number]


def _of_usage(needs: list[Need]) -> list[list]:
    return [
        [need.customer_id for need in needs],
        [need.meter_id for need in needs],
        [need.starts_on for need in needs],
        [need.ends_on for need in needs],
    ]


def _of_seats(needs: list[Need]) -> list[list]:
    customers, _, starts, ends = _of_usage(needs)
    return [customers, starts, ends]
