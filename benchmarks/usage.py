"""Recording usage through the service, against the same rows by plain SQL.

Both sides write the same rows into the same table with the same constraints and triggers, in as many transactions.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from django.db import connection, transaction

from billing.entities.models import BillingEntity, Department
from billing.entities.states import EntityState
from billing.kernel.ids import uuid7
from billing.subscriptions.models import Product
from billing.usage import queries, services
from billing.usage.models import Meter, Quota, QuotaCounter
from billing.usage.reports import UsageReport

NOON = datetime(2026, 3, 15, 12, tzinfo=UTC)
BATCH = services.BATCH_MAX
PLAIN = """
    WITH reported AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%s::json) AS r (id uuid, source text, transaction_id text, entity_id uuid,
            meter_id uuid, occurred_at timestamptz, billed_on date, quantity numeric, fingerprint text)
    ), claimed AS (
        INSERT INTO usage_keys (event_id, source, transaction_id, billed_on, fingerprint)
        SELECT id, source, transaction_id, billed_on, fingerprint FROM reported
        ON CONFLICT (source, transaction_id) DO NOTHING RETURNING event_id
    )
    INSERT INTO usage_events (id, source, transaction_id, entity_id, meter_id, occurred_at, billed_on,
        quantity, currency, properties, fingerprint)
    SELECT r.id, r.source, r.transaction_id, r.entity_id, r.meter_id, r.occurred_at, r.billed_on,
        r.quantity, '', '{}', r.fingerprint
    FROM reported r JOIN claimed ON claimed.event_id = r.id
"""

# Of a year, a twelfth in each month, as other customers would have reported them.
FILL = """
    WITH fresh AS MATERIALIZED (
        SELECT gen_random_uuid() AS id, 'bench-' || %(meter)s AS source, 't-' || n AS transaction_id,
            (DATE '2025-04-01' + n %% 365) AS billed_on FROM generate_series(1, %(count)s) n
    ), keys AS (
        INSERT INTO usage_keys (event_id, source, transaction_id, billed_on, fingerprint)
        SELECT id, source, transaction_id, billed_on, '' FROM fresh
    )
    INSERT INTO usage_events (id, source, transaction_id, entity_id, meter_id, occurred_at, billed_on,
        quantity, currency, properties, fingerprint)
    SELECT id, source, transaction_id, %(customer)s, %(meter)s, billed_on, billed_on, 1, '', '{}', '' FROM fresh
