"""From usage to what will be lines: one statement claims every event due and adds it up.

It is one statement on purpose: an event that arrives while it runs is either claimed and counted
or neither, because both happen in the same snapshot.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.db import connection

from billing.invoicing.drafting.services.usage_quantities import SUMMED, Counted, counted_rows

NOBODY = UUID(int=0)


@dataclass
class ClaimedLine:
    """The events of one line to be: one meter, price and group, of one customer and service period.

    Of a subscription's item, or (`item_id` empty) used without one and billed by calendar month.
    """

    line_id: UUID
    customer_id: UUID
    currency: str
    invoice_key: str
    service_starts_on: date
    service_ends_on: date
    meter_id: UUID
    group_key: str
    group_values: dict
    price_id: UUID | None
    item_id: UUID | None
    subscription_id: UUID | None
    is_trial: bool
    product_id: UUID
    product_code: str
    product_name: str
    gl_code: str
    tax_category: str
    is_goods: bool
    unit: str
    counted: Counted

    @property
    def bucket(self) -> tuple:
        """What is rated together, whichever invoice it is on."""
        return (
            self.customer_id,
            self.currency,
            self.meter_id,
            self.group_key,
            self.price_id,
            self.item_id,
            self.service_starts_on,
        )


# An event is the subscription's that it names, else that of the subscription that started first among those
# whose usage item covers its day. A cost in another currency than the subscription's cannot be rated there.
#
# Of the others: an event's month may already have its invoice. It then falls to the next month that has none
# (late events are adjusted on the next invoice), and waits if that month is not over yet.
_CLAIM = f"""
WITH candidate AS MATERIALIZED (
    SELECT e.id, e.entity_id, e.department_id, e.quantity, e.cost, e.billed_on, e.occurred_at, e.group_key,
           e.group_values, e.properties ->> nullif(m.counted_property, '') AS value,
           e.currency AS cost_currency, c.currency AS own_currency,
           coalesce(e.subscription_id, %(nobody)s) AS named,
           CASE m.late_policy WHEN 'adjust_next' THEN (e.created_at AT TIME ZONE c.time_zone)::date END AS recorded_on,
           m.id AS meter_id, m.aggregation, m.product_id
    FROM usage_events e
    JOIN meters m ON m.id = e.meter_id
    JOIN billing_entities c ON c.id = e.entity_id
    WHERE m.entity_id = %(seller)s AND e.entity_id = ANY(%(customers)s) AND e.counts
      AND e.billed_on < CASE WHEN e.entity_id IN (SELECT entity_id FROM subscriptions WHERE seller_id = %(seller)s)
                        THEN %(as_of)s::date ELSE %(cutoff)s::date END
      AND NOT EXISTS (SELECT FROM usage_claims k WHERE k.event_id = e.id AND k.released_at IS NULL)
), day AS MATERIALIZED (
    SELECT DISTINCT entity_id, product_id, named, cost_currency, own_currency, billed_on FROM candidate
), placed AS MATERIALIZED (
    SELECT day.*, coalesce(s.currency, nullif(cost_currency, ''), own_currency) AS currency,
           s.subscription_id, s.item_id, s.department_id AS subscribing_department_id,
           p.ends_on AS due_on, coalesce(p.is_trial, false) AS is_trial,
           CASE WHEN s.item_id IS NULL THEN date_trunc('month', billed_on)::date
                ELSE greatest(s.starts_on, p.starts_on) END AS starts_on,
           CASE WHEN s.item_id IS NULL THEN (date_trunc('month', billed_on) + interval '1 month')::date
                ELSE least(s.ends_on, p.ends_on) END AS ends_on,
           coalesce(s.price_id, list.id) AS price_id
    FROM day
    LEFT JOIN LATERAL (
        SELECT b.id AS subscription_id, b.currency, b.department_id, i.id AS item_id, i.price_id, i.starts_on, i.ends_on
        FROM subscriptions b JOIN subscription_items i ON i.subscription_id = b.id
        WHERE b.entity_id = day.entity_id AND b.seller_id = %(seller)s AND day.named IN (%(nobody)s, b.id)
          AND i.basis = 'usage' AND i.product_id = day.product_id AND day.cost_currency IN ('', b.currency)
          AND i.starts_on <= day.billed_on AND (i.ends_on IS NULL OR day.billed_on < i.ends_on)
        ORDER BY b.starts_on, b.id LIMIT 1
    ) s ON true
    LEFT JOIN subscription_periods p ON p.subscription_id = s.subscription_id AND p.is_closed
          AND p.starts_on <= day.billed_on AND day.billed_on < p.ends_on
    LEFT JOIN LATERAL (
        SELECT id FROM prices
        WHERE s.item_id IS NULL AND product_id = day.product_id AND plan_id IS NULL
          AND currency = coalesce(nullif(day.cost_currency, ''), day.own_currency) AND starts_on <= day.billed_on
        ORDER BY starts_on DESC LIMIT 1
    ) list ON true
), used AS MATERIALIZED (
    SELECT candidate.*, placed.currency, placed.subscription_id, placed.item_id, placed.subscribing_department_id,
           placed.due_on, placed.is_trial, placed.starts_on, placed.ends_on, placed.price_id,
           greatest(placed.starts_on, date_trunc('month', recorded_on)::date) AS first_month
    FROM candidate JOIN placed USING (entity_id, product_id, named, cost_currency, own_currency, billed_on)
), month AS MATERIALIZED (
    SELECT seen.*, (
        SELECT min(free)::date
        FROM generate_series(seen.first_month::timestamp, %(cutoff)s::date - interval '1 month', interval '1 month') free
        WHERE NOT EXISTS (
            SELECT FROM invoices i
            WHERE i.seller_id = %(seller)s AND i.customer_id = seen.entity_id AND i.currency = seen.currency
              AND i.billing_key = 'usage:' || to_char(free, 'YYYY-MM-DD') AND i.state NOT IN ('draft', 'void')
        )
    ) AS billed_month
    FROM (SELECT DISTINCT entity_id, currency, first_month FROM used WHERE item_id IS NULL) seen
), due AS MATERIALIZED (
    SELECT used.*, 'usage:' || to_char(month.billed_month, 'YYYY-MM-DD') AS invoice_key
    FROM used JOIN month USING (entity_id, currency, first_month)
    WHERE used.item_id IS NULL AND month.billed_month IS NOT NULL
    UNION ALL
    SELECT used.*, 'subscriptions' FROM used
    LEFT JOIN subscription_periods r ON r.subscription_id = used.subscription_id
         AND r.starts_on <= used.recorded_on AND used.recorded_on < r.ends_on
    WHERE used.item_id IS NOT NULL AND used.due_on IS NOT NULL
      AND CASE WHEN used.recorded_on >= used.due_on THEN coalesce(r.ends_on, used.recorded_on + 1)
          ELSE used.due_on END <= %(as_of)s::date
), keyed AS MATERIALIZED (
    SELECT due.*, coalesce(price_id, %(nobody)s) AS price_key, coalesce(item_id, %(nobody)s) AS item_key FROM due
), line AS MATERIALIZED (
    SELECT gen_random_uuid() AS id, entity_id, currency, invoice_key, starts_on, ends_on, meter_id, group_key,
           price_key, item_key, price_id, item_id, subscription_id, is_trial, min(group_values::text)::jsonb AS group_values
    FROM keyed
    GROUP BY entity_id, currency, invoice_key, starts_on, ends_on, meter_id, group_key, price_key, item_key,
             price_id, item_id, subscription_id, is_trial
), counted AS MATERIALIZED (
    SELECT line.id AS line_id, coalesce(keyed.department_id, keyed.subscribing_department_id) AS department_id,
           keyed.id, keyed.occurred_at, keyed.quantity, keyed.cost, keyed.value, keyed.aggregation
    FROM keyed JOIN line USING (entity_id, currency, invoice_key, starts_on, ends_on, meter_id, group_key, price_key, item_key)
), claimed AS (
    INSERT INTO usage_claims (event_id, line_id) SELECT id, line_id FROM counted
)
{SUMMED}, position AS MATERIALIZED (
    -- Both sides always meet. A full join cannot loop: the planner expects a few lines, and for each row of `summed`
    -- would go through all the thousands there are.
    SELECT line.*, summed.* FROM summed FULL JOIN line ON line.id = summed.line_id
)
SELECT o.id, o.entity_id, o.currency, o.invoice_key, o.starts_on, o.ends_on, o.meter_id,
       o.group_key, o.group_values, o.price_id, o.item_id, o.subscription_id, o.is_trial,
       x.id, x.code, x.name, x.gl_code, x.tax_category, x.is_goods, m.unit,
       o.line_id, o.aggregation, o.latest, o.uniques, o.department_id, o.events, o.summed, o.highest, o.cost
