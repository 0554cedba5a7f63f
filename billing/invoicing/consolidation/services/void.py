from datetime import date
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing.invoicing.errors import ConsolidationHasSettlements
from billing.invoicing.events import ConsolidatedInvoiceVoided
from billing.invoicing.models import ConsolidatedInvoice, Invoice
from billing.invoicing.states import CONSOLIDATED_MOVES
from billing.kernel import audit, events
from billing.kernel.errors import Invalid
from billing.kernel.states import next_state
from billing.kernel.versions import require_version


@transaction.atomic
def void_consolidated_invoice(
    *,
    actor: str,
    consolidated_invoice_id: UUID,
    voided_on: date,
    reason: str,
    version: int | None = None,
) -> ConsolidatedInvoice:
    """Take a consolidation back: it keeps its number, and its children are each collected by itself again.

    Nothing was booked, so nothing is mirrored. Raises IllegalMove, PreconditionFailed, Invalid for a day before
    it was issued, ConsolidationHasSettlements once money or credit has moved on a child.
    """
    document = ConsolidatedInvoice.objects.locked().get(pk=consolidated_invoice_id)
    require_version(document, version)
    new_state = next_state(CONSOLIDATED_MOVES, action="void", current=document.state)
    if voided_on < document.issued_on:
        raise Invalid(f"{document} was issued on {document.issued_on}; it cannot be voided before.")
    settled_before = dict(document.children.values_list("invoice_id", "settled_before_amount"))
    for invoice in Invoice.objects.locked().filter(pk__in=settled_before):
        if invoice.total_amount - invoice.balance_amount != settled_before[invoice.pk]:
            raise ConsolidationHasSettlements(
                f"{invoice} was settled, at least in part, since it is on {document}.",
                invoice=str(invoice.pk),
            )
    document.state, document.voided_on = new_state, voided_on
    document.save(update_fields=["state", "voided_on"])
    document.children.update(released_at=timezone.now())

    audit.record(
        actor=actor,
        action="consolidated_invoice.voided",
        subject=document,
        reason=reason,
        detail={"number": document.number, "voided_on": voided_on},
    )
    events.publish(
        ConsolidatedInvoiceVoided(consolidated_invoice_id=document.pk, entity_id=document.payer_id)
    )
    return document
