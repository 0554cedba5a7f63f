from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.entities.queries import seller_of
from billing.entities.states import EntityState
from billing.invoicing.discounts.services.application import DiscountTable
from billing.invoicing.drafting.services.composition import Composed, compose
from billing.invoicing.drafting.services.drafts import save_rows
from billing.invoicing.drafting.services.one_off_lines import OneOffLine, as_written, one_off_lines
from billing.invoicing.errors import (
    InvoiceNotDraft,
    NegativeTotal,
    NothingToInvoice,
    NotOneOff,
    NotTheSeller,
    OneOffKeyTaken,
)
from billing.invoicing.invoices.core.draft_lines import ONE_OFF, DraftLine
from billing.invoicing.models import Invoice, InvoiceLine, InvoiceTax
from billing.invoicing.services.taxing import TaxTable
from billing.invoicing.states import InvoiceState
from billing.kernel import audit, money
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.ids import uuid7
from billing.kernel.versions import require_version

ONE_OFF_LINES_MAX = 200
KEY_MAX = 64


@dataclass(frozen=True, kw_only=True)
class InvoicePreview:
    """An invoice that was made and undone: its rows as they were."""

    invoice: Invoice
    lines: list[InvoiceLine]
    taxes: list[InvoiceTax]


@transaction.atomic
def draft_one_off_invoice(
    *,
    actor: str,
    seller_id: UUID,
    customer_id: UUID,
    currency: str,
    lines: Sequence[OneOffLine],
    as_of: date,
    issue_on: date | None = None,
    key: str = "",
) -> Invoice:
    """A draft of what an operator writes down, in the order of `lines`, to be looked at and issued.

    With `issue_on` the first billing run of that day or later issues it; without, `issue_invoice` does. Its
    tax follows the last service day, or `issue_on` (else `as_of`) where that comes first. A repeat under
    the same `key` is the same invoice; with other lines it raises OneOffKeyTaken. Raises NotFound,
    NotTheSeller, NothingToInvoice, NegativeTotal, TaxRateMissing, Invalid.
    """
    seller, customer = _parties(seller_id, customer_id)
    money.exponent(currency)  # refuses what is no currency
    if len(key) > KEY_MAX:
        raise Invalid(f"A key has at most {KEY_MAX} characters.", field="key")
    invoice = Invoice(
        seller=seller,
        customer=customer,
        currency=currency,
        billing_key=f"{ONE_OFF}:{key or uuid7()}",
        issue_on=issue_on,
    )
    made = _made(invoice, lines)
    same = Invoice.objects.filter(
        seller=seller, customer=customer, currency=currency, billing_key=invoice.billing_key
    ).exclude(state=InvoiceState.VOID)
    if known := same.first():
        _require_same(known, lines, made)
        if known.issue_on != issue_on:
            raise OneOffKeyTaken(f"{known} has that key and another day of issue.")
        return known
    composed = _composed(invoice, made, as_of=issue_on or as_of)
    invoice.save(force_insert=True)
    save_rows([composed])
    audit.record(actor=actor, action="invoice.drafted", subject=invoice)
    return invoice


@transaction.atomic
def revise_one_off_invoice(
    *,
    actor: str,
    invoice_id: UUID,
    lines: Sequence[OneOffLine],
    as_of: date,
    issue_on: date | None = None,
    version: int | None = None,
) -> Invoice:
    """Replace all lines of a one-off draft, and the day on which a run issues it.

    Raises NotFound, NotOneOff, InvoiceNotDraft, PreconditionFailed, and what drafting it raises.
    """
    invoice = _locked_draft(invoice_id, version)
    invoice.lines.all().delete()
    invoice.taxes.all().delete()
    invoice.issue_on, invoice.failure = issue_on, None
    composed = _composed(invoice, _made(invoice, lines), as_of=issue_on or as_of)
    invoice.save()
    save_rows([composed])
    invoice.refresh_from_db()
    audit.record(actor=actor, action="invoice.revised", subject=invoice)
    return invoice


@transaction.atomic
def delete_one_off_invoice(*, actor: str, invoice_id: UUID, version: int | None = None) -> None:
    """Drop a one-off draft: it had no number, so nothing is missing. The audit trail keeps what it was.

    Raises NotFound, NotOneOff, InvoiceNotDraft, PreconditionFailed.
    """
    invoice = _locked_draft(invoice_id, version)
    audit.record(
        actor=actor,
        action="invoice.deleted",
        subject=invoice,
        detail={"key": invoice.billing_key, "total": invoice.total_amount, "currency": invoice.currency},
    )
    invoice.delete()


