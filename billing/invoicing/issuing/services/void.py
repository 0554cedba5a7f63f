from datetime import date
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing.invoicing.drafting.hooks import CLAIMS
from billing.invoicing.errors import ChildOfConsolidation, InvoiceHasSettlements
from billing.invoicing.events import InvoiceVoided
from billing.invoicing.models import (
    AllocationBasis,
    CostAllocation,
    Invoice,
)
from billing.invoicing.queries import live_allocations, live_consolidations
from billing.invoicing.states import INVOICE_MOVES
from billing.kernel import audit, events
from billing.kernel.states import next_state
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.ledger.models import JournalEntry
from billing.ledger.queries import posting_day


@transaction.atomic
def void_invoice(
    *, actor: str, invoice_id: UUID, voided_on: date, reason: str, version: int | None = None
) -> Invoice:
    """Take an issued invoice back: it keeps its number, its booking is mirrored, what it billed is free again.

    Raises IllegalMove, InvoiceHasSettlements once money or credit has moved on it, ChildOfConsolidation while
    it is in one, PreconditionFailed.
    """
    invoice = Invoice.objects.locked().get(pk=invoice_id)
    require_version(invoice, version)
    new_state = next_state(INVOICE_MOVES, action="void", current=invoice.state)
    if invoice.paid_amount or invoice.credited_amount or invoice.written_off_amount:
        raise InvoiceHasSettlements(f"{invoice.number} is partly settled; it can no longer be voided.")
    if parents := live_consolidations([invoice.pk]):
        raise ChildOfConsolidation(f"{invoice.number} is part of {parents[invoice.pk]}: void that first.")

    CostAllocation.objects.bulk_create(
        mirror_of(share, basis=AllocationBasis.VOID, reason=reason)
        for share in live_allocations(invoice=invoice)
    )
    _unbook(invoice, actor=actor, voided_on=voided_on, reason=reason)
    invoice.state = new_state
    invoice.save(update_fields=["state"])
    for claims in CLAIMS:
        claims.objects.filter(line__invoice=invoice, released_at__isnull=True).update(
            released_at=timezone.now()
        )

    audit.record(actor=actor, action="invoice.voided", subject=invoice, reason=reason)
    events.publish(InvoiceVoided(invoice_id=invoice.pk, entity_id=invoice.customer_id))
    return invoice


def mirror_of(share: CostAllocation, *, basis: str, reason: str) -> CostAllocation:
    """The row that takes a posted share back."""
    return CostAllocation(
        line_id=share.line_id,
        invoice_id=share.invoice_id,
        entity_id=share.entity_id,
        department_id=share.department_id,
        gl_code=share.gl_code,
        gl_source=share.gl_source,
        gl_mapping_id=share.gl_mapping_id,
        rule_version_id=share.rule_version_id,
        net_amount=-share.net_amount,
        tax_amount=-share.tax_amount,
        currency=share.currency,
        basis=basis,
        reverses=share,
        reason=reason,
    )


def _unbook(invoice: Invoice, *, actor: str, voided_on: date, reason: str) -> None:
    """Mirror the issue and every later move of cost between departments."""
    moved = CostAllocation.objects.filter(invoice=invoice, reverses__isnull=True).values_list("pk", flat=True)
    sources = [f"invoice:{invoice.pk}", *(f"allocation:{pk}" for pk in moved)]
    booked = JournalEntry.objects.filter(source__in=sources, reverses__isnull=True).order_by("pk")
    if entry_ids := list(booked.values_list("pk", flat=True)):
        ledger.reverse_entries(
            entry_ids=entry_ids,
            actor=actor,
            posted_on=posting_day(entity_id=invoice.seller_id, day=voided_on),
            reason=reason,
        )