FROM position o
JOIN meters m ON m.id = o.meter_id
JOIN products x ON x.id = m.product_id
LEFT JOIN prices p ON p.id = o.price_id
ORDER BY o.entity_id, o.currency, o.invoice_key, o.subscription_id, o.starts_on, x.code, m.code,
         p.starts_on, o.group_values::text, o.id, o.department_id NULLS FIRST
"""  # noqa: S608
OF_THE_LINE = 20  # columns before those of `summed`


def claim_usage(*, seller_id: UUID, customer_ids: Sequence[UUID], as_of: date) -> list[ClaimedLine]:
    """Claim every unclaimed event that is due by `as_of`, counted into lines.

    Due is what was used in a month before that of `as_of`, and what was used in a subscription's period that
    is closed. The lines do not exist yet; whoever calls writes them in the same transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {
                "seller": seller_id,
                "customers": list(customer_ids),
                "as_of": as_of,
                "cutoff": as_of.replace(day=1),
                "nobody": NOBODY,
            },
        )
        rows = cursor.fetchall()
    return list(_lines(rows))


def _lines(rows: list[tuple]) -> Iterator[ClaimedLine]:
    for _, group in groupby(rows, key=lambda row: row[0]):
        parts = list(group)
        [(_, counted)] = counted_rows([row[OF_THE_LINE:] for row in parts])
        line = ClaimedLine(*parts[0][:OF_THE_LINE], counted=counted)
        line.group_values = json.loads(line.group_values)
        yield line