@transaction.atomic
def preview_one_off_invoice(*, as_of: date, **terms: object) -> InvoicePreview:
    """What `draft_one_off_invoice` with the same terms would draft, by the same code. Changes nothing."""
    return _undone(draft_one_off_invoice(actor="preview", as_of=as_of, **terms))


@transaction.atomic
def preview_one_off_revision(*, invoice_id: UUID, as_of: date, **terms: object) -> InvoicePreview:
    """What `revise_one_off_invoice` with the same terms would make of the draft. Changes nothing."""
    return _undone(revise_one_off_invoice(actor="preview", invoice_id=invoice_id, as_of=as_of, **terms))


def _undone(made: Invoice) -> InvoicePreview:
    """Its rows are read, then the transaction of the caller is rolled back."""
    invoice = Invoice.objects.get(pk=made.pk)
    shown = InvoicePreview(
        invoice=invoice,
        lines=list(invoice.lines.order_by("position")),
        taxes=list(invoice.taxes.order_by("category", "percent")),
    )
    transaction.set_rollback(True)
    return shown


def _parties(seller_id: UUID, customer_id: UUID) -> tuple[BillingEntity, BillingEntity]:
    """Under the customer's lock, as everything about its invoices."""
    customer = BillingEntity.objects.locked().filter(pk=customer_id).first()
    seller = BillingEntity.objects.filter(pk=seller_id).first()
    if customer is None or seller is None:
        raise NotFound("There is no such entity.")
    if not seller.is_seller or seller_of(customer) != seller:
        raise NotTheSeller(f"{seller} does not sell to {customer}.")
    if customer.state == EntityState.CLOSED:
        raise NotFound(f"{customer} is closed.")
    return seller, customer


def _locked_draft(invoice_id: UUID, version: int | None) -> Invoice:
    customer_id = Invoice.objects.filter(pk=invoice_id).values_list("customer_id", flat=True).first()
    if customer_id is None:
        raise NotFound("There is no such invoice.")
    BillingEntity.objects.locked().get(pk=customer_id)
    invoice = Invoice.objects.locked().filter(pk=invoice_id).first()
    if invoice is None:
        raise NotFound("There is no such invoice.")
    require_version(invoice, version)
    if not invoice.billing_key.startswith(f"{ONE_OFF}:"):
        raise NotOneOff("It is drafted from usage and subscriptions: change those, and draft again.")
    if invoice.state != InvoiceState.DRAFT:
        raise InvoiceNotDraft(f"{invoice} is {invoice.state}. Void it and draft another.")
    return invoice


def _made(invoice: Invoice, lines: Sequence[OneOffLine]) -> list[DraftLine]:
    if not lines:
        raise NothingToInvoice("An invoice has at least one line.")
    if len(lines) > ONE_OFF_LINES_MAX:
        raise Invalid(f"A one-off invoice has at most {ONE_OFF_LINES_MAX} lines.", field="lines")
    return one_off_lines(
        lines,
        seller=invoice.seller,
        customer=invoice.customer,
        currency=invoice.currency,
        key=invoice.billing_key,
    )


def _composed(invoice: Invoice, lines: Sequence[DraftLine], *, as_of: date) -> Composed:
    composed, _ = compose(
        invoice,
        lines,
        taxes=TaxTable.load(customer_ids=[invoice.customer_id]),
        discounts=DiscountTable.load(customer_ids=[invoice.customer_id], lines=lines).begin(),
        as_of=as_of,
    )
    if invoice.total_amount < 0:
        raise NegativeTotal(
            f"The credits exceed the charges: {invoice.total_amount} {invoice.currency}.",
            total_amount=str(invoice.total_amount),
        )
    return composed


def _require_same(known: Invoice, lines: Sequence[OneOffLine], made: Sequence[DraftLine]) -> None:
    """A repeat may say nothing else than the first time, or it would be believed and forgotten."""
    asked = [replace(line, description=draft.description) for line, draft in zip(lines, made, strict=True)]
    if [as_written(line) for line in known.lines.order_by("position")] != asked:
        raise OneOffKeyTaken(f"{known} has that key and says something else.")
