"""From lines in the making to an invoice: which credits fit, what is rounded and taken off, and what tax it comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import models

from billing.invoicing.discounts.services.application import Discounts, Reduced
from billing.invoicing.invoices.core.draft_lines import DraftLine, nets_of
from billing.invoicing.models import DiscountUse, Invoice, InvoiceLine, InvoiceTax
from billing.invoicing.services.taxing import TaxTable, Treatment
from billing.kernel.money import round_half_up, total_of
from billing.tax.core.inclusive_prices import before_tax
from billing.tax.core.tax import LATE_PAYMENT, breakdown, exemption_reason

Treated = dict[tuple[str, bool], Treatment]  # by a product's tax category, and whether it is goods


@dataclass
class Composed:
    invoice: Invoice
    lines: list[InvoiceLine]
    taxes: list[InvoiceTax]
    claims: list[models.Model]  # what each line bills
    uses: list[DiscountUse]


def compose(
    invoice: Invoice, lines: Sequence[DraftLine], *, taxes: TaxTable, discounts: Discounts, as_of: date
) -> tuple[Composed | None, list[DraftLine]]:
    """The invoice over the lines, and those that wait; None if all of them wait.

    Credits that may wait join the oldest first, each as a whole, and only while the total is not negative,
    tax included; one that does not fit is passed over. Raises TaxRateMissing, TaxIdMissing.
    """
    _set_period(invoice, lines)
    treated = _treated(invoice, lines, taxes, as_of)
    credits = sorted((line for line in lines if line.may_wait), key=lambda line: line.owed_on)
    reduced = discounts.off(invoice, lines, _grosses(lines, treated, invoice.currency))
    joined = _that_fit(
        [line for line in lines if not line.may_wait], credits, treated, reduced, invoice.currency
    )
    while True:
        kept = {line.line_id for line in joined}
        left = [line for line in lines if line.line_id not in kept]
        if not joined:
            return None, left
        _set_period(invoice, joined)
        on_it = [line for line in lines if line.line_id in kept]
        reduced = discounts.off(invoice, on_it, _grosses(on_it, treated, invoice.currency))
        done = _composed(invoice, on_it, treated, reduced)
        # Lines rounded together may come to a cent less than each of them by itself.
        if invoice.total_amount >= 0 or not joined[-1].may_wait:
            discounts.note(reduced)
            return done, left
        joined.pop()


def _that_fit(
    joined: list[DraftLine],
    credits: Sequence[DraftLine],
    treated: Treated,
    reduced: Reduced,
    currency: str,
) -> list[DraftLine]:
    taxable: dict[Treatment, Decimal] = {}

    def total_with(line: DraftLine) -> Decimal:
        key, net = treated[line.supply], reduced.net(line.line_id)
        with_it = taxable | {key: taxable.get(key, Decimal(0)) + net}
        rows = breakdown([(key.category, key.percent, net) for key, net in with_it.items()], currency)
        return total_of([amount for row in rows for amount in (row.taxable_amount, row.tax_amount)])

    def join(line: DraftLine) -> None:
        key = treated[line.supply]
        taxable[key] = taxable.get(key, Decimal(0)) + reduced.net(line.line_id)

    for line in joined:
        join(line)
    joined = list(joined)
    for line in credits:
        if total_with(line) >= 0:
            join(line)
            joined.append(line)
    return joined


def _set_period(invoice: Invoice, lines: Sequence[DraftLine]) -> None:
    """Usage has its month; what is subscribed, all the days of its lines. Late fees are of another time."""
    if not invoice.billing_key.startswith("usage:"):
        spanning = [line for line in lines if line.product_id] or lines
        invoice.period_starts_on = min(line.service_starts_on for line in spanning)
        invoice.period_ends_on = max(line.service_ends_on for line in spanning)


def _treated(invoice: Invoice, lines: Sequence[DraftLine], taxes: TaxTable, as_of: date) -> Treated:
    """By the last day of the period, or the day of drafting for what is billed in advance."""
    on = min(invoice.period_ends_on - timedelta(days=1), as_of)
    return {
        (category, is_goods): taxes.treat(
            seller=invoice.seller, customer=invoice.customer, category=category, is_goods=is_goods, on=on
        )
        for category, is_goods in {line.supply for line in lines}
    }


def _grosses(lines: Sequence[DraftLine], treated: Treated, currency: str) -> dict[UUID, Decimal]:
    """What each line comes to before tax and discounts, if these are all that are on the invoice."""
    rounded = nets_of([(line.exact, line.in_stream) for line in lines], currency)
    amounts = {line.line_id: amount for line, amount in zip(lines, rounded, strict=True)}
    taxed = {line.line_id: treated[line.supply][:2] for line in lines}
    inclusive = [line.line_id for line in lines if line.tax_inclusive]
    return before_tax(amounts, taxed, inclusive, currency)


def _composed(invoice: Invoice, lines: Sequence[DraftLine], treated: Treated, reduced: Reduced) -> Composed:
    made = _lines(invoice, lines, treated, reduced)
    certificate = next((t.certificate for t in treated.values() if t.certificate), "")
    taxed = _taxes(invoice, made, certificate)
    invoice.net_amount = total_of([line.net_amount for line in made])
    invoice.tax_amount = total_of([row.tax_amount for row in taxed])
    invoice.total_amount = invoice.net_amount + invoice.tax_amount
    claims = [line.claim for line in lines if line.claim]
    return Composed(invoice, made, taxed, claims, reduced.uses(invoice.currency))


def _lines(
    invoice: Invoice, lines: Sequence[DraftLine], treated: Treated, reduced: Reduced
) -> list[InvoiceLine]:
    return [
        InvoiceLine(
            id=line.line_id,
            invoice=invoice,
            position=position,
            kind=line.kind,
            product_id=line.product_id,
            description=line.description,
            quantity=line.quantity,
            unit=line.unit,
            unit_price=line.unit_price,
            inclusive_unit_price=line.inclusive_unit_price,
            inclusive_amount=round_half_up(line.exact, invoice.currency) if line.tax_inclusive else None,
            discount_amount=reduced.discounts[line.line_id],
            net_amount=reduced.net(line.line_id),
            currency=invoice.currency,
            tax_category=treated[line.supply].category,
            tax_percent=treated[line.supply].percent,
            gl_code=line.gl_code,
            service_starts_on=line.service_starts_on,
            service_ends_on=line.service_ends_on,
            derivation=reduced.told(line),
        )
        for position, line in enumerate(lines, start=1)
    ]


def _taxes(invoice: Invoice, lines: Sequence[InvoiceLine], certificate: str) -> list[InvoiceTax]:
    rows = breakdown(
        [(line.tax_category, line.tax_percent, line.net_amount) for line in lines], invoice.currency
    )
    sold = {(line.tax_category, line.tax_percent) for line in lines if line.product_id}
    return [
        InvoiceTax(
            invoice=invoice,
            category=row.category,
            percent=row.percent,
            taxable_amount=row.taxable_amount,
            tax_amount=row.tax_amount,
            currency=invoice.currency,
            exemption_reason=exemption_reason(row.category, certificate)
            if (row.category, row.percent) in sold
            else LATE_PAYMENT,
        )
        for row in rows
    ]