"""


def run(size: int = 100) -> list[dict]:
    """50 × `size` events in batches of up to 10,000, a tenth of them repeats; then some one by one under a quota;
    then a batch into 500 × `size` events of a year."""
    services.make_usage_partitions(as_of=NOON.date())
    customer, meter = _customer_and_meter()
    filled = size * 500
    size, singles = size * 50, max(size // 4, 50)
    bulk = [
        _compared(f"record_usage, batches of {BATCH}", size, _plain_batches, _our_batches, customer, meter)
    ]
    quota = services.set_quota(
        actor="benchmark", entity_id=customer.pk, meter_id=meter.pk, limit_quantity=Decimal(10) ** 9
    )
    services.record_usage(actor="benchmark", events=_reports(1, customer, meter), as_of=NOON)
    return [
        *bulk,
        _compared(
            f"record_usage under a quota, batches of {BATCH}",
            size,
            _plain_batches,
            _our_batches,
            customer,
            meter,
        ),
        _compared("record one event under a quota", singles, _plain_singles, _our_singles, customer, meter),
        _compared("quota check", singles, _plain_checks, _our_checks, quota, None),
        _into_existing(filled),
    ]


def _into_existing(filled: int) -> dict:
    """A full batch, of a customer without quota, beside a year of events of another."""
    other, its_meter = _customer_and_meter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT ensure_usage_partitions(DATE '2025-04-01', DATE '2026-03-31')")
        for _ in range(0, filled, 50_000):
            terms = {"count": min(filled, 50_000), "customer": other.pk, "meter": uuid7()}
            cursor.execute(FILL.replace("%(meter)s, billed_on", f"'{its_meter.pk}'::uuid, billed_on"), terms)
        cursor.execute("ANALYZE usage_events, usage_keys")
    row = _compared("", BATCH, _plain_batches, _our_batches, *_customer_and_meter())
    return row | {"work": f"record_usage, a batch of {BATCH} into n existing events", "n": filled}


def _compared(work: str, size: int, plain: Callable, ours: Callable, *given: object) -> dict:
    limit = size / _seconds(plain, size, *given)
    reached = size / _seconds(ours, size, *given)
    return {
        "work": work,
        "n": size,
        "plain_sql_per_second": round(limit),
        "ours_per_second": round(reached),
        "ratio": round(reached / limit, 2),
    }


def _seconds(work: Callable, *given: object) -> float:
    started = time.perf_counter()
    work(*given)
    return time.perf_counter() - started


def _customer_and_meter() -> tuple[BillingEntity, Meter]:
    mark = uuid7().hex[-12:]
    facts = {"currency": "USD", "country": "US", "state": EntityState.ACTIVE}
    seller = BillingEntity.objects.create(code=f"bench-{mark}", name="Seller", is_seller=True, **facts)
    customer = BillingEntity.objects.create(code=f"bench-c-{mark}", name="Customer", parent=seller, **facts)
    customer.refresh_from_db()
    Department.objects.create(
        entity=customer, code="GENERAL", name="General", is_default=True, starts_on=NOON.date()
    )
    product = Product.objects.create(entity=seller, code="bench", name="Bench")
    return customer, Meter.objects.create(
        entity=seller, code="bench", name="Bench", product=product, unit="unit"
    )


def _reports(count: int, customer: BillingEntity, meter: Meter) -> list[UsageReport]:
    """Every tenth repeats the one before it."""
    source, reports = f"bench-{uuid7()}", []
    for number in range(count):
        if number % 10 == 9:
            reports.append(reports[-1])
            continue
        reports.append(
            UsageReport(
                source=source,
                transaction_id=f"t-{number}",
                entity_id=customer.pk,
                meter=meter.code,
                occurred_at=NOON,
                quantity=Decimal("1.5"),
            )
        )
    return reports


def _rows(reports: list[UsageReport], meter: Meter) -> str:
    return json.dumps(
        [
            {
                "id": str(uuid7()),
                "source": report.source,
                "transaction_id": report.transaction_id,
                "entity_id": str(report.entity_id),
                "meter_id": str(meter.pk),
                "occurred_at": report.occurred_at.isoformat(),
                "billed_on": "2026-03-15",
                "quantity": str(report.quantity),
                "fingerprint": "0" * 64,
            }
            for report in reports
        ]
    )


def _plain_batches(size: int, customer: BillingEntity, meter: Meter) -> None:
    reports = _reports(size, customer, meter)
    for start in range(0, size, BATCH):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PLAIN, [_rows(reports[start : start + BATCH], meter)])


def _our_batches(size: int, customer: BillingEntity, meter: Meter) -> None:
    reports = _reports(size, customer, meter)
    for start in range(0, size, BATCH):
        services.record_usage(actor="benchmark", events=reports[start : start + BATCH], as_of=NOON)


def _plain_singles(size: int, customer: BillingEntity, meter: Meter) -> None:
    counter = QuotaCounter.objects.get(quota__entity=customer)
    for report in _reports(size, customer, meter):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PLAIN, [_rows([report], meter)])
            cursor.execute(
                "UPDATE quota_counters SET used_quantity = used_quantity + %s"
                " WHERE id = %s AND used_quantity + %s <= ceiling",
                [0, counter.pk, 0],
            )


def _our_singles(size: int, customer: BillingEntity, meter: Meter) -> None:
    for report in _reports(size, customer, meter):
        services.record_usage(actor="benchmark", events=[report], as_of=NOON)


def _plain_checks(size: int, quota: Quota, _: None) -> None:
    with connection.cursor() as cursor:
        for _ in range(size):
            cursor.execute(
                "SELECT q.limit_quantity - c.used_quantity FROM quotas q JOIN quota_counters c ON c.quota_id = q.id"
                " WHERE q.id = %s AND c.starts_on = DATE '2026-03-01'",
                [quota.pk],
            )
            cursor.fetchone()


def _our_checks(size: int, quota: Quota, _: None) -> None:
    loaded = Quota.objects.select_related("entity").get(pk=quota.pk)
    for _ in range(size):
        queries.quota_status(loaded, as_of=NOON)
