"""Payments meet consolidated invoices: their children are settled through them, and not one by one."""

from collections.abc import Sequence
from uuid import UUID

from billing.invoicing.errors import ChildOfConsolidation, ConsolidationVoid
from billing.invoicing.models import ConsolidatedInvoice, Invoice
from billing.invoicing.queries import live_consolidations
from billing.invoicing.states import ConsolidatedState, InvoiceState
from billing.kernel.errors import NotFound
from billing.payments.errors import CurrencyMismatch, InvoiceOfAnotherCustomer, InvoiceOfAnotherSeller
from billing.payments.models import Payment
from billing.payments.services import settlement


def lock_open_children(payment: Payment, consolidated_invoice_id: UUID) -> list[Invoice]:
    """What is open on a consolidated invoice in the payment's currency, locked; the oldest due comes first.

    The document is locked before its children, as voiding it does. Raises NotFound, ConsolidationVoid,
    InvoiceOfAnotherSeller, InvoiceOfAnotherCustomer unless its payer pays, CurrencyMismatch.
    """
    document = ConsolidatedInvoice.objects.locked().filter(pk=consolidated_invoice_id).first()
    if document is None:
        raise NotFound("There is no such consolidated invoice.")
    if document.state == ConsolidatedState.VOID:
        raise ConsolidationVoid(f"{document} is void.")
    if document.seller_id != payment.seller_id:
        raise InvoiceOfAnotherSeller(f"{document} is another seller's.", invoice=str(document.pk))
    if document.payer_id != payment.customer_id:
        raise InvoiceOfAnotherCustomer(f"{document} is paid by its own payer.", invoice=str(document.pk))
    children = document.children.filter(currency=payment.currency).values_list("invoice_id", flat=True)
    invoices = settlement.lock_invoices(children)
    if not invoices:
        raise CurrencyMismatch(f"{document} has nothing in {payment.currency}.", invoice=str(document.pk))
    return settlement.in_order_of_payment(
        invoice for invoice in invoices if invoice.state == InvoiceState.ISSUED
    )


def require_by_themselves(invoices: Sequence[Invoice]) -> None:
    """None of the locked invoices is in a live consolidation. Raises ChildOfConsolidation."""
    for invoice_id, document in live_consolidations(invoice.pk for invoice in invoices).items():
        raise ChildOfConsolidation(
            f"The invoice is part of {document}: pay that.",
            invoice=str(invoice_id),
            consolidated_invoice=str(document.pk),
        )
