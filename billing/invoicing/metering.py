"""From usage to what will be lines: one statement claims every event due and adds it up.

It is one statement on purpose: an event that arrives while it runs is either claimed and counted
or neither, because both happen in the same snapshot.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.db import connection

from billing.kernel.money import EXACT, total_of
from billing.subscriptions.models import PriceModel


@dataclass(frozen=True)
class Share:
    """One department's part of a line, before rounding."""

    department_id: UUID | None
    quantity: Decimal
    cost: Decimal | None


@dataclass
class RatedLine:
    """A line in the making: one product and meter, at one price, of one customer, month and currency."""

    line_id: UUID
    customer_id: UUID
    currency: str
    billed_month: date  # the period whose invoice it is on
    service_month: date  # the month it was used in: earlier for late events
    product_id: UUID
    product_code: str
    product_name: str
    product_gl_code: str
    tax_category: str
    unit: str
    price_id: UUID | None
    model: str | None
    unit_price: Decimal | None
    markup_percent: Decimal | None
    event_count: int = 0
    shares: list[Share] = field(default_factory=list)

    @property
    def quantity(self) -> Decimal:
        return total_of([share.quantity for share in self.shares])

    def exact_of(self, share: Share) -> Decimal:
        """A share's amount, exactly: quantity × unit price, or cost × (100 + mark-up) / 100."""
        if self.model == PriceModel.PASS_THROUGH:
            marked_up = EXACT.multiply(share.cost or Decimal(0), EXACT.add(Decimal(100), self.markup_percent))
            return marked_up.scaleb(-2, context=EXACT)
        return EXACT.multiply(share.quantity, self.unit_price)

    @property
    def exact_amounts(self) -> list[Decimal]:
        return [self.exact_of(share) for share in self.shares]

    @property
    def exact(self) -> Decimal:
        return total_of(self.exact_amounts)


# An event's month may already have its invoice: it then falls to the next month that has none (late
# events are adjusted on the next invoice), and waits if that month is not over yet.
_CLAIM = """
WITH candidate AS MATERIALIZED (
    SELECT e.id, e.entity_id, e.department_id, e.quantity, e.cost, e.billed_on,
           date_trunc('month', e.billed_on)::date AS service_month,
           coalesce(nullif(e.currency, ''), c.currency) AS currency,
           m.id AS meter_id, m.aggregation, m.product_id
    FROM usage_events e
    JOIN meters m ON m.id = e.meter_id
    JOIN billing_entities c ON c.id = e.entity_id
    WHERE m.entity_id = %(seller)s AND e.entity_id = ANY(%(customers)s) AND e.billed_on < %(cutoff)s
      AND NOT EXISTS (SELECT FROM usage_claims k WHERE k.event_id = e.id AND k.released_at IS NULL)
), month AS MATERIALIZED (
    SELECT seen.*, (
        SELECT min(free)::date
        FROM generate_series(seen.service_month::timestamp, %(cutoff)s::date - interval '1 month', interval '1 month') free
        WHERE NOT EXISTS (
            SELECT FROM invoices i
            WHERE i.seller_id = %(seller)s AND i.customer_id = seen.entity_id AND i.currency = seen.currency
              AND i.billing_key = 'usage:' || to_char(free, 'YYYY-MM-DD') AND i.state NOT IN ('draft', 'void')
        )
    ) AS billed_month
    FROM (SELECT DISTINCT entity_id, currency, service_month FROM candidate) seen
), due AS MATERIALIZED (
    SELECT d.*, month.billed_month, p.id AS price_id
    FROM candidate d
    JOIN month USING (entity_id, currency, service_month)
    LEFT JOIN LATERAL (
        SELECT id FROM prices
        WHERE product_id = d.product_id AND plan_id IS NULL AND currency = d.currency AND starts_on <= d.billed_on
        ORDER BY starts_on DESC LIMIT 1
    ) p ON true
    WHERE month.billed_month IS NOT NULL
), line AS MATERIALIZED (
    SELECT gen_random_uuid() AS id, entity_id, currency, billed_month, service_month, meter_id, price_id
    FROM due GROUP BY entity_id, currency, billed_month, service_month, meter_id, price_id
), owned AS MATERIALIZED (
    SELECT due.*, line.id AS line_id
    FROM due JOIN line USING (entity_id, currency, billed_month, service_month, meter_id)
    WHERE due.price_id IS NOT DISTINCT FROM line.price_id
), claimed AS (
    INSERT INTO usage_claims (event_id, line_id) SELECT id, line_id FROM owned
)
SELECT o.line_id, o.entity_id, o.currency, o.billed_month, o.service_month, x.id, x.code, x.name, x.gl_code,
       x.tax_category, m.unit, p.id, p.model, p.unit_price, p.markup_percent, o.department_id,
       CASE m.aggregation WHEN 'count' THEN count(*) ELSE sum(o.quantity) END, sum(o.cost), count(*)
FROM owned o
JOIN meters m ON m.id = o.meter_id
JOIN products x ON x.id = m.product_id
LEFT JOIN prices p ON p.id = o.price_id
GROUP BY o.line_id, o.entity_id, o.currency, o.billed_month, o.service_month, x.id, m.id, p.id, o.department_id
ORDER BY o.entity_id, o.currency, o.billed_month, o.service_month, x.code, m.code, p.starts_on, o.line_id, o.department_id NULLS FIRST
"""


def claim_usage(*, seller_id: UUID, customer_ids: Sequence[UUID], cutoff: date) -> list[RatedLine]:
    """Claim every unclaimed event used before `cutoff` (the first day of a month), summed into lines.

    The lines do not exist yet; whoever calls writes them in the same transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"seller": seller_id, "customers": list(customer_ids), "cutoff": cutoff})
        rows = cursor.fetchall()
    return list(_lines(rows))


def _lines(rows: list[tuple]) -> Iterator[RatedLine]:
    for _, group in groupby(rows, key=lambda row: row[0]):
        parts = list(group)
        line = RatedLine(*parts[0][:15])
        for *_, department_id, quantity, cost, events in parts:
            line.event_count += events
            line.shares.append(Share(department_id, Decimal(quantity), cost))
        yield line
