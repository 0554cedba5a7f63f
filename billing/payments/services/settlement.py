"""Payments meet invoices: who may settle what, how much goes where, and what the books say about it.

The callers hold the locks: the invoices first, in primary-key order, then the payment.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.entities.models import BillingEntity
from billing.invoicing import services as invoicing
from billing.invoicing.models import Invoice
from billing.invoicing.queries import live_consolidations
from billing.invoicing.states import InvoiceState
from billing.kernel.errors import NotFound
from billing.ledger import queries as books
from billing.ledger.accounts import CASH, CUSTOMER_BALANCE, RECEIVABLE
from billing.ledger.postings import EntryDraft, credit, debit
from billing.payments.errors import CurrencyMismatch, InvoiceOfAnotherCustomer, InvoiceOfAnotherSeller
from billing.payments.models import Payment, PaymentApplication

NOTHING = Decimal(0)


def lock_open_invoices(payment: Payment) -> list[Invoice]:
    """The payer's own open invoices in the payment's currency, locked; the oldest due comes first.

    Without those in a live consolidation: they are settled through that.
    """
    found = list(
        Invoice.objects.locked().filter(
            seller_id=payment.seller_id,
            customer_id=payment.customer_id,
            currency=payment.currency,
            state=InvoiceState.ISSUED,
        )
    )
    gathered = live_consolidations(invoice.pk for invoice in found)  # asked once they are locked
    return in_order_of_payment(invoice for invoice in found if invoice.pk not in gathered)


def in_order_of_payment(invoices: Iterable[Invoice]) -> list[Invoice]:
    """The oldest due first, then the oldest issued, then by number."""
    return sorted(
        invoices, key=lambda invoice: (invoice.due_on, invoice.issued_on, invoice.sequence, invoice.pk)
    )


def lock_invoices(invoice_ids: Iterable[UUID]) -> list[Invoice]:
    """Raises NotFound if one of them does not exist."""
    wanted = set(invoice_ids)
    found = list(Invoice.objects.locked().filter(pk__in=wanted))
    if missing := wanted - {invoice.pk for invoice in found}:
        raise NotFound(f"There is no invoice {min(missing)}.", invoice=str(min(missing)))
    return found


def require_payer(payment: Payment, invoices: Sequence[Invoice]) -> None:
    """The payment may settle these: same seller, same currency, and the payer is the customer or above it.

    Raises InvoiceOfAnotherSeller, InvoiceOfAnotherCustomer, CurrencyMismatch.
    """
    customers = {invoice.customer_id for invoice in invoices} | {payment.customer_id}
    paths = dict(BillingEntity.objects.filter(pk__in=customers).values_list("pk", "path"))
    for invoice in invoices:
        if invoice.seller_id != payment.seller_id:
            raise InvoiceOfAnotherSeller(f"{invoice} is another seller's.", invoice=str(invoice.pk))
        if not paths[invoice.customer_id].startswith(paths[payment.customer_id]):
            raise InvoiceOfAnotherCustomer(
                f"{invoice} is owed by an entity the payer does not stand above.", invoice=str(invoice.pk)
            )
        if invoice.currency != payment.currency:
            raise CurrencyMismatch(
                f"{invoice} is in {invoice.currency}, the payment in {payment.currency}.",
                invoice=str(invoice.pk),
            )


def oldest_first(amount: Decimal, invoices: Sequence[Invoice]) -> dict[UUID, Decimal]:
    """As much of `amount` as the invoices take, in the order given, each filled before the next."""
    parts: dict[UUID, Decimal] = {}
    for invoice in invoices:
        part = min(amount, invoice.balance_amount)
        if part > 0:
            parts[invoice.pk] = part
            amount -= part
    return parts


def settle(
    *, actor: str, payment: Payment, parts: Mapping[UUID, Decimal], since: date
) -> list[tuple[PaymentApplication, Invoice]]:
    """Apply `parts` of the payment to invoices from `since` on, or from the day an invoice was issued if later.

    Raises InvoiceOverpaid for more than is open, IllegalMove for an invoice that is not open.
    """
    if not parts:
        return []
    settled = invoicing.settle_invoices(actor=actor, settlements=parts)
    seller_id = payment.seller_id
    days = books.posting_days((seller_id, max(since, invoice.issued_on)) for invoice in settled)
    applications = [
        PaymentApplication(
            payment=payment,
            invoice=invoice,
            amount=parts[invoice.pk],
            currency=payment.currency,
            applied_on=days[seller_id, max(since, invoice.issued_on)],
        )
        for invoice in settled
    ]
    PaymentApplication.objects.bulk_create(applications)
    payment.applied_amount += sum(parts.values(), NOTHING)
    payment.save(update_fields=["applied_amount"])
    return list(zip(applications, settled, strict=True))


def receipt(payment: Payment, made: Sequence[tuple[PaymentApplication, Invoice]]) -> list[EntryDraft]:
    """Cash against the receivables it settles at once; the rest is owed to the payer as its balance.

    What is settled on a later day than the money came (the invoice is younger, or the month closed)
    passes through the balance, so that on no day a receivable is paid before it exists.
    """
    received = books.posting_day(payment.seller_id, payment.received_on)
    at_once = [(application, invoice) for application, invoice in made if application.applied_on == received]
    rest = payment.amount - sum((application.amount for application, _ in at_once), NOTHING)
    entry = EntryDraft(
        entity_id=payment.seller_id,
        posted_on=received,
        source=f"payment:{payment.pk}",
        event="received",
        description=f"Payment {payment.reference}",
        lines=[
            debit(CASH, payment.amount, payment.currency, customer_id=payment.customer_id),
            *(
                credit(RECEIVABLE, application.amount, payment.currency, customer_id=invoice.customer_id)
                for application, invoice in at_once
            ),
            credit(CUSTOMER_BALANCE, rest, payment.currency, customer_id=payment.customer_id),
        ],
    )
    return [entry, *(from_balance(payment, *one) for one in made if one not in at_once)]


def from_balance(payment: Payment, application: PaymentApplication, invoice: Invoice) -> EntryDraft:
    """The payer's balance against the receivable it settles."""
    return EntryDraft(
        entity_id=payment.seller_id,
        posted_on=application.applied_on,
        source=f"payment_application:{application.pk}",
        event="applied",
        description=f"Payment {payment.reference} to {invoice.number}",
        lines=[
            debit(CUSTOMER_BALANCE, application.amount, payment.currency, customer_id=payment.customer_id),
            credit(RECEIVABLE, application.amount, payment.currency, customer_id=invoice.customer_id),
        ],
    )
