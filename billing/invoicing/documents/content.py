"""What stands on an invoice: its frozen facts as text in the reader's language.

Only what never changes after the issue is read, so that the same invoice always makes the same document.
What has been paid since is not on it.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal

from billing.invoicing.documents.wording import CATEGORIES, LABELS
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax
from billing.kernel.money import EXACT, exponent


def content_of(
    invoice: Invoice, *, lines: Iterable[InvoiceLine], taxes: Iterable[InvoiceTax], language: str
) -> dict:
    """Everything the template shows, formatted; `lines` in the order of their positions."""
    lines = list(lines)
    say, labels = _Formats(language, invoice.currency), LABELS[language]
    days = invoice.snapshot["payment_terms_days"]
    sums = accumulate((line.net_amount for line in lines), EXACT.add)
    return {
        "language": language,
        "labels": labels,
        "currency": invoice.currency,
        "number": invoice.number,
        "day": [invoice.issued_on.year, invoice.issued_on.month, invoice.issued_on.day],
        "issued_on": say.day(invoice.issued_on),
        "due_on": say.day(invoice.due_on),
        "service_period": say.period(
            min((line.service_starts_on for line in lines), default=invoice.period_starts_on),
            max((line.service_ends_on for line in lines), default=invoice.period_ends_on),
        ),
        "seller": _party(invoice.snapshot["seller"], language),
        "customer": _party(invoice.snapshot["customer"], language),
        "lines": [
            {
                "position": str(line.position),
                "description": line.description,
                "period": say.period(line.service_starts_on, line.service_ends_on),
                "discount": _discount(line, say),
                "quantity": f"{say.number(line.quantity)} {line.unit}".strip(),
                "unit_price": "" if line.unit_price is None else say.number(line.unit_price),
                "tax": say.percent(line.tax_percent),
                "amount": say.money(line.net_amount),
                "sum": say.money(total),
            }
            for line, total in zip(lines, sums, strict=True)
        ],
        "taxes": [
            {
                "category": CATEGORIES[language][tax.category],
                "reason": tax.exemption_reason,
                "rate": say.percent(tax.percent),
                "taxable": say.money(tax.taxable_amount),
                "tax": say.money(tax.tax_amount),
            }
            for tax in taxes
        ],
        "net": say.money(invoice.net_amount),
        "tax": say.money(invoice.tax_amount),
        "total": say.money(invoice.total_amount),
        "terms": labels["terms"].format(day=say.day(invoice.due_on), days=days),
    }


class _Formats:
    """Numbers and days as a language writes them; decimals as ISO 4217 has them."""

    def __init__(self, language: str, currency: str) -> None:
        self.locale = Locale.parse(language)
        decimals = exponent(currency)
        self.payable = "#,##0" + ("." + "0" * decimals if decimals else "")

    def money(self, amount: Decimal) -> str:
        return format_decimal(amount, format=self.payable, locale=self.locale)

    def number(self, value: Decimal) -> str:
        """All that is there and no more."""
        return format_decimal(value, format="#,##0.############", locale=self.locale)

    def percent(self, value: Decimal) -> str:
        return f"{self.number(value)}\N{NO-BREAK SPACE}%"

    def day(self, day: date) -> str:
        return format_date(day, format="medium", locale=self.locale)

    def period(self, starts_on: date, ends_on: date) -> str:
        """As people say it, the last day included; `ends_on` is exclusive."""
        last = ends_on - timedelta(days=1)
        ends = [format_date(day, format="medium", locale=self.locale) for day in (starts_on, last)]
        return ends[0] if starts_on == last else " – ".join(ends)


def _discount(line: InvoiceLine, say: _Formats) -> str:
    """ "119.00 incl. 19 % · 100.00 · Welcome −10.00": what was told, and what brings it down to the amount."""
    told = []
    if line.inclusive_amount is not None:
        told = [f"{say.money(line.inclusive_amount)} incl. {say.percent(line.tax_percent)}"]
    if not line.discount_amount:
        return " · ".join(told)
    gross = EXACT.add(line.net_amount, line.discount_amount)
    amounts = [(each["name"], Decimal(each["amount"])) for each in line.derivation.get("discounts", ())]
    named = [f"{name} {say.money(-amount)}" for name, amount in amounts if amount]
    return " · ".join([*told, say.money(gross), *(named or [say.money(-line.discount_amount)])])


def _party(party: Mapping, language: str) -> dict:
    address = party.get("address") or {}
    town = " ".join(str(address[key]) for key in ("postal_code", "city") if address.get(key))
    places = [address.get("line1"), address.get("line2"), town, address.get("region")]
    code = address.get("country") or party["country"]
    country = Locale.parse(language).territories.get(code, code)
    return {
        "name": party["legal_name"],
        "address": [str(place) for place in [*places, country] if place],
        "tax_id": party["tax_id"] or "",
        "email": party["email"] or "",
    }
