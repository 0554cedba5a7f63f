"""Lines of drafts divided over ten departments by a rule, against INSERT … SELECT with the same largest remainder."""

import time
from datetime import date
from decimal import Decimal

from django.db import connection, transaction

from benchmarks.invoicing import AS_OF, LINES, books
from billing.entities.models import Department
from billing.invoicing import services
from billing.invoicing.allocation.services.allocation import Policy, allocate, read_weights
from billing.invoicing.models import CostAllocation, Invoice

SIZES = {"S": 10, "L": 100}  # invoices: 1,000 and 10,000 lines, ten shares each
DEPARTMENTS = 10
COPIES = 100 // LINES  # of each invoice's lines, so that there are a hundred

_MORE_LINES = """
INSERT INTO invoice_lines (id, invoice_id, position, kind, product_id, description, quantity, unit, unit_price, net_amount,
                           currency, tax_category, tax_percent, gl_code, service_starts_on, service_ends_on, derivation)
SELECT gen_random_uuid(), invoice_id, position + 100 * n, kind, product_id, description, quantity, unit, unit_price, l.net_amount,
       l.currency, tax_category, tax_percent, l.gl_code, service_starts_on, service_ends_on, derivation
FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id, generate_series(1, %s) n WHERE i.seller_id = %s
"""
_DIVIDE = """
WITH cut AS (
    SELECT l.id AS line_id, l.invoice_id, i.customer_id, d.id AS department_id, l.gl_code, l.net_amount, l.currency,
           round(l.net_amount * 100 - sum(floor(l.net_amount * 100 / %(count)s)) OVER (PARTITION BY l.id)) AS missing,
           floor(l.net_amount * 100 / %(count)s) AS units,
           row_number() OVER (PARTITION BY l.id ORDER BY d.id) AS place
    FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
    JOIN departments d ON d.entity_id = i.customer_id AND NOT d.is_default
    WHERE i.seller_id = %(seller)s
)
INSERT INTO cost_allocations (id, line_id, invoice_id, entity_id, department_id, gl_code, net_amount, tax_amount,
                              currency, basis, reason, gl_source)
SELECT gen_random_uuid(), line_id, invoice_id, customer_id, department_id, gl_code,
       (units + CASE WHEN place <= missing THEN 1 ELSE 0 END) / 100, 0, currency, 'default', '', 'product' FROM cut
"""


def run(size: int = 100) -> list[dict]:
    """A hundred lines on each of `size` drafts; lines per second, into the same table with its triggers."""
    seller = books(size)
    customers = list(seller.children.values_list("pk", flat=True))
    Department.objects.bulk_create(
        Department(entity_id=customer, code=f"D{n}", name=f"D{n}", starts_on=date(2020, 1, 1))
        for customer in customers
        for n in range(DEPARTMENTS)
    )
    _add_rule(seller)
    for start in range(0, size, 100):
        services.draft_invoices(
            actor="bench", seller_id=seller.pk, customer_ids=customers[start : start + 100], as_of=AS_OF
        )
    with connection.cursor() as cursor:
        cursor.execute(_MORE_LINES, [COPIES - 1, seller.pk])
    lines = size * LINES * COPIES

    began = time.perf_counter_ns()
    shares = _by_rule(seller)
    ours = Decimal(lines) * 10**9 / (time.perf_counter_ns() - began)
    assert shares == lines * DEPARTMENTS, f"{shares} shares of {lines} lines"

    began = time.perf_counter_ns()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DIVIDE, {"count": DEPARTMENTS, "seller": seller.pk})
        assert cursor.rowcount == shares
    plain = Decimal(lines) * 10**9 / (time.perf_counter_ns() - began)
    return [
        {
            "work": "lines divided over 10 departments by a rule",
            "plain_sql_per_second": round(plain),
            "ours_per_second": round(ours),
            "ratio": round(ours / plain, 2),
        }
    ]


def _add_rule(seller) -> None:
    percent = Decimal(100) / DEPARTMENTS
    targets = [
        services.TargetTerms(kind="percent", department_code=f"D{n}", percent=percent)
        for n in range(DEPARTMENTS)
    ]
    rule = services.create_allocation_rule(
        actor="bench",
        entity_id=seller.pk,
        code="tenths",
        name="Tenths",
        terms=services.RuleTerms(targets=targets, starts_on=date(2020, 1, 1)),
    )
    services.activate_allocation_rule(actor="bench", rule_id=rule.pk)


def _by_rule(seller) -> int:
    """As issuing does it, a hundred invoices a transaction; the tax is left out on both sides."""
    ids = list(Invoice.objects.filter(seller=seller).order_by("pk").values_list("pk", flat=True))
    count = 0
    for start in range(0, len(ids), 100):
        with transaction.atomic():
            invoices = list(
                Invoice.objects.filter(pk__in=ids[start : start + 100])
                .select_related("customer")
                .prefetch_related("lines__product")
            )
            policy = Policy.for_customers({i.customer_id: i.customer for i in invoices}.values())
            read_weights(policy, invoices)
            shares = [
                share
                for invoice in invoices
                for share in allocate(invoice, lines=list(invoice.lines.all()), taxes=[], policy=policy)
            ]
            count += len(CostAllocation.objects.bulk_create(shares))
    return count