def release_usage(line_ids: Sequence[UUID]) -> None:
    """Let go of what was claimed for lines that will not be written."""
    if line_ids:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM usage_claims WHERE line_id = ANY(%s)", [list(line_ids)])


@dataclass(frozen=True)
class Billed:
    """Earlier lines of the same bucket on issued invoices, and what they came to, unrounded."""

    line_ids: tuple[UUID, ...] = ()
    exact: Decimal = Decimal(0)


# Lines from before buckets were noted name no meter: their events do.
_BILLED = """
SELECT w.line_id, array_agg(l.id ORDER BY l.id), sum((l.derivation ->> 'exact')::numeric)
FROM unnest(%(lines)s::uuid[], %(customers)s::uuid[], %(currencies)s::text[], %(starts)s::date[], %(meters)s::uuid[],
            %(groups)s::text[], %(prices)s::uuid[], %(items)s::text[])
     AS w (line_id, customer_id, currency, starts_on, meter_id, group_key, price_id, item_id)
JOIN invoices i ON i.customer_id = w.customer_id AND i.seller_id = %(seller)s AND i.currency = w.currency
     AND i.state NOT IN ('draft', 'void')
JOIN invoice_lines l ON l.invoice_id = i.id AND l.service_starts_on = w.starts_on
WHERE l.derivation ->> 'from' = 'usage' AND l.derivation ->> 'price' = w.price_id::text
  AND coalesce(l.derivation ->> 'group_key', '') = w.group_key AND coalesce(l.derivation ->> 'item', '') = w.item_id
  AND coalesce(l.derivation ->> 'meter', (
          SELECT e.meter_id::text FROM usage_claims k JOIN usage_keys y ON y.event_id = k.event_id
          JOIN usage_events e ON e.id = y.event_id AND e.billed_on = y.billed_on WHERE k.line_id = l.id LIMIT 1
      )) = w.meter_id::text
GROUP BY w.line_id
"""


def billed_before(*, seller_id: UUID, lines: Sequence[ClaimedLine]) -> dict[UUID, Billed]:
    """For each line what is already billed of its bucket; nothing for most. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            _BILLED,
            {
                "seller": seller_id,
                "lines": [line.line_id for line in lines],
                "customers": [line.customer_id for line in lines],
                "currencies": [line.currency for line in lines],
                "starts": [line.service_starts_on for line in lines],
                "meters": [line.meter_id for line in lines],
                "groups": [line.group_key for line in lines],
                "prices": [line.price_id for line in lines],
                "items": [str(line.item_id or "") for line in lines],
            },
        )
        return {line_id: Billed(tuple(ids), exact) for line_id, ids, exact in cursor.fetchall()}
