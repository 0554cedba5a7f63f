from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.invoicing.consolidation.services.selection import (
    CurrencyTotal,
    Gathering,
    Span,
    gather,
    lock_candidates,
)
from billing.invoicing.errors import MissingChildren, NothingToConsolidate, NotTheSeller
from billing.invoicing.events import ConsolidatedInvoiceIssued
from billing.invoicing.invoices.models import CONSOLIDATED
from billing.invoicing.invoices.services.numbering import fiscal_year_of, number_text, take_numbers
from billing.invoicing.issuing.services.issue import party
from billing.invoicing.models import ConsolidatedInvoice, ConsolidatedTotal, Invoice
from billing.invoicing.states import ConsolidatedState
from billing.kernel import audit, events
from billing.kernel.errors import Invalid, NotFound


@dataclass(frozen=True)
class Consolidated:
    """The document, whether it is new, and the drafts of the group that are not on it."""

    document: ConsolidatedInvoice
    is_new: bool
    missing: list[Invoice]


def preview_consolidation(
    *, payer_id: UUID, seller_id: UUID, period_starts_on: date, period_ends_on: date, issued_on: date
) -> Gathering:
    """What `consolidate_invoices` would gather, and which drafts would be missing. Changes nothing.

    Raises NotFound, NotTheSeller, Invalid, ExchangeRateMissing, ConsolidationTooLarge.
    """
    span = Span(
        payer_id=payer_id,
        seller_id=seller_id,
        period_starts_on=period_starts_on,
        period_ends_on=period_ends_on,
        issued_on=issued_on,
    )
    _require_period(span)
    _, payer = _parties(span)
    return gather(span, currency=payer.currency)


@transaction.atomic
def consolidate_invoices(
    *,
    actor: str,
    payer_id: UUID,
    seller_id: UUID,
    period_starts_on: date,
    period_ends_on: date,
    issued_on: date,
    allow_missing: bool = False,
) -> Consolidated:
    """Gather the open invoices of the payer's group that the seller issued in the period into one document.

    The period is half-open, over the days of issue; what was issued after `issued_on` is left for a further
    document. Nothing is booked: each child keeps its booking, tax, shares and number, and is settled through
    the document from now on. With nothing new to gather, the period's last document is returned as it is.

    Raises NotFound, NotTheSeller, Invalid; MissingChildren if drafts of the group would be left out, unless
    `allow_missing`; NothingToConsolidate; ExchangeRateMissing; ConsolidationTooLarge; IssueDayBeforeLast.
    """
    span = Span(
        payer_id=payer_id,
        seller_id=seller_id,
        period_starts_on=period_starts_on,
        period_ends_on=period_ends_on,
        issued_on=issued_on,
    )
    _require_period(span)
    BillingEntity.objects.locked().filter(pk=payer_id).first()  # of two runs for one payer the second waits
    seller, payer = _parties(span)
    found = gather(span, currency=payer.currency, only=lock_candidates(span))
    before = _documents(span)
    if before and not found.totals:
        return Consolidated(document=before[-1], is_new=False, missing=found.missing)
    if found.missing and not allow_missing:
        raise MissingChildren(
            f"{len(found.missing)} invoice(s) of the group are still drafts. Issue them first, or leave them out.",
            drafts=[str(draft.pk) for draft in found.missing],
        )
    if not found.totals:
        raise NothingToConsolidate(f"{payer} has nothing open to consolidate.")

    document = _number(found, seller, payer, part=before[-1].part + 1 if before else 1)
    found.insert_children(document.pk)
    ConsolidatedTotal.objects.bulk_create([_row(document, total) for total in found.totals])

    audit.record(
        actor=actor,
        action="consolidated_invoice.issued",
        subject=document,
        detail={
            "number": document.number,
            "children": document.child_count,
            "totals": {total.currency: total.total_amount for total in found.totals},
            "left_out": [draft.pk for draft in found.missing],
        },
    )
    events.publish(
        ConsolidatedInvoiceIssued(consolidated_invoice_id=document.pk, entity_id=document.payer_id)
    )
    return Consolidated(document=document, is_new=True, missing=found.missing)


def _require_period(span: Span) -> None:
    if span.period_ends_on <= span.period_starts_on:
        raise Invalid("The period ends after it starts.", field="period_ends_on")
    if span.issued_on < span.period_starts_on:
        raise Invalid(
            f"What is issued from {span.period_starts_on} on is not consolidated before.", field="issued_on"
        )
    if span.payer_id == span.seller_id:
        raise Invalid("A seller does not pay itself.", field="payer")


def _parties(span: Span) -> tuple[BillingEntity, BillingEntity]:
    found = BillingEntity.objects.in_bulk([span.seller_id, span.payer_id])
    if len(found) < 2:
        raise NotFound("There is no such entity.")
    seller, payer = found[span.seller_id], found[span.payer_id]
    if not seller.is_seller:
        raise NotTheSeller(f"{seller} does not sell.")
    return seller, payer


def _documents(span: Span) -> list[ConsolidatedInvoice]:
    """The live ones of the payer, seller and period, the last one last."""
    live = ConsolidatedInvoice.objects.exclude(state=ConsolidatedState.VOID).filter(
        seller_id=span.seller_id,
        payer_id=span.payer_id,
        period_starts_on=span.period_starts_on,
        period_ends_on=span.period_ends_on,
    )
    return list(live.order_by("part"))


def _number(
    found: Gathering, seller: BillingEntity, payer: BillingEntity, *, part: int
) -> ConsolidatedInvoice:
    span = found.span
    year = fiscal_year_of(span.issued_on, starts_in=seller.fiscal_year_starts_in)
    [sequence] = take_numbers(
        seller_id=seller.pk, series=CONSOLIDATED, fiscal_year=year, issued_on=span.issued_on
    )
    return ConsolidatedInvoice.objects.create(
        seller=seller,
        payer=payer,
        series=CONSOLIDATED,
        fiscal_year=year,
        sequence=sequence,
        number=number_text(series=CONSOLIDATED, fiscal_year=year, sequence=sequence),
        currency=found.currency,
        period_starts_on=span.period_starts_on,
        period_ends_on=span.period_ends_on,
        part=part,
        issued_on=span.issued_on,
        due_on=span.issued_on + timedelta(days=payer.payment_terms_days),
        child_count=found.child_count,
        converted_amount=found.converted_amount,
        snapshot={
            "seller": party(seller),
            "payer": party(payer),
            "payment_terms_days": payer.payment_terms_days,
        },
    )


def _row(document: ConsolidatedInvoice, total: CurrencyTotal) -> ConsolidatedTotal:
    rate = total.rate
    return ConsolidatedTotal(
        consolidated_invoice=document,
        currency=total.currency,
        child_count=total.child_count,
        net_amount=total.net_amount,
        tax_amount=total.tax_amount,
        total_amount=total.total_amount,
        exchange_rate=rate,
        rate=rate.rate if rate else Decimal(1),
        rate_on=rate.rate_on if rate else None,
        rate_source=rate.source if rate else "",
        converted_amount=total.converted_amount,
        converted_currency=document.currency,
    )
