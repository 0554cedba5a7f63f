"""What stands on an invoice or a credit note: its frozen facts as text in the reader's language.

Only what never changes after the issue is read, so that the same document always makes the same bytes.
What has been paid since is not on it.

Content is what `rendering.pdf_of` sets: `title`, `number` and `day`, the parties, `facts` (pairs of label and value),
`columns` and `lines` (cells by the columns' keys; `below` stands under the words of the column that wraps; `sum` is
carried from page to page), then `sums` (pairs of label and amount), `taxes` and `notes`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate

from stdnum import iban

from billing.documents.core.formats import Formats, party
from billing.documents.core.wording import CATEGORIES, LABELS, reason_in, terms_in
from billing.invoicing.models import (
    CreditNote,
    CreditNoteLine,
    CreditNoteTax,
    Invoice,
    InvoiceLine,
    InvoiceTax,
)
from billing.kernel.money import EXACT


@dataclass(frozen=True)
class CreditedLine:
    """What a credit note takes back of a line. Of a part nobody says how many pieces it is."""

    position: int
    description: str
    service_starts_on: date
    service_ends_on: date
    quantity: Decimal | None
    unit: str
    unit_price: Decimal | None
    tax_percent: Decimal
    net_amount: Decimal
    discount_amount: Decimal = Decimal(0)  # what is credited is credited after discounts,
    inclusive_amount: Decimal | None = None  # and before tax

    @classmethod
    def of(cls, credit: CreditNoteLine) -> "CreditedLine":
        line, whole = credit.line, credit.net_amount == credit.line.net_amount
        return cls(
            position=line.position,
            description=line.description,
            service_starts_on=line.service_starts_on,
            service_ends_on=line.service_ends_on,
            quantity=line.quantity if whole else None,
            unit=line.unit if whole else "",
            unit_price=line.unit_price if whole else None,
            tax_percent=line.tax_percent,
            net_amount=credit.net_amount,
        )


def content_of(
    invoice: Invoice, *, lines: Iterable[InvoiceLine], taxes: Iterable[InvoiceTax], language: str
) -> dict:
    """All that stands on the invoice; `lines` in the order of their positions."""
    lines = list(lines)
    say, labels = Formats(language, invoice.currency), LABELS[language]
    served = say.period(
        min((line.service_starts_on for line in lines), default=invoice.period_starts_on),
        max((line.service_ends_on for line in lines), default=invoice.period_ends_on),
    )
    due_on, days = say.day(invoice.due_on), invoice.snapshot["payment_terms_days"]
    account = invoice.snapshot.get("account") if invoice.total_amount > 0 else None
    content = _common(invoice, "invoice", lines, taxes, say, language)
    return content | {
        "facts": [
            (labels["number"], invoice.number),
            (labels["issued_on"], say.day(invoice.issued_on)),
            (labels["due_on"], due_on),
            (labels["service_period"], served),
        ],
        "sums": [*content["sums"], (labels["due"], say.money(invoice.total_amount))],
        "notes": [
            terms_in(language, day=due_on, days=days, total=invoice.total_amount),
            *_account(account, labels),
        ],
    }


def credit_note_content(
    note: CreditNote, *, lines: Iterable[CreditNoteLine], taxes: Iterable[CreditNoteTax], language: str
) -> dict:
    """All that stands on the credit note; it names the invoice it corrects (Directive 2006/112/EC, art. 219).

    Amounts are positive, as EN 16931 has them (type 381).
    """
    say, labels = Formats(language, note.currency), LABELS[language]
    credited = [CreditedLine.of(credit) for credit in lines]
    content = _common(note, "credit_note", credited, taxes, say, language)
    return content | {
        "labels": labels | {"customer": labels["counterparty"]},  # nothing is billed to it
        "facts": [
            (labels["credit_note_number"], note.number),
            (labels["day"], say.day(note.issued_on)),
            (labels["credited_invoice"], note.invoice.number),
        ],
        "sums": [*content["sums"], (labels["credited"], say.money(note.total_amount))],
        "notes": [labels["reason"].format(reason=note.reason)],
    }


def _common(
    document: Invoice | CreditNote,
    kind: str,
    lines: list[InvoiceLine] | list[CreditedLine],
    taxes: Iterable[InvoiceTax] | Iterable[CreditNoteTax],
    say: Formats,
    language: str,
) -> dict:
    labels, running = LABELS[language], accumulate((line.net_amount for line in lines), EXACT.add)
    return {
        "language": language,
        "labels": labels,
        "currency": document.currency,
        "title": labels[kind],
        "number": document.number,
        "day": [document.issued_on.year, document.issued_on.month, document.issued_on.day],
        "seller": party(document.snapshot["seller"], language),
        "customer": party(document.snapshot["customer"], language),
        "columns": [
            {"key": "position", "title": labels["position"], "align": "right"},
            {"key": "description", "title": labels["description"], "align": "left", "wraps": True},
            {"key": "quantity", "title": labels["quantity"], "align": "right"},
            {"key": "unit_price", "title": labels["unit_price"], "align": "right"},
            {"key": "tax", "title": labels["tax"], "align": "right"},
            {"key": "amount", "title": f"{labels['amount']} ({document.currency})", "align": "right"},
        ],
        "lines": [
            {
                "position": str(line.position),
                "description": line.description,
                "below": " · ".join(_told(line, say, labels)),
                "quantity": ""
                if line.quantity is None
                else f"{say.number(line.quantity)} {line.unit}".strip(),
                "unit_price": "" if line.unit_price is None else say.price(line.unit_price),
                "tax": say.percent(line.tax_percent),
                "amount": say.money(line.net_amount),
                "sum": say.money(total),
            }
            for line, total in zip(lines, running, strict=True)
        ],
        "taxes": [_tax(tax, say, language, document.snapshot["seller"]["country"]) for tax in taxes],
        "sums": [
            (labels["net"], say.money(document.net_amount)),
            (labels["tax"], say.money(document.tax_amount)),
            (labels["total"], say.money(document.total_amount)),
        ],
    }


def _told(line: InvoiceLine | CreditedLine, say: Formats, labels: Mapping) -> Iterator[str]:
    """The days, then what was told and what brings it down to the amount: "119.00 incl. 19 %", "100.00",
    "Welcome −10.00"."""
    yield say.period(line.service_starts_on, line.service_ends_on)
    if line.inclusive_amount is not None:
        yield labels["inclusive"].format(
            amount=say.money(line.inclusive_amount), percent=say.percent(line.tax_percent)
        )
    if line.discount_amount:
        yield say.money(EXACT.add(line.net_amount, line.discount_amount))
        amounts = [(each["name"], Decimal(each["amount"])) for each in line.derivation.get("discounts", ())]
        named = [f"{name} {say.money(-amount)}" for name, amount in amounts if amount]
        yield from named or [say.money(-line.discount_amount)]


def _account(account: Mapping | None, labels: Mapping) -> list[str]:
    """Where to pay to, the IBAN in groups of four (ISO 13616)."""
    if not account:
        return []
    parts = [account.get("bank"), f"IBAN {iban.format(account['iban'])}"]
    parts += [f"BIC {account['bic']}"] if account.get("bic") else []
    return [labels["account"].format(account=", ".join(filter(None, parts)))]


def _tax(tax: InvoiceTax | CreditNoteTax, say: Formats, language: str, country: str) -> dict:
    category = CATEGORIES[language][tax.category]
    reason = reason_in(language, tax.category, tax.exemption_reason, country=country)
    return {
        "category": category,
        "reason": "" if reason.rstrip(".") == category else reason,  # said already
        "rate": say.percent(tax.percent),
        "taxable": say.money(tax.taxable_amount),
        "tax": say.money(tax.tax_amount),
    }
