"""A billing run against the same rows written by plain INSERT … SELECT, same tables, constraints and triggers.

The plain side knows every figure beforehand and claims no usage; the run rates, taxes, allocates and numbers.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from django.db import connection, transaction

from billing.entities.models import BillingEntity, Department
from billing.entities.states import EntityState
from billing.invoicing import services
from billing.kernel.ids import uuid7
from billing.subscriptions import services as catalogue
from billing.subscriptions.models import PriceModel, Product
from billing.usage import services as usage
from billing.usage.models import Meter

AS_OF = date(2024, 10, 1)
LINES = 20
SIZES = {"S": 1000, "L": 4000}

_NEW = "md5({} || 'again')::uuid"
_COPY = f"""
INSERT INTO invoices (id, seller_id, customer_id, state, series, currency, period_starts_on, period_ends_on,
                      billing_key, net_amount, tax_amount, total_amount, snapshot, version,
                      paid_amount, credited_amount, written_off_amount)
SELECT {_NEW.format("id::text")}, seller_id, customer_id, 'draft', series, currency, period_starts_on, period_ends_on,
       billing_key || ':again', net_amount, tax_amount, total_amount, snapshot, 1, 0, 0, 0
FROM invoices WHERE seller_id = %(seller)s;
INSERT INTO invoice_lines (id, invoice_id, position, kind, product_id, description, quantity, unit, unit_price, net_amount,
                           currency, tax_category, tax_percent, gl_code, service_starts_on, service_ends_on, derivation)
SELECT {_NEW.format("l.id::text")}, {_NEW.format("invoice_id::text")}, position, kind, product_id, description, quantity, unit,
       unit_price, l.net_amount, l.currency, tax_category, tax_percent, gl_code, service_starts_on, service_ends_on, derivation
FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE i.seller_id = %(seller)s AND i.number IS NOT NULL;
INSERT INTO invoice_taxes (invoice_id, category, percent, taxable_amount, tax_amount, currency, exemption_reason)
SELECT {_NEW.format("invoice_id::text")}, category, percent, taxable_amount, t.tax_amount, t.currency, exemption_reason
FROM invoice_taxes t JOIN invoices i ON i.id = t.invoice_id WHERE i.seller_id = %(seller)s AND i.number IS NOT NULL;
INSERT INTO cost_allocations (id, line_id, invoice_id, entity_id, department_id, gl_code, net_amount, tax_amount, currency, basis, reason)
SELECT {_NEW.format("a.id::text")}, {_NEW.format("line_id::text")}, {_NEW.format("invoice_id::text")}, entity_id, department_id,
       gl_code, a.net_amount, a.tax_amount, a.currency, basis, reason
FROM cost_allocations a JOIN invoices i ON i.id = a.invoice_id WHERE i.seller_id = %(seller)s;
INSERT INTO journal_entries (id, entity_id, period_id, posted_on, source, event, description, transaction_number)
SELECT {_NEW.format("id::text")}, entity_id, period_id, posted_on, source || ':again', event, description, 0
FROM journal_entries WHERE entity_id = %(seller)s;
INSERT INTO journal_lines (entry_id, entity_id, account_id, currency, debit, credit, customer_id, department_id,
                           product_code, gl_code, contract_reference)
SELECT {_NEW.format("entry_id::text")}, entity_id, account_id, currency, debit, credit, customer_id, department_id,
       product_code, gl_code, contract_reference
FROM journal_lines WHERE entity_id = %(seller)s;
WITH taken AS (
    UPDATE number_series SET last = last * 2 WHERE seller_id = %(seller)s RETURNING last / 2 AS before
)
UPDATE invoices n SET state = 'issued', fiscal_year = o.fiscal_year, sequence = taken.before + o.sequence,
       number = o.series || '-' || o.fiscal_year || '-' || lpad((taken.before + o.sequence)::text, 6, '0'),
       issued_on = o.issued_on, due_on = o.due_on
FROM invoices o, taken WHERE n.id = {_NEW.format("o.id::text")} AND o.seller_id = %(seller)s;
INSERT INTO audit_entries (kind, action, subject_type, subject_id, entity_id, actor, request_id, ip, reason, detail)
SELECT 'verb', a.action, a.subject_type, n.id::text, a.entity_id, a.actor, a.request_id, a.ip, a.reason, a.detail
FROM invoices o JOIN invoices n ON n.id = {_NEW.format("o.id::text")}
     JOIN audit_entries a ON a.subject_type = 'invoices' AND a.subject_id = o.id::text AND a.kind = 'verb'
