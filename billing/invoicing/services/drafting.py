from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.invoicing.errors import NotTheSeller, PriceMissing
from billing.invoicing.metering import RatedLine, claim_usage
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax, LineKind
from billing.invoicing.services.taxing import TaxTable
from billing.invoicing.states import InvoiceState
from billing.invoicing.tax import breakdown
from billing.kernel import audit
from billing.kernel.money import EXACT, round_half_up, split_exact, total_of
from billing.subscriptions.models import PriceModel


@transaction.atomic
def draft_invoices(
    *,
    actor: str,
    seller_id: UUID,
    customer_ids: Sequence[UUID],
    as_of: date,
    run_id: UUID | None = None,
) -> list[Invoice]:
    """Draft what the customers used before the month of `as_of`: one invoice per customer, currency and month.

    Drafting again makes the drafts anew under their old ids; issued invoices are never touched. Usage
    that came too late for its month's invoice goes to the next.
    Raises NotTheSeller, PriceMissing, TaxRateMissing, and then nothing is drafted.
    """
    seller = BillingEntity.objects.get(pk=seller_id)
    if not seller.is_seller:
        raise NotTheSeller(f"{seller} does not sell.")
    # Everything about one customer's invoices happens one after the other.
    customers = {c.pk: c for c in BillingEntity.objects.locked().filter(pk__in=customer_ids)}
    previous = _take_back_drafts(seller=seller, customer_ids=list(customers))
    rated = claim_usage(seller_id=seller.pk, customer_ids=list(customers), cutoff=as_of.replace(day=1))
    _require_prices(rated, customers)

    taxes = TaxTable.load()
    invoices, lines, tax_rows = [], [], []
    for key, group in groupby(rated, key=lambda line: (line.customer_id, line.currency, line.billed_month)):
        customer_id, currency, month = key
        invoice = Invoice(
            seller=seller,
            customer=customers[customer_id],
            currency=currency,
            period_starts_on=month,
            period_ends_on=month_after(month),
            billing_key=f"usage:{month}",
            run_id=run_id,
        )
        if old := previous.get((customer_id, currency, invoice.billing_key)):
            invoice.id, invoice.version = old.pk, old.version + 1
        made = _lines(invoice, list(group), taxes)
        taxed = _taxes(invoice, made)
        invoice.net_amount = total_of([line.net_amount for line in made])
        invoice.tax_amount = total_of([row.tax_amount for row in taxed])
        invoice.total_amount = invoice.net_amount + invoice.tax_amount
        invoices.append(invoice)
        lines += made
        tax_rows += taxed
    Invoice.objects.bulk_create(invoices)
    InvoiceLine.objects.bulk_create(lines)
    InvoiceTax.objects.bulk_create(tax_rows)
    audit.record_all(
        [audit.line(actor=actor, action="invoice.drafted", subject=invoice) for invoice in invoices]
    )
    return invoices


def month_after(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _take_back_drafts(
    *, seller: BillingEntity, customer_ids: list[UUID]
) -> dict[tuple[UUID, str, str], Invoice]:
    """Delete the usage drafts with their lines and claims; their ids are used again."""
    drafts = list(
        Invoice.objects.locked().filter(
            seller=seller,
            customer_id__in=customer_ids,
            state=InvoiceState.DRAFT,
            billing_key__startswith="usage:",
        )
    )
    Invoice.objects.filter(pk__in=[draft.pk for draft in drafts]).delete()
    return {(draft.customer_id, draft.currency, draft.billing_key): draft for draft in drafts}


def _require_prices(rated: list[RatedLine], customers: dict[UUID, BillingEntity]) -> None:
    missing = sorted(
        {
            f"{line.product_code} in {line.currency} for {customers[line.customer_id].code}"
            for line in rated
            if line.price_id is None
        }
    )
    if missing:
        raise PriceMissing(f"No price for {', '.join(missing)}.", missing=missing)


def _lines(invoice: Invoice, rated: list[RatedLine], taxes: TaxTable) -> list[InvoiceLine]:
    """Metered lines are rounded each; costs passed through are one stream, rounded once and split."""
    nets = _nets(rated, invoice.currency)
    treated = {
        category: taxes.treat(
            seller=invoice.seller,
            customer=invoice.customer,
            category=category,
            on=invoice.period_ends_on - timedelta(days=1),
        )
        for category in {line.tax_category for line in rated}
    }
    return [
        InvoiceLine(
            id=line.line_id,
            invoice=invoice,
            position=position,
            kind=LineKind.USAGE,
            product_id=line.product_id,
            description=line.product_name,
            quantity=line.quantity,
            unit=line.unit,
            unit_price=line.unit_price,
            net_amount=net,
            currency=invoice.currency,
            tax_category=treated[line.tax_category][0],
            tax_percent=treated[line.tax_category][1],
            gl_code=line.product_gl_code,
            service_starts_on=line.service_month,
            service_ends_on=month_after(line.service_month),
            derivation=_derivation(line),
        )
        for position, (line, net) in enumerate(zip(rated, nets, strict=True), start=1)
    ]


def _nets(rated: list[RatedLine], currency: str) -> list[Decimal]:
    exact = [line.exact for line in rated]
    passed = [i for i, line in enumerate(rated) if line.model == PriceModel.PASS_THROUGH]
    stream = [exact[i] for i in passed]
    split = split_exact(round_half_up(total_of(stream), currency), stream, currency)
    of_stream = dict(zip(passed, split, strict=True))
    return [
        of_stream[i] if i in of_stream else round_half_up(amount, currency) for i, amount in enumerate(exact)
    ]


def _derivation(line: RatedLine) -> dict:
    """How the amount came about, exactly and as text, so that it can be computed again."""
    return {
        "from": "usage",
        "price": str(line.price_id),
        "model": line.model,
        "unit_price": _text(line.unit_price),
        "markup_percent": _text(line.markup_percent),
        "events": line.event_count,
        "exact": _text(line.exact),
        "rounding": "stream" if line.model == PriceModel.PASS_THROUGH else "line",
        "shares": [
            {
                "department": str(share.department_id) if share.department_id else None,
                "quantity": _text(share.quantity),
                "cost": _text(share.cost),
                "exact": _text(line.exact_of(share)),
            }
            for share in line.shares
        ],
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize(EXACT):f}"


def _taxes(invoice: Invoice, lines: list[InvoiceLine]) -> list[InvoiceTax]:
    rows = breakdown(
        [(line.tax_category, line.tax_percent, line.net_amount) for line in lines], invoice.currency
    )
    return [
        InvoiceTax(
            invoice=invoice,
            category=row.category,
            percent=row.percent,
            taxable_amount=row.taxable_amount,
            tax_amount=row.tax_amount,
            currency=invoice.currency,
            exemption_reason=row.exemption_reason,
        )
        for row in rows
    ]
