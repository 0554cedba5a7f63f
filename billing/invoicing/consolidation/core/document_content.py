"""What stands on a consolidated invoice: each child with its invoice, and what is due in each currency."""

from collections.abc import Sequence
from itertools import accumulate

from billing.documents.core.formats import Formats, party
from billing.documents.core.wording import LABELS, terms_in
from billing.invoicing.models import ConsolidatedChild, ConsolidatedInvoice, ConsolidatedTotal
from billing.kernel.money import EXACT


def consolidated_content(
    document: ConsolidatedInvoice,
    *,
    children: Sequence[ConsolidatedChild],
    totals: Sequence[ConsolidatedTotal],
    language: str,
) -> dict:
    """All that stands on it. The sum that is carried from page to page is in the payer's currency.

    `children` come with their invoices and customers, in the order in which they are shown.
    """
    labels, say = LABELS[language], Formats(language, document.currency)
    if not any(total.exchange_rate_id for total in totals):  # nothing is converted: do not speak of it
        labels = labels | {"converted": labels["amount"], "converted_total": labels["total"]}
    in_their_own = {total.currency: Formats(language, total.currency) for total in totals}
    running = accumulate((child.converted_amount for child in children), EXACT.add)
    due_on, days = say.day(document.due_on), document.snapshot["payment_terms_days"]
    return {
        "language": language,
        "labels": labels,
        "currency": document.currency,
        "title": labels["consolidated_invoice"],
        "number": document.number,
        "day": [document.issued_on.year, document.issued_on.month, document.issued_on.day],
        "seller": party(document.snapshot["seller"], language),
        "customer": party(document.snapshot["payer"], language),
        "facts": [
            (labels["number"], document.number),
            (labels["issued_on"], say.day(document.issued_on)),
            (labels["due_on"], due_on),
            (labels["invoices_of"], say.period(document.period_starts_on, document.period_ends_on)),
        ],
        "columns": [
            {"key": "position", "title": labels["position"], "align": "right"},
            {"key": "company", "title": labels["company"], "align": "left", "wraps": True},
            {"key": "net", "title": labels["net"], "align": "right"},
            {"key": "tax", "title": labels["tax"], "align": "right"},
            {"key": "total", "title": labels["total"], "align": "right"},
            {
                "key": "converted",
                "title": f"{labels['converted']} ({document.currency})",
                "align": "right",
            },
        ],
        "lines": [
            _line(number, child, in_their_own[child.currency], say) | {"sum": say.money(total)}
            for number, (child, total) in enumerate(zip(children, running, strict=True), start=1)
        ],
        "sums": [(labels["converted_total"], say.money(document.converted_amount))],
        "dues": [_due(total, in_their_own[total.currency], say) for total in totals],
        "notes": [
            terms_in(language, day=due_on, days=days, total=document.converted_amount),
            *(_rate(total, document, say) for total in totals if total.exchange_rate_id),
        ],
    }


def _line(number: int, child: ConsolidatedChild, own: Formats, say: Formats) -> dict:
    return {
        "position": str(number),
        "company": child.customer.legal_name or child.customer.name,
        "below": f"{child.invoice.number} · {say.day(child.invoice.issued_on)}",
        "net": own.money(child.net_amount),
        "tax": own.money(child.tax_amount),
        "total": f"{own.money(child.total_amount)} {child.currency}",
        "converted": say.money(child.converted_amount),
    }


def _due(total: ConsolidatedTotal, own: Formats, say: Formats) -> list[str]:
    return [
        total.currency,
        own.money(total.net_amount),
        own.money(total.tax_amount),
        own.money(total.total_amount),
        say.money(total.converted_amount),
    ]


def _rate(total: ConsolidatedTotal, document: ConsolidatedInvoice, say: Formats) -> str:
    """ "1 USD = 0.92 EUR (Sep 30, 2026, ECB)": the rate the amounts were converted at, for information."""
    said = f"1 {total.currency} = {say.number(total.rate)} {document.currency}"
    return f"{said} ({', '.join(filter(None, [say.day(total.rate_on), total.rate_source]))})"
