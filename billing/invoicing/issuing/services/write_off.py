from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.invoicing.approval import proposed_write_off
from billing.invoicing.errors import RecoveryExceedsWriteOff
from billing.invoicing.events import InvoiceRecovered, InvoiceWrittenOff
from billing.invoicing.models import Invoice
from billing.invoicing.states import INVOICE_MOVES
from billing.kernel import audit, events
from billing.kernel.approval import require_approval
from billing.kernel.errors import Invalid
from billing.kernel.money import Money, round_half_up
from billing.kernel.states import next_state
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.ledger.accounts import BAD_DEBT, RECEIVABLE
from billing.ledger.models import JournalEntry
from billing.ledger.postings import EntryDraft, credit, debit
from billing.ledger.queries import posting_day


@transaction.atomic
def write_off_invoice(
    *, actor: str, invoice_id: UUID, written_off_on: date, reason: str, version: int | None = None
) -> Invoice:
    """Give up what is still open on an issued invoice: it becomes bad debt, and the invoice uncollectible.

    What it billed stays billed, and revenue and tax as they are. Raises IllegalMove, PreconditionFailed, Invalid for
    a day before it was issued, ApprovalRequired.
    """
    invoice = Invoice.objects.locked().get(pk=invoice_id)
    require_version(invoice, version)
    new_state = next_state(INVOICE_MOVES, action="write_off", current=invoice.state)
    if written_off_on < invoice.issued_on:
        raise Invalid(f"{invoice.number} was issued on {invoice.issued_on}; it cannot be written off before.")
    amount = round_half_up(invoice.balance_amount, invoice.currency)
    require_approval(proposed_write_off(invoice, amount, actor=actor, reason=reason))

    _book(invoice, amount, event="written_off", what="Write-off", day=written_off_on)
    invoice.state = new_state
    invoice.written_off_amount += amount
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


@transaction.atomic
def recover_invoice(
    *,
    actor: str,
    invoice_id: UUID,
    recovered_on: date,
    reason: str,
    amount: Decimal | None = None,
    version: int | None = None,
) -> Invoice:
    """Take a write-off back, or `amount` of it: it is open again, and the payment that came can settle it.

    What is not recovered stays written off: once the rest is settled the invoice is uncollectible as before.
    `amount` is in the invoice's currency. Raises IllegalMove unless the invoice is uncollectible,
    RecoveryExceedsWriteOff, Invalid, PreconditionFailed.
    """
    invoice = Invoice.objects.locked().get(pk=invoice_id)
    require_version(invoice, version)
    new_state = next_state(INVOICE_MOVES, action="recover", current=invoice.state)
    if amount is None:
        amount = round_half_up(invoice.written_off_amount, invoice.currency)
    if amount <= 0 or not Money(amount, invoice.currency).is_payable:
        raise Invalid(f"{amount} is not an amount of {invoice.currency} that can be recovered.")
    if amount > invoice.written_off_amount:
        raise RecoveryExceedsWriteOff(
            f"{invoice.written_off_amount} {invoice.currency} of {invoice.number} are written off, not {amount}.",
            written_off=str(invoice.written_off_amount),
        )
    if recovered_on < invoice.issued_on:
        raise Invalid(f"{invoice.number} was issued on {invoice.issued_on}; nothing is recovered before.")

    _book(invoice, -amount, event="recovered", what="Recovery", day=recovered_on)
    invoice.state = new_state
    invoice.written_off_amount -= amount
    invoice.save(update_fields=["state", "written_off_amount"])

    audit.record(
        actor=actor,
        action="invoice.recovered",
        subject=invoice,
        reason=reason,
        detail={"amount": amount, "currency": invoice.currency},
    )
    events.publish(InvoiceRecovered(invoice_id=invoice.pk, entity_id=invoice.customer_id))
    return invoice


def _book(invoice: Invoice, amount: Decimal, *, event: str, what: str, day: date) -> None:
    """Bad debt against the receivable; a negative amount the other way round. Each time by its own name."""
    source = f"invoice:{invoice.pk}"
    before = JournalEntry.objects.filter(source=source, event__startswith=event).count()
    customer = {"customer_id": invoice.customer_id}
    ledger.post_entries(
        [
            EntryDraft(
                entity_id=invoice.seller_id,
                posted_on=posting_day(entity_id=invoice.seller_id, day=day),
                source=source,
                event=f"{event}#{before + 1}" if before else event,
                description=f"{what} of {invoice.number}"[:200],
                lines=(
                    debit(BAD_DEBT, amount, invoice.currency, **customer),
                    credit(RECEIVABLE, amount, invoice.currency, **customer),
                ),
            )
        ]
    )
