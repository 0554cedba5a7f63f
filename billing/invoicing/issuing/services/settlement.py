from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.invoicing.errors import InvoiceOverpaid
from billing.invoicing.events import InvoicePaid, InvoiceWrittenOff
from billing.invoicing.models import Invoice
from billing.invoicing.states import INVOICE_MOVES
from billing.kernel import audit, events
from billing.kernel.errors import Invalid
from billing.kernel.states import next_state


@transaction.atomic
def settle_invoices(*, actor: str, settlements: Mapping[UUID, Decimal]) -> list[Invoice]:
    """Raise what is paid on each invoice, in the caller's transaction; one with nothing open is paid.

    The caller books it. Raises IllegalMove unless the invoice is issued, InvoiceOverpaid for more than
    is open, Invalid for an amount that is not positive.
    """
    return _settle(settlements, "paid_amount", actor=actor)


@transaction.atomic
def credit_invoices(*, actor: str, settlements: Mapping[UUID, Decimal]) -> list[Invoice]:
    """The same for what is credited."""
    return _settle(settlements, "credited_amount", actor=actor)


def _settle(settlements: Mapping[UUID, Decimal], by: str, *, actor: str) -> list[Invoice]:
    invoices = list(Invoice.objects.locked().filter(pk__in=settlements))
    for invoice in invoices:
        amount = settlements[invoice.pk]
        if amount <= 0:
            raise Invalid("A settlement is more than zero.")
        settled = next_state(INVOICE_MOVES, action=_closing(invoice), current=invoice.state)
        if amount > invoice.balance_amount:
            raise InvoiceOverpaid(
                f"{invoice.number}: {invoice.balance_amount} {invoice.currency} is open, not {amount}.",
                invoice=str(invoice.pk),
                open_amount=str(invoice.balance_amount),
            )
        if amount == invoice.balance_amount:
            invoice.state = settled
            _tell_closed(invoice, actor=actor)
        setattr(invoice, by, getattr(invoice, by) + amount)
        invoice.save(update_fields=[by, "state"])
    return invoices


def _closing(invoice: Invoice) -> str:
    """What was recovered of a write-off is settled; the rest of it stays written off."""
    return "settle_recovered" if invoice.written_off_amount else "settle"


def _tell_closed(invoice: Invoice, *, actor: str) -> None:
    if invoice.written_off_amount:
        audit.record(actor=actor, action="invoice.recovery_settled", subject=invoice)
        events.publish(InvoiceWrittenOff(invoice_id=invoice.pk, entity_id=invoice.customer_id))
    else:
        audit.record(actor=actor, action="invoice.paid", subject=invoice)
        events.publish(InvoicePaid(invoice_id=invoice.pk, entity_id=invoice.customer_id))
