from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.invoicing.errors import NotTheSeller
from billing.invoicing.models import Invoice
from billing.kernel import audit, events
from billing.kernel.errors import NotFound
from billing.kernel.money import round_half_up
from billing.ledger import services as ledger
from billing.payments.errors import NotACustomerOfSeller, PaymentReferenceUsed
from billing.payments.events import PaymentSucceeded
from billing.payments.models import Payment
from billing.payments.services import consolidations, settlement
from billing.payments.services.payment_input import Terms, Wanted


@transaction.atomic
def record_payment(
    *,
    actor: str,
    seller_id: UUID,
    customer_id: UUID,
    amount: Decimal,
    currency: str,
    received_on: date,
    method: str,
    reference: str,
    as_of: date,
    note: str = "",
    applications: Wanted | None = None,
    consolidated_invoice_id: UUID | None = None,
) -> Payment:
    """Write down money that arrived from `customer_id`, settle invoices with it and book both.

    `applications` None: the payer's own open invoices in `currency`, the oldest due first. A list of
    (invoice, amount) is carried out to the letter; the invoices may be those of entities below the payer.
    With `consolidated_invoice_id` its open children in `currency` are settled, the oldest due first.
    What is left is the payer's balance with this seller. `amount` is payable in `currency`.

    A second call with the seller's same `method` and `reference` and the same content returns the payment
    of the first; nothing moves. Raises PaymentReferenceUsed for other content; Invalid, InvalidPaymentAmount,
    PaymentDateInFuture, DuplicateInvoice, ApplicationsExceedPayment for what cannot be meant; NotFound, NotTheSeller,
    NotACustomerOfSeller, InvoiceOfAnotherSeller, InvoiceOfAnotherCustomer, CurrencyMismatch, InvoiceOverpaid,
    ChildOfConsolidation, ConsolidationVoid and IllegalMove for invoices it cannot settle.
    """
    terms = Terms(
        seller_id=seller_id,
        customer_id=customer_id,
        amount=amount,
        currency=currency,
        received_on=received_on,
        method=method,
        reference=reference,
        note=note,
        applications=applications,
        consolidated_invoice_id=consolidated_invoice_id,
    )
    terms.check(as_of=as_of)
    _require_business(seller_id, customer_id)
    payment, is_new = _claim_reference(terms)
    if not is_new:
        return _same_or_refuse(payment, terms)

    parts = _parts(payment, terms)
    made = settlement.settle(actor=actor, payment=payment, parts=parts, since=received_on)
    ledger.post_entries(settlement.receipt(payment, made))

    applied = [
        {"invoice": invoice.pk, "amount": round_half_up(application.amount, currency)}
        for application, invoice in made
    ]
    audit.record(
        actor=actor,
        action="payment.recorded",
        subject=payment,
        detail={
            "amount": amount,
            "currency": currency,
            "reference": reference,
            "consolidated_invoice": consolidated_invoice_id,
            "applied": applied,
        },
    )
    events.publish(PaymentSucceeded(payment_id=payment.pk, entity_id=payment.customer_id))
    return payment


def _require_business(seller_id: UUID, customer_id: UUID) -> None:
    """The payer stands below the seller, or did when it was invoiced (it, or an entity below it)."""
    entities = BillingEntity.objects.in_bulk({seller_id, customer_id})
    if len(entities) < len({seller_id, customer_id}):
        raise NotFound("There is no such entity.")
    seller, customer = entities[seller_id], entities[customer_id]
    if not seller.is_seller:
        raise NotTheSeller(f"{seller} does not sell.")
    if seller != customer and customer.path.startswith(seller.path):
        return
    if not Invoice.objects.filter(seller=seller, customer__path__startswith=customer.path).exists():
        raise NotACustomerOfSeller(f"{customer} is not a customer of {seller}.")


def _claim_reference(terms: Terms) -> tuple[Payment, bool]:
    """The payment under this reference, and whether it is ours. A rival with the same one waits here,
    before it holds any lock."""
    return Payment.objects.get_or_create(
        seller_id=terms.seller_id,
        method=terms.method,
        reference=terms.reference,
        defaults={
            "customer_id": terms.customer_id,
            "amount": terms.amount,
            "currency": terms.currency,
            "received_on": terms.received_on,
            "note": terms.note,
            "content_digest": terms.digest,
        },
    )


def _same_or_refuse(payment: Payment, terms: Terms) -> Payment:
    if payment.content_digest != terms.digest:
        raise PaymentReferenceUsed(
            f"'{terms.reference}' is a payment of {payment.amount} {payment.currency}"
            f" received on {payment.received_on}.",
            payment=str(payment.pk),
        )
    return payment


def _parts(payment: Payment, terms: Terms) -> dict[UUID, Decimal]:
    if terms.consolidated_invoice_id is not None:
        children = consolidations.lock_open_children(payment, terms.consolidated_invoice_id)
        return settlement.oldest_first(payment.amount, children)
    if terms.applications is None:
        return settlement.oldest_first(payment.amount, settlement.lock_open_invoices(payment))
    invoices = settlement.lock_invoices(invoice_id for invoice_id, _ in terms.applications)
    settlement.require_payer(payment, invoices)
    consolidations.require_by_themselves(invoices)
    return dict(terms.applications)
