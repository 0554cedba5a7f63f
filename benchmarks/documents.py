"""Setting invoices as PDF on one core, from their rows to the bytes. Beside it stands the stated goal, no SQL: there is none.

Seconds are of processor time, over all threads: what one core does. Goals: 150 invoices of 5 lines
a second, and one of 5,000 lines in 2 seconds, which is 2,500 lines a second.
"""

import time
from datetime import date
from decimal import Decimal

from django.test import override_settings

from billing.documents.core.rendering import pdf_of
from billing.invoicing.documents.content import content_of
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax

LINES = 5
DOCUMENTS_GOAL, LINES_GOAL = 150, 2500
PARTY = {
    "legal_name": "Northwind Traders GmbH",
    "country": "DE",
    "tax_id": "DE123456789",
    "address": {"line1": "Hauptstraße 1", "postal_code": "10115", "city": "Berlin"},
    "email": "billing@northwind.example",
}


def run(size: int = 100) -> list[dict]:
    """`size` short invoices, and one with 5 × `size` lines: at size L the goal's 5,000."""
    pdf_of(
        "invoice", content_of(**_invoice("INV-0", LINES), language="en")
    )  # fonts and templates are read once per process
    with override_settings(DOCUMENT_TAGS_MAX_LINES=0):
        plain = _measured("the same without tags for screen readers", DOCUMENTS_GOAL, size, 1, LINES)
    return [
        _measured("invoice PDFs of 5 lines a second, beside the goal", DOCUMENTS_GOAL, size, 1, LINES),
        plain,
        _measured(
            "lines a second of one long invoice's PDF, beside the goal",
            LINES_GOAL,
            1,
            size * LINES,
            size * LINES,
        ),
    ]


def _measured(work: str, goal: int, documents: int, units: int, lines: int) -> dict:
    invoices = [_invoice(f"INV-{lines}-{number:06}", lines) for number in range(documents)]
    began = time.process_time_ns()
    for invoice in invoices:
        pdf_of("invoice", content_of(**invoice, language="en"))
    seconds = Decimal(time.process_time_ns() - began) / 10**9
    ours = documents * units / seconds
    return {
        "work": work,
        "n": documents * units,
        "seconds": round(seconds, 2),
        "plain_sql_per_second": goal,
        "ours_per_second": round(ours),
        "ratio": round(ours / goal, 2),
    }


def _invoice(number: str, lines: int) -> dict:
    net = Decimal(lines)
    invoice = Invoice(
        number=number,
        currency="EUR",
        issued_on=date(2026, 10, 1),
        due_on=date(2026, 10, 31),
        net_amount=net,
        tax_amount=net * 19 / 100,
        total_amount=net * 119 / 100,
        snapshot={"seller": PARTY, "customer": PARTY, "payment_terms_days": 30},
    )
    rows = [
        InvoiceLine(
            position=position,
            description=f"Requests to endpoint {position}, as metered in region eu-{position % 7}",
            quantity=Decimal(position * 40),
            unit="call",
            unit_price=Decimal("0.025"),
            net_amount=Decimal(1),
            tax_percent=Decimal(19),
            service_starts_on=date(2026, 9, 1),
            service_ends_on=date(2026, 10, 1),
        )
        for position in range(1, lines + 1)
    ]
    tax = InvoiceTax(category="S", percent=Decimal(19), taxable_amount=net, tax_amount=invoice.tax_amount)
    return {"invoice": invoice, "lines": rows, "taxes": [tax]}
