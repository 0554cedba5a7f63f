"""A billing run as an operator reads it: what would be issued, how far it is, and who could not be billed."""

from collections.abc import Mapping
from datetime import timedelta

from django.urls import reverse
from django.utils.html import format_html

from billing.entities.models import BillingEntity
from billing.invoicing.billing_runs.queries import NOTHING_MORE, RunFigures
from billing.invoicing.models import BillingRun, Invoice
from billing.invoicing.services import BillingPreview
from billing.invoicing.states import RunItemState, RunState
from billing.kernel.console.tables import Table, link, money
from billing.kernel.money import total_of

INVOICES_SHOWN = 50
AWAITS = "stays a draft until approval is given"
FAILURES_SHOWN = 200
FIGURES = [
    ("state", "State"),
    ("done", "Customers done"),
    ("failed", "Customers failed"),
    ("pending", "Customers pending"),
    ("invoices", "Invoices issued"),
    ("amounts", "Issued, tax included"),
    ("elapsed", "Time taken"),
    ("rest", "Time left (estimated)"),
    ("finished", "Finished at (UTC)"),
]


def progress_told(figures: RunFigures) -> dict:
    """What the page shows and refreshes, every figure as text."""
    return {
        "state": figures.state,
        "percent": figures.percent,
        "has_failures": figures.failed > 0,
        "figures": {
            "state": RunState(figures.state).label,
            "message": figures.message,
            "done": f"{figures.done:,}",
            "failed": f"{figures.failed:,}",
            "pending": f"{figures.pending:,}",
            "invoices": f"{figures.invoices:,}",
            "amounts": ", ".join(money(*each) for each in _by_currency(figures.amounts)) or "–",
            "elapsed": _duration(figures.elapsed),
            "rest": "–" if figures.rest is None else _duration(figures.rest),
            "finished": f"{figures.finished_at:%Y-%m-%d %H:%M:%S}" if figures.finished_at else "–",
        },
    }


def _by_currency(amounts: Mapping) -> list[tuple]:
    return [(amount, currency) for currency, amount in sorted(amounts.items())]


def _duration(time: timedelta) -> str:
    """ "8 s", "3 min 20 s", "2 h 5 min"."""
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def failures_of(run: BillingRun) -> Table:
    failed = run.items.filter(state=RunItemState.FAILED)
    count = failed.count()
    note = (
        "Put right what the reason names, then retry the customer, or continue the run: all get another try."
    )
    if count > FAILURES_SHOWN:
        note += f" These are the first {FAILURES_SHOWN} of {count:,}; the list of customers has all."
    shown = failed.select_related("customer").order_by("customer__code")[:FAILURES_SHOWN]
    return Table(
        title="Customers that could not be billed",
        headers=["Customer", "Reason", "What to do", ""],
        rows=[
            [
                link(item.customer, "entities_billingentity"),
                (item.failure or {}).get("code", ""),
                (item.failure or {}).get("detail", ""),
                format_html(
                    '<a class="underline" href="{}">Look and retry</a>',
                    reverse("admin:invoicing_billingrunitem_change", args=[item.pk]),
                ),
            ]
            for item in shown
        ],
        note=note if count else "",
    )


def preview_tables(preview: BillingPreview) -> list[Table]:
    """Totals by currency, the first invoices, and who would be refused."""
    tables = [_totals(preview), _invoices(preview)]
    return [*tables, _refused(preview)] if preview.refused else tables


def _totals(preview: BillingPreview) -> Table:
    by_currency: dict[str, list[Invoice]] = {}
    for invoice in preview.invoices:
        by_currency.setdefault(invoice.currency, []).append(invoice)
    return Table(
        title="What would be issued",
        headers=["Currency", "Invoices", "Net", "Tax", "Total"],
        rows=[
            [
                currency,
                f"{len(invoices):,}",
                money(total_of([invoice.net_amount for invoice in invoices]), currency),
                money(total_of([invoice.tax_amount for invoice in invoices]), currency),
                money(total_of([invoice.total_amount for invoice in invoices]), currency),
            ]
            for currency, invoices in sorted(by_currency.items())
        ],
        note=" ".join(filter(None, [_how_much_waits(preview), _how_much_was_seen(preview)])),
    )


def _how_much_waits(preview: BillingPreview) -> str:
    if not preview.waiting:
        return ""
    amounts: dict[str, list] = {}
    for invoice in preview.waiting:
        amounts.setdefault(invoice.currency, []).append(invoice.total_amount)
    told = ", ".join(money(total_of(each), currency) for currency, each in sorted(amounts.items()))
    if len(preview.waiting) == 1:
        return f"Not among them: 1 invoice above a limit ({told}) {AWAITS}."
    return f"Not among them: {len(preview.waiting):,} invoices above a limit ({told}) stay drafts until approval is given."


def _how_much_was_seen(preview: BillingPreview) -> str:
    if not preview.customers_due:
        return NOTHING_MORE
    if preview.customers_seen < preview.customers_due:
        return (
            f"The first {preview.customers_seen:,} of {preview.customers_due:,} customers by code were tried,"
            " and these are their figures. The run bills all of them."
        )
    return f"Every customer with something due was tried: {preview.customers_due:,}."


def _invoices(preview: BillingPreview) -> Table:
    """What waits for approval first: it is what somebody has to do something about."""
    invoices = [*preview.waiting, *preview.invoices]
    return Table(
        title="Invoices" if len(invoices) <= INVOICES_SHOWN else f"The first {INVOICES_SHOWN} invoices",
        headers=["Number", "Customer", "Period", "Net", "Tax", "Total"],
        rows=[
            [
                invoice.number or f"– ({AWAITS})",
                str(invoice.customer),
                f"{invoice.period_starts_on} – {invoice.period_ends_on - timedelta(days=1)}",
                money(invoice.net_amount, invoice.currency),
                money(invoice.tax_amount, invoice.currency),
                money(invoice.total_amount, invoice.currency),
            ]
            for invoice in invoices[:INVOICES_SHOWN]
        ],
        note="Numbers as they would be if nobody else issued meanwhile." if invoices else "",
    )


def _refused(preview: BillingPreview) -> Table:
    customers = BillingEntity.objects.in_bulk(preview.refused)
    refused = sorted(preview.refused.items(), key=lambda item: customers[item[0]].code)
    return Table(
        title="Customers that could not be billed",
        headers=["Customer", "Reason", "What to do"],
        rows=[[str(customers[pk]), error.code, error.detail] for pk, error in refused],
        note="They stop nobody else. Put right what the reason names before, or continue the run after.",
    )
