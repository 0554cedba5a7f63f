"""How many seats were in use, from the assignments themselves; so a charge can be counted again years later."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import connection

# A span is what one set of terms granted inside one wanted period, as instants: days begin at midnight in the
# entity's own time zone. Within a span, +1 where a seat is taken (or was held before) and -1 where it is given
# back, summed in the order of time; what happens at one instant counts together, as rows of one RANGE frame do.
_PEAKS = """
    WITH wanted AS (
        SELECT * FROM unnest(%(subjects)s::uuid[], %(starts)s::date[], %(ends)s::date[])
                      AS w (subject, starts_on, ends_on)
    ), granted AS (
        SELECT license_id, subscription_id, number, included_seats, starts_on,
               least(lead(starts_on) OVER (PARTITION BY license_id ORDER BY number), ends_on) AS ends_on
        FROM license_terms
        WHERE license_id IN (SELECT license_id FROM license_terms WHERE {column} = ANY (%(subjects)s::uuid[]))
    ), spans AS (
        SELECT wanted.subject, granted.license_id, granted.number, granted.included_seats,
               greatest(wanted.starts_on, granted.starts_on)::timestamp AT TIME ZONE entity.time_zone AS from_at,
               least(wanted.ends_on, granted.ends_on)::timestamp AT TIME ZONE entity.time_zone AS until_at
        FROM wanted
        JOIN granted ON granted.{column} = wanted.subject
        JOIN licenses license ON license.id = granted.license_id
        JOIN billing_entities entity ON entity.id = license.entity_id
        WHERE greatest(wanted.starts_on, granted.starts_on) < least(wanted.ends_on, granted.ends_on)
    ), counted AS (
        SELECT span.subject, span.license_id,
               sum(step.change) OVER (PARTITION BY span.license_id, span.number, span.subject ORDER BY step.at)
                   AS seats
        FROM spans span
        JOIN license_assignments seat
          ON seat.license_id = span.license_id
         AND seat.assigned_at < span.until_at
         AND (seat.released_at IS NULL OR seat.released_at > span.from_at)
        CROSS JOIN LATERAL (
            VALUES (greatest(seat.assigned_at, span.from_at), 1), (seat.released_at, -1)
        ) AS step (at, change)
        WHERE step.at < span.until_at
    ), peaks AS (
        SELECT subject, license_id, max(seats) AS seats FROM counted GROUP BY subject, license_id
    )
    SELECT subject, license_id, max(included_seats), coalesce(max(peaks.seats), 0)::int
    FROM spans LEFT JOIN peaks USING (subject, license_id)
    GROUP BY subject, license_id
"""


def peak_seats(license_ids: Iterable[UUID], starts_on: date, ends_on: date) -> dict[UUID, int]:
    """The most seats of each licence in use at any moment of the days [starts_on, ends_on).

    Days are those of the entity's own time zone. A seat is in use from its assignment up to its release, and
    only while the licence was valid. One query for any number of licences; each id given is in the answer.
    """
    ids = list(dict.fromkeys(license_ids))
    peaks = dict.fromkeys(ids, 0)
    for _, license_id, _, peak in _rows("license_id", dict.fromkeys(ids, (starts_on, ends_on))):
        peaks[license_id] = peak
    return peaks


def seats_to_true_up(periods: Mapping[UUID, tuple[date, date]]) -> dict[UUID, Decimal]:
    """Seats used beyond those included, for each subscription in its own half-open period of days.

    The sum over its licences of max(0, peak - included), where the peak is as in `peak_seats` and included the
    highest number of included seats in force in the period. What a licence used while another subscription
    paid for it is left to that one. One query for any number of subscriptions; each id given is in the answer.
    """
    beyond = dict.fromkeys(periods, Decimal(0))
    for subscription_id, _, included, peak in _rows("subscription_id", periods):
        beyond[subscription_id] += max(0, peak - included)
    return beyond


def _rows(column: str, periods: Mapping[UUID, tuple[date, date]]) -> list[tuple[UUID, UUID, int, int]]:
    if not periods:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _PEAKS.format(column=column),
            {
                "subjects": list(periods),
                "starts": [starts_on for starts_on, _ in periods.values()],
                "ends": [ends_on for _, ends_on in periods.values()],
            },
        )
        return cursor.fetchall()
