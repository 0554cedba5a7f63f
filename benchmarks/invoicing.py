"""A billing run against the same rows written by plain INSERT … SELECT, same tables, constraints and triggers."""

import time
from datetime import UTC, date, datetime
from decimal import Decimal

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
LINES = 5

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
FROM invoices o, taken WHERE n.id = {_NEW.format("o.id::text")} AND o.seller_id = %(seller)s
"""


def run(size: int = 100) -> list[dict]:
    """`size` customers with one invoice of 5 lines each; invoices per second, audit and outbox on our side too."""
    seller = books(size)
    run = services.start_billing_run(actor="bench", seller_id=seller.pk, as_of=AS_OF)
    began = time.perf_counter_ns()
    services.continue_billing_run(actor="bench", run_id=run.pk)
    ours = Decimal(size) * 10**9 / (time.perf_counter_ns() - began)
    assert run.invoices.exclude(number=None).count() == size

    began = time.perf_counter_ns()
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in _COPY.split(";\n"):
            cursor.execute(statement, {"seller": seller.pk})
    plain = Decimal(size) * 10**9 / (time.perf_counter_ns() - began)
    return [
        {
            "work": "billing run, invoices of 5 lines, rated, taxed, allocated, booked",
            "plain_sql_per_second": round(plain),
            "ours_per_second": round(ours),
            "ratio": round(ours / plain, 2),
        }
    ]


def books(size: int) -> BillingEntity:
    code = f"bench-{uuid7().hex}"
    common = {"state": EntityState.ACTIVE, "currency": "EUR", "country": "DE"}
    seller = BillingEntity.objects.create(code=code, name=code, is_seller=True, **common)
    seller.refresh_from_db()
    services.add_tax_rate(
        actor="bench", country="DE", category="S", percent=Decimal(19), starts_on=date(2020, 1, 1)
    )
    customers = [
        BillingEntity.objects.create(code=f"{code}-{i}", name=f"{code}-{i}", parent=seller, **common)
        for i in range(size)
    ]
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
    reports = [
        usage.UsageReport(
            source="bench",
            transaction_id=uuid7().hex,
            entity_id=customer.pk,
            meter=meter.code,
            department_id=None,
            occurred_at=datetime(2024, 9, 15, 12, tzinfo=UTC),
            quantity=Decimal(7),
        )
        for customer in customers
        for meter in meters
    ]
    for start in range(0, len(reports), 5000):
        usage.record_usage(
            actor="bench",
            events=reports[start : start + 5000],
            as_of=datetime(2024, 9, 30, tzinfo=UTC),
            allow_old=True,
        )
    return seller
