from datetime import timedelta
from decimal import Decimal

import pytest

from billing.invoicing.errors import InvoiceOverpaid
from billing.invoicing.states import InvoiceState
from billing.kernel.errors import IllegalMove, NotFound, PreconditionFailed
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry, AuditKind
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalEntry
from billing.payments import services
from billing.payments.errors import (
    ApplicationBeforeReceipt,
    CurrencyMismatch,
    InvalidPaymentAmount,
    InvoiceOfAnotherCustomer,
    InvoiceOfAnotherSeller,
    PaymentExhausted,
)
from billing.payments.models import Payment, PaymentApplication
from billing.payments.tests.makers import (
    RECEIVED,
    TODAY,
    make_customer,
    make_draft_invoice,
    make_open_invoice,
    make_payment,
)
from billing.payments.tests.state import balances, everything

pytestmark = pytest.mark.django_db


def apply(payment: Payment, invoice, amount: str, **overrides) -> Payment:
    terms = {"actor": "test", "applied_on": TODAY} | overrides
    changed = services.apply_payment(
        payment_id=payment.pk, invoice_id=invoice.pk, amount=Decimal(amount), **terms
    )
    as_if_committed()
    return changed


def make_credit(invoice, amount: str = "100.00") -> Payment:
    """A payment of the invoice's customer that nothing was settled with."""
    return make_payment(customer=invoice.customer, amount=amount, currency=invoice.currency, applications=[])


def test_moves_from_the_payers_balance_to_the_invoice():
    invoice = make_open_invoice(total="70.00")
    payment = make_credit(invoice)

    changed = apply(payment, invoice, "70.00", version=Payment.objects.get(pk=payment.pk).version)

    invoice.refresh_from_db()
    assert (invoice.state, invoice.paid_amount) == (InvoiceState.PAID, Decimal("70.00"))
    assert changed.unapplied_amount == Decimal("30.00")
    application = PaymentApplication.objects.get()
    entry = JournalEntry.objects.get(source=f"payment_application:{application.pk}")
    assert (entry.event, entry.posted_on, application.applied_on) == ("applied", TODAY, TODAY)
    assert balances(invoice.seller) == {
        ("1000", "EUR"): Decimal("100.00"),
        ("2300", "EUR"): Decimal("-30.00"),
        ("4000", "EUR"): Decimal("-70.00"),
    }
    said = AuditEntry.objects.get(kind=AuditKind.VERB, action="payment.applied")
    assert (said.subject_id, said.detail["amount"]) == (str(payment.pk), "70.00")
    assert_invariants_hold()


def test_several_payments_settle_one_invoice():
    invoice = make_open_invoice(total="100.00")
    first, second = make_credit(invoice, "60.00"), make_credit(invoice, "60.00")

    apply(first, invoice, "60.00")
    apply(second, invoice, "40.00")

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.PAID
    assert balances(invoice.seller)["2300", "EUR"] == Decimal("-20.00")
    assert_invariants_hold()


def _exhausted():
    invoice = make_open_invoice(total="500.00")
    return make_credit(invoice), invoice, "100.01", {}


def _more_than_open():
    invoice = make_open_invoice(total="70.00")
    return make_credit(invoice), invoice, "70.01", {}


def _nothing():
    invoice = make_open_invoice()
    return make_credit(invoice), invoice, "0.00", {}


def _half_a_cent():
    invoice = make_open_invoice()
    return make_credit(invoice), invoice, "0.005", {}


def _paid():
    invoice = make_open_invoice()
    credit = make_credit(invoice)
    apply(make_credit(invoice), invoice, "100.00")
    return credit, invoice, "0.01", {}


def _draft():
    invoice = make_draft_invoice()
    return make_credit(invoice), invoice, "1.00", {}


def _siblings():
    invoice = make_open_invoice()
    sibling = make_open_invoice(customer=make_customer(parent=invoice.seller))
    return make_credit(invoice), sibling, "1.00", {}


def _strangers():
    return make_credit(make_open_invoice()), make_open_invoice(), "1.00", {}


def _other_currency():
    invoice = make_open_invoice()
    dollars = make_open_invoice(customer=invoice.customer, seller=invoice.seller, currency="USD")
    return make_credit(invoice), dollars, "1.00", {}


def _changed_since():
    invoice = make_open_invoice()
    credit = make_credit(invoice)
    return credit, invoice, "1.00", {"version": credit.version - 1}


def _too_early():
    invoice = make_open_invoice()
    return make_credit(invoice), invoice, "1.00", {"applied_on": RECEIVED - timedelta(days=1)}


@pytest.mark.parametrize(
    ("scene", "refusal"),
    [
        (_exhausted, PaymentExhausted),
        (_more_than_open, InvoiceOverpaid),
        (_nothing, InvalidPaymentAmount),
        (_half_a_cent, InvalidPaymentAmount),
        (_paid, IllegalMove),
        (_draft, IllegalMove),
        (_siblings, InvoiceOfAnotherCustomer),
        (_strangers, InvoiceOfAnotherSeller),
        (_other_currency, CurrencyMismatch),
        (_changed_since, PreconditionFailed),
        (_too_early, ApplicationBeforeReceipt),
    ],
)
def test_refuses_and_changes_nothing(scene, refusal):
    payment, invoice, amount, overrides = scene()
    before = everything()

    with pytest.raises(refusal):
        apply(payment, invoice, amount, **overrides)

    assert everything() == before
    assert_invariants_hold()


def test_an_unknown_payment_or_invoice_is_not_found():
    invoice = make_open_invoice()
    credit = make_credit(invoice)
    terms = {"actor": "test", "amount": Decimal(1), "applied_on": TODAY}

    with pytest.raises(NotFound):
        services.apply_payment(payment_id=uuid7(), invoice_id=invoice.pk, **terms)
    with pytest.raises(NotFound):
        services.apply_payment(payment_id=credit.pk, invoice_id=uuid7(), **terms)
