from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.kernel import audit
from billing.kernel.errors import NotFound
from billing.kernel.money import round_half_up
from billing.kernel.versions import require_version
from billing.ledger import services as ledger
from billing.payments.errors import AppliedBeforeItsTime, PaymentExhausted
from billing.payments.models import Payment
from billing.payments.services import settling
from billing.payments.services.terms import require_payable


@transaction.atomic
def apply_payment(
    *,
    actor: str,
    payment_id: UUID,
    invoice_id: UUID,
    amount: Decimal,
    applied_on: date,
    version: int | None = None,
) -> Payment:
    """Settle an invoice, or a part of it, with what is left of a payment: the payer's balance shrinks by it.

    `amount` is payable in the payment's currency; `applied_on` is the day it counts from. `version` is the
    payment's as last seen. Raises NotFound, PreconditionFailed, PaymentNotPayable, PaymentExhausted,
    AppliedBeforeItsTime, InvoiceOfAnotherSeller, InvoiceOfAnotherCustomer, CurrencyMismatch, InvoiceOverpaid,
    IllegalMove.
    """
    invoices = settling.lock_invoices([invoice_id])
    payment = Payment.objects.locked().filter(pk=payment_id).first()
    if payment is None:
        raise NotFound("There is no such payment.")
    require_version(payment, version)
    require_payable(amount, payment.currency)
    settling.require_payer(payment, invoices)
    if amount > payment.unapplied_amount:
        raise PaymentExhausted(
            f"{payment.unapplied_amount} {payment.currency} are left, not {amount}.",
            unapplied=str(payment.unapplied_amount),
        )
    if applied_on < payment.received_on:
        raise AppliedBeforeItsTime(f"The payment was received on {payment.received_on}.")

    made = settling.settle(actor=actor, payment=payment, parts={invoice_id: amount}, since=applied_on)
    ledger.post_entries([settling.from_balance(payment, *one) for one in made])

    audit.record(
        actor=actor,
        action="payment.applied",
        subject=payment,
        detail={
            "invoice": invoice_id,
            "amount": round_half_up(amount, payment.currency),
            "currency": payment.currency,
        },
    )
    return payment
