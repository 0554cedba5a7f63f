"""The statements that store events and tell repeats from conflicts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from django.db import connection

from billing.usage import measuring
from billing.usage.counting import BUCKET, UNIQUE, fingerprint, group_key, rolled_up, uniques
from billing.usage.models import Meter
from billing.usage.reports import UsageReport

COLUMNS = """position integer, id uuid, source text, transaction_id text, entity_id uuid, meter_id uuid,
    department_id uuid, occurred_at timestamptz, billed_on date, quantity numeric(28, 12),
    cost numeric(28, 12), currency text, properties jsonb, subscription_id uuid,
    counts boolean, group_values jsonb"""

NEWER = "(excluded.latest_at, excluded.latest_event_id) > (held.latest_at, held.latest_event_id)"

# One statement, so that an event, its key and its part in the sums come together or not at all. Keys are taken in
# the order of the ids, then roll-ups and values in theirs: batches that cross each other wait, and do not deadlock.
INSERT = f"""
    WITH reported AS MATERIALIZED (
        SELECT r.*, {fingerprint("r")} AS fingerprint, {group_key("r.group_values")} AS group_key
        FROM json_to_recordset(%(rows)s::json) AS r ({COLUMNS})
    ), claimed AS (
        INSERT INTO usage_keys (event_id, source, transaction_id, billed_on, fingerprint)
        SELECT id, source, transaction_id, billed_on, fingerprint FROM reported
        ORDER BY source COLLATE "C", transaction_id COLLATE "C"
        ON CONFLICT (source, transaction_id) DO NOTHING
        RETURNING event_id
    ), stored AS (
        INSERT INTO usage_events (id, created_at, source, transaction_id, entity_id, meter_id, department_id,
            occurred_at, billed_on, quantity, cost, currency, properties, subscription_id, fingerprint, counts,
            group_values, group_key)
        SELECT r.id, %(as_of)s, r.source, r.transaction_id, r.entity_id, r.meter_id, r.department_id,
            r.occurred_at, r.billed_on, r.quantity, r.cost, r.currency, r.properties, r.subscription_id,
            r.fingerprint, r.counts, r.group_values, r.group_key
        FROM reported r JOIN claimed ON claimed.event_id = r.id
        RETURNING *
    ), summed AS (
        INSERT INTO usage_rollups AS held ({BUCKET}, group_values, event_count, quantity, cost, maximum,
            latest_at, latest_event_id, latest_quantity)
        {rolled_up("stored")}
        ON CONFLICT ({BUCKET}) DO UPDATE SET
            event_count = held.event_count + excluded.event_count,
            quantity = held.quantity + excluded.quantity,
            cost = held.cost + excluded.cost,
            maximum = greatest(held.maximum, excluded.maximum),
            latest_at = greatest(held.latest_at, excluded.latest_at),
            latest_event_id = CASE WHEN {NEWER} THEN excluded.latest_event_id ELSE held.latest_event_id END,
            latest_quantity = CASE WHEN {NEWER} THEN excluded.latest_quantity ELSE held.latest_quantity END
    ), seen AS (
        INSERT INTO usage_uniques ({UNIQUE}) {uniques("stored")}
        ON CONFLICT DO NOTHING
    )
    SELECT id FROM stored
"""  # noqa: S608

RECORDED = """
    SELECT k.source, k.transaction_id FROM usage_keys k
    JOIN unnest(%s::text[], %s::text[]) AS r (source, transaction_id) USING (source, transaction_id)
"""

# A repeat that names no day means the day it was given then, whatever the entity's time zone is now.
REPEATED = fingerprint("r", billed_on="coalesce(r.billed_on, k.billed_on)")
COMPARE = f"""
    SELECT r.position, k.event_id, {REPEATED} = k.fingerprint
    FROM json_to_recordset(%s::json) AS r ({COLUMNS})
    JOIN usage_keys k USING (source, transaction_id)
"""  # noqa: S608


@dataclass(slots=True)
class Row:
    """A sound report with what it names resolved."""

    position: int
    report: UsageReport
    meter: Meter
    event_id: UUID
    billed_on: date
    has_quota: bool
    counts: bool
    value: str | None  # what a unique count counts

    @property
    def key(self) -> tuple[str, str]:
        return self.report.source, self.report.transaction_id

    @property
    def entity_id(self) -> UUID:
        return self.report.entity_id


def insert(rows: Sequence[Row], *, as_of: datetime) -> set[UUID]:
    """Store the rows, recorded at `as_of`; the ids of those that were new. Their months have partitions."""
    if not rows:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(INSERT, {"rows": _payload(rows, lambda row: row.billed_on), "as_of": as_of})
        return {event_id for (event_id,) in cursor}


def already_recorded(rows: Sequence[Row]) -> set[tuple[str, str]]:
    """The (source, transaction_id) of those rows that are recorded."""
    if not rows:
        return set()
    sources, transactions = zip(*(row.key for row in rows), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(RECORDED, [list(sources), list(transactions)])
        return set(cursor)


def compare(rows: Sequence[Row]) -> list[tuple[Row, UUID | None]]:
    """Each recorded row with the id of its event if the content is the same, else with None."""
    if not rows:
        return []
    by_position = {row.position: row for row in rows}
    with connection.cursor() as cursor:
        cursor.execute(COMPARE, [_payload(rows, lambda row: row.report.billed_on)])
        return [(by_position[position], event_id if same else None) for position, event_id, same in cursor]


def _payload(rows: Sequence[Row], billed_on) -> str:
    return json.dumps([_plain(row, billed_on(row)) for row in rows])


def _plain(row: Row, billed_on: date | None) -> dict:
    report = row.report
    return {
        "position": row.position,
        "id": str(row.event_id),
        "source": report.source,
        "transaction_id": report.transaction_id,
        "entity_id": str(report.entity_id),
        "meter_id": str(row.meter.pk),
        "department_id": report.department_id and str(report.department_id),
        "occurred_at": report.occurred_at.astimezone(UTC).isoformat(),
        "billed_on": billed_on and billed_on.isoformat(),
        "quantity": str(report.quantity),
        "cost": None if report.cost is None else str(report.cost),
        "currency": report.currency,
        "properties": report.properties,
        "subscription_id": report.subscription_id and str(report.subscription_id),
        "counts": row.counts,
        "group_values": measuring.group_of(row.meter, report.properties) if row.counts else {},
    }
