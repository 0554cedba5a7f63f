"""Consolidating a group's invoices, against the same rows written by plain INSERT … SELECT, same tables and triggers."""

import time
from datetime import date
from decimal import Decimal

from django.db import connection, transaction

from benchmarks.invoicing import AS_OF, books
from billing.entities.models import BillingEntity, EntityRelation
from billing.entities.states import EntityState
from billing.invoicing import services

SPAN = {"period_starts_on": AS_OF, "period_ends_on": date(2024, 11, 1), "issued_on": date(2024, 11, 1)}

_PLAIN = """
UPDATE number_series SET last = last + 1 WHERE seller_id = %(seller)s AND series = 'CON';
INSERT INTO consolidated_invoices (id, version, seller_id, payer_id, state, series, fiscal_year, sequence, number, currency,
    period_starts_on, period_ends_on, part, issued_on, due_on, child_count, converted_amount, snapshot)
SELECT %(again)s, 1, seller_id, payer_id, 'issued', series, fiscal_year, 2, 'CON-2024-000002', currency, period_starts_on,
    period_ends_on, part, issued_on, due_on, child_count, converted_amount, snapshot
FROM consolidated_invoices WHERE seller_id = %(seller)s;
INSERT INTO consolidated_children (consolidated_invoice_id, invoice_id, customer_id, currency, net_amount, tax_amount,
    total_amount, settled_before_amount, converted_amount)
SELECT %(again)s, id, customer_id, currency, net_amount, tax_amount, total_amount, 0, total_amount
FROM invoices WHERE seller_id = %(seller)s AND state = 'issued';
INSERT INTO consolidated_totals (id, consolidated_invoice_id, currency, child_count, net_amount, tax_amount, total_amount,
    rate, rate_source, converted_amount, converted_currency)
SELECT gen_random_uuid(), %(again)s, currency, count(*), sum(net_amount), sum(tax_amount), sum(total_amount), 1, '',
    sum(total_amount), currency
FROM invoices WHERE seller_id = %(seller)s AND state = 'issued' GROUP BY currency
"""


def run(size: int = 100) -> list[dict]:
    """`size` children of 5 lines each, one document; children per second."""
    seller = books(size)
    billed = services.start_billing_run(actor="bench", seller_id=seller.pk, as_of=AS_OF)
    services.continue_billing_run(actor="bench", run_id=billed.pk)
    payer = _group(seller)

    began = time.perf_counter_ns()
    made = services.consolidate_invoices(actor="bench", payer_id=payer.pk, seller_id=seller.pk, **SPAN)
    ours = Decimal(size) * 10**9 / (time.perf_counter_ns() - began)
    assert made.document.child_count == size
    services.void_consolidated_invoice(
        actor="bench",
        consolidated_invoice_id=made.document.pk,
        voided_on=SPAN["issued_on"],
        reason="once more",
    )

    again = f"00000000-0000-7000-8000-{size:012d}"
    began = time.perf_counter_ns()
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in _PLAIN.split(";\n"):
            cursor.execute(statement, {"seller": seller.pk, "again": again})
    plain = Decimal(size) * 10**9 / (time.perf_counter_ns() - began)
    return [
        {
            "work": "consolidation, children of 5 lines, into one document",
            "plain_sql_per_second": round(plain),
            "ours_per_second": round(ours),
            "ratio": round(ours / plain, 2),
        }
    ]


def _group(seller: BillingEntity) -> BillingEntity:
    """A payer that all customers of the seller roll up to."""
    payer = BillingEntity.objects.create(
        code=f"{seller.code}-payer",
        name="Payer",
        parent=seller,
        state=EntityState.ACTIVE,
        currency="EUR",
        country="DE",
    )
    customers = BillingEntity.objects.filter(parent=seller).exclude(pk=payer.pk)
    customers.update(consolidation="roll_up")
    EntityRelation.objects.bulk_create(
        EntityRelation(entity=customer, parent=payer, starts_on=date(2020, 1, 1)) for customer in customers
    )
    return payer
