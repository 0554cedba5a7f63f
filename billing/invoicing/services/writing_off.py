from datetime import date
from uuid import UUID

from django.db import transaction

from billing.invoicing.events import InvoiceWrittenOff
from billing.invoicing.models import Invoice
from billing.invoicing.states import INVOICE_MOVES
from billing.kernel import audit, events
from billing.kernel.errors import Invalid
from billing.kernel.money import round_half_up
from billing.kernel.states import next_state
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.ledger.accounts import BAD_DEBT, RECEIVABLE
from billing.ledger.postings import EntryDraft, credit, debit
from billing.ledger.queries import posting_day


@transaction.atomic
def write_off_invoice(
    *, actor: str, invoice_id: UUID, written_off_on: date, reason: str, version: int | None = None
) -> Invoice:
    """Give up what is still open on an issued invoice: it becomes bad debt, and the invoice uncollectible.

    What it billed stays billed, and revenue and tax as they are. Raises IllegalMove, PreconditionFailed, and
    Invalid for a day before it was issued.
    """
    invoice = Invoice.objects.locked().get(pk=invoice_id)
    require_version(invoice, version)
    new_state = next_state(INVOICE_MOVES, action="write_off", current=invoice.state)
    if written_off_on < invoice.issued_on:
        raise Invalid(f"{invoice.number} was issued on {invoice.issued_on}; it cannot be written off before.")
    amount = round_half_up(invoice.balance_amount, invoice.currency)

    customer = {"customer_id": invoice.customer_id}
    ledger.post_entries(
        [
            EntryDraft(
                entity_id=invoice.seller_id,
                posted_on=posting_day(entity_id=invoice.seller_id, day=written_off_on),
                source=f"invoice:{invoice.pk}",
                event="written_off",
                description=f"Write-off of {invoice.number}"[:200],
                lines=(
                    debit(BAD_DEBT, amount, invoice.currency, **customer),
                    credit(RECEIVABLE, amount, invoice.currency, **customer),
                ),
            )
        ]
    )
    invoice.state = new_state
    invoice.written_off_amount = amount
    invoice.save(update_fields=["state", "written_off_amount"])

    audit.record(
        actor=actor,
        action="invoice.written_off",
        subject=invoice,
        reason=reason,
        detail={"amount": amount, "currency": invoice.currency},
    )
    events.publish(InvoiceWrittenOff(invoice_id=invoice.pk, entity_id=invoice.customer_id))
    return invoice