WHERE o.seller_id = %(seller)s;
WITH told AS (
    INSERT INTO outbox_events (id, name, entity_id, payload)
    SELECT {_NEW.format("e.id::text")}, e.name, e.entity_id, jsonb_build_object('invoice_id', n.id)
    FROM invoices o JOIN invoices n ON n.id = {_NEW.format("o.id::text")}
         JOIN outbox_events e ON e.entity_id = o.customer_id AND e.payload ->> 'invoice_id' = o.id::text
    WHERE o.seller_id = %(seller)s
    RETURNING id
)
SELECT count(*) FROM told
"""


def run(size: int = 1000) -> list[dict]:
    """`size` customers with one invoice of 20 lines each; invoices per second, statements for each of them, and
    by how much the process grew at most while it billed."""
    seller = books(size)
    _analyze()
    gc.collect()
    statements = [0]
    with _counted(statements), _peak() as grew:
        began = time.perf_counter_ns()
        run = services.start_billing_run(actor="bench", seller_id=seller.pk, as_of=AS_OF)
        services.continue_billing_run(actor="bench", run_id=run.pk)
        ours = Decimal(size) * 10**9 / (time.perf_counter_ns() - began)
    assert run.invoices.exclude(number=None).count() == size
    _analyze()

    began = time.perf_counter_ns()
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in _COPY.split(";\n"):
            cursor.execute(statement, {"seller": seller.pk})
    plain = Decimal(size) * 10**9 / (time.perf_counter_ns() - began)
    return [
        {
            "work": f"billing run, invoices of {LINES} lines, rated, taxed, allocated, booked",
            "plain_sql_per_second": round(plain),
            "ours_per_second": round(ours),
            "ratio": round(ours / plain, 2),
            "queries_each": round(Decimal(statements[0]) / size, 2),
            "grew_mb": grew[0],
        }
    ]


def _analyze() -> None:
    """So that neither side is planned for empty tables."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


@contextmanager
def _counted(statements: list[int]) -> Iterator[None]:
    def count(execute, *call):
        statements[0] += 1
        return execute(*call)

    with connection.execute_wrapper(count):
        yield


@contextmanager
def _peak() -> Iterator[list[int]]:
    """By how many MB the process has grown at most inside (Linux: the high-water mark is set back before)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    grew: list[int] = []
    yield grew
    grew.append(_memory("VmHWM") - before)


def _memory(name: str) -> int:
    """In MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) // 1024


def books(size: int) -> BillingEntity:
    code = f"bench-{uuid7().hex}"
    common = {"state": EntityState.ACTIVE, "currency": "EUR", "country": "DE"}
    seller = BillingEntity.objects.create(code=code, name=code, is_seller=True, **common)
    seller.refresh_from_db()
    services.add_tax_rate(
        actor="bench", country="DE", category="S", percent=Decimal(19), starts_on=date(2020, 1, 1)
    )
    BillingEntity.objects.bulk_create(
        BillingEntity(code=f"{code}-{i}", name=f"{code}-{i}", parent=seller, **common) for i in range(size)
    )
    customers = list(BillingEntity.objects.filter(parent=seller).order_by("code"))
    Department.objects.bulk_create(
        Department(entity=c, code="GENERAL", name="General", is_default=True, starts_on=date(2020, 1, 1))
        for c in customers
    )
    meters = []
    for i in range(LINES):
        product = Product.objects.create(entity=seller, code=f"p{i}", name=f"Product {i}", gl_code="6400")
        catalogue.add_price(
            actor="bench",
            product_id=product.pk,
            currency="EUR",
            model=PriceModel.PER_UNIT,
            unit_price=Decimal("0.25"),
            starts_on=date(2020, 1, 1),
        )
        meters.append(
            Meter.objects.create(entity=seller, code=f"m{i}", name=f"Meter {i}", product=product, unit="GB")
        )
    for start in range(0, len(customers), 250):
        usage.record_usage(
            actor="bench",
            events=[
                _report(customer, meter) for customer in customers[start : start + 250] for meter in meters
            ],
            as_of=datetime(2024, 9, 30, tzinfo=UTC),
            allow_old=True,
        )
    return seller


def _report(customer: BillingEntity, meter: Meter) -> usage.UsageReport:
    return usage.UsageReport(
        source="bench",
        transaction_id=uuid7().hex,
        entity_id=customer.pk,
        meter=meter.code,
        department_id=None,
        occurred_at=datetime(2024, 9, 15, 12, tzinfo=UTC),
        quantity=Decimal(7),
    )
