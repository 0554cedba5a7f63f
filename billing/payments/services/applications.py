from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.invoicing.errors import InvoiceOverpaid
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.money import round_half_up, total_of
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.payments.errors import ApplicationBeforeReceipt, PaymentExhausted
from billing.payments.models import Payment
from billing.payments.services import consolidations, settlement
from billing.payments.services.payment_input import require_payable


@transaction.atomic
def apply_payment(
    *,
    actor: str,
    payment_id: UUID,
    amount: Decimal,
    applied_on: date,
    invoice_id: UUID | None = None,
    consolidated_invoice_id: UUID | None = None,
    version: int | None = None,
) -> Payment:
    """Settle an invoice, or a part of it, with what is left of a payment: the payer's balance shrinks by it.

    Or, instead of an invoice, the open children of a consolidated one, the oldest due first. `amount` is payable
    in the payment's currency; `applied_on` is the day it counts from. `version` is the payment's as last seen.
    Raises NotFound, PreconditionFailed, InvalidPaymentAmount, PaymentExhausted, ApplicationBeforeReceipt,
    InvoiceOfAnotherSeller, InvoiceOfAnotherCustomer, CurrencyMismatch, InvoiceOverpaid, ChildOfConsolidation,
    ConsolidationVoid, IllegalMove, and Invalid unless one of both is named.
    """
    if (invoice_id is None) == (consolidated_invoice_id is None):
        raise Invalid("Name an invoice or a consolidated invoice.")
    known = Payment.objects.filter(pk=payment_id).first()
    if known is None:
        raise NotFound("There is no such payment.")
    require_payable(amount, known.currency)
    if consolidated_invoice_id is not None:
        parts = _parts_of_children(known, consolidated_invoice_id, amount)
    else:
        parts = _part_of_invoice(known, invoice_id, amount)
    payment = Payment.objects.locked().get(pk=payment_id)
    require_version(payment, version)
    if amount > payment.unapplied_amount:
        raise PaymentExhausted(
            f"{payment.unapplied_amount} {payment.currency} are left, not {amount}.",
            unapplied=str(payment.unapplied_amount),
        )
    if applied_on < payment.received_on:
        raise ApplicationBeforeReceipt(f"The payment was received on {payment.received_on}.")

    made = settlement.settle(actor=actor, payment=payment, parts=parts, since=applied_on)
    ledger.post_entries([settlement.from_balance(payment, *one) for one in made])

    audit.record_all(
        [
            audit.line(
                actor=actor,
                action="payment.applied",
                subject=payment,
                detail={
                    "invoice": application.invoice_id,
                    "amount": round_half_up(application.amount, payment.currency),
                    "currency": payment.currency,
                },
            )
            for application, _ in made
        ]
    )
    return payment


def _part_of_invoice(payment: Payment, invoice_id: UUID, amount: Decimal) -> dict[UUID, Decimal]:
    invoices = settlement.lock_invoices([invoice_id])
    settlement.require_payer(payment, invoices)
    consolidations.require_by_themselves(invoices)
    return {invoice_id: amount}


def _parts_of_children(
    payment: Payment, consolidated_invoice_id: UUID, amount: Decimal
) -> dict[UUID, Decimal]:
    children = consolidations.lock_open_children(payment, consolidated_invoice_id)
    parts = settlement.oldest_first(amount, children)
    if (open_amount := total_of(list(parts.values()))) < amount:
        raise InvoiceOverpaid(
            f"{open_amount} {payment.currency} is open on it, not {amount}.", open_amount=str(open_amount)
        )
    return parts
