"""A consolidated invoice as a controller reads it: what is due per currency, at which rates, and its children."""

from decimal import Decimal

from django.utils.html import format_html

from billing.entities.models import BillingEntity
from billing.invoicing.consolidation.services.selection import Gathering
from billing.invoicing.models import ConsolidatedChild, ConsolidatedInvoice, ExchangeRate, Invoice
from billing.kernel.console.tables import Table, link, money, number

ROWS_MAX = 200


def document_tables(document: ConsolidatedInvoice) -> list[Table]:
    """Of a document read `with_open_amounts`: its totals, then its children in the order of the tree."""
    return [_totals(document), _children(document)]


def preview_tables(found: Gathering) -> list[Table]:
    """What would be gathered, and the drafts that would be missing."""
    return [
        _preview_totals(found),
        _preview_children(found),
        *([_missing(found.missing)] if found.missing else []),
    ]


def _totals(document: ConsolidatedInvoice) -> Table:
    return Table(
        title="Due per currency",
        headers=["Invoices", "Net", "Tax", "Total", "Open", "Rate", "Converted"],
        rows=[
            [
                str(total.child_count),
                money(total.net_amount, total.currency),
                money(total.tax_amount, total.currency),
                money(total.total_amount, total.currency),
                money(total.open_amount, total.currency),
                _rate(total.rate, total.rate_on, total.rate_source),
                money(total.converted_amount, total.converted_currency),
            ]
            for total in document.totals.all()
        ],
        note=f"In all {money(document.converted_amount, document.currency)}: each invoice converted and rounded"
        " once. It is for information; what is due is due in its own currency.",
    )


def _children(document: ConsolidatedInvoice) -> Table:
    children = ConsolidatedChild.objects.filter(consolidated_invoice=document).order_by("pk")
    shown = children.select_related("invoice", "customer")[:ROWS_MAX]
    more = document.child_count - ROWS_MAX
    return Table(
        title="Invoices",
        headers=["Customer", "Invoice", "Issued on", "Due on", "Total", "Open", "Converted"],
        rows=[
            [
                _below(document.payer, child.customer),
                link(child.invoice, "invoicing_invoice"),
                str(child.invoice.issued_on),
                str(child.invoice.due_on),
                money(child.total_amount, child.currency),
                "released" if child.released_at else money(child.invoice.balance_amount, child.currency),
                money(child.converted_amount, document.currency),
            ]
            for child in shown
        ],
        note=f"The first {ROWS_MAX}; {more} more are in the API." if more > 0 else "",
    )


def _preview_totals(found: Gathering) -> Table:
    return Table(
        title="What would be due per currency",
        headers=["Invoices", "Net", "Tax", "Total", "Rate", "Converted"],
        rows=[
            [
                str(total.child_count),
                money(total.net_amount, total.currency),
                money(total.tax_amount, total.currency),
                money(total.total_amount, total.currency),
                _rate_of(total.rate),
                money(total.converted_amount, found.currency),
            ]
            for total in found.totals
        ],
        note=f"In all {money(found.converted_amount, found.currency)}."
        if found.totals
        else "There is nothing new to gather.",
    )


def _preview_children(found: Gathering) -> Table:
    more = found.child_count - ROWS_MAX
    return Table(
        title="Invoices",
        headers=["Customer", "Invoice", "Issued on", "Total", "Open", "Converted"],
        rows=[
            [
                f"{child.customer_name} ({child.customer_code})",
                child.number,
                str(child.issued_on),
                money(child.total_amount, child.currency),
                money(child.balance_amount, child.currency),
                money(child.converted_amount, found.currency),
            ]
            for child in found.children(ROWS_MAX)
        ]
        if found.totals
        else [],
        note=f"The first {ROWS_MAX}; there are {more} more." if more > 0 else "",
    )


def _missing(drafts: list[Invoice]) -> Table:
    return Table(
        title="Missing: still drafts",
        headers=["Customer", "Draft", "Period from", "Total"],
        rows=[
            [
                str(draft.customer),
                link(draft, "invoicing_invoice"),
                str(draft.period_starts_on),
                money(draft.total_amount, draft.currency),
            ]
            for draft in drafts[:ROWS_MAX]
        ],
        note=f"{len(drafts)} in all. Issue them first, or choose to leave them out.",
    )


def _below(payer: BillingEntity, customer: BillingEntity) -> str:
    """Set in by its level below the payer, as far as it still is below it."""
    steps = customer.path.removeprefix(payer.path).count("/") if customer.path.startswith(payer.path) else 0
    return format_html("{}{}", "— " * steps, link(customer, "entities_billingentity"))


def _rate_of(rate: ExchangeRate | None) -> str:
    return _rate(rate.rate, rate.rate_on, rate.source) if rate else _rate(Decimal(1), None, "")


def _rate(rate: Decimal, rate_on, source: str) -> str:
    return f"{number(rate)} ({source}, {rate_on})" if source else number(rate)
