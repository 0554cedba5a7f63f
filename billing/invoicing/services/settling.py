from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.invoicing.errors import InvoiceOverpaid
from billing.invoicing.events import InvoicePaid
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
    invoices = list(Invoice.objects.locked().filter(pk__in=settlements))
    for invoice in invoices:
        amount = settlements[invoice.pk]
        if amount <= 0:
            raise Invalid("A settlement is more than zero.")
        settled = next_state(INVOICE_MOVES, action="settle", current=invoice.state)
        if amount > invoice.balance_amount:
            raise InvoiceOverpaid(
                f"{invoice.number}: {invoice.balance_amount} {invoice.currency} is open, not {amount}.",
                invoice=str(invoice.pk),
                open_amount=str(invoice.balance_amount),
            )
        if amount == invoice.balance_amount:
            invoice.state = settled
            audit.record(actor=actor, action="invoice.paid", subject=invoice)
            events.publish(InvoicePaid(invoice_id=invoice.pk, entity_id=invoice.customer_id))
        invoice.paid_amount += amount
        invoice.save(update_fields=["paid_amount", "state"])
    return invoices
