from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection, transaction

from billing.invoicing import services as invoicing
from billing.invoicing.errors import InvoiceHasSettlements, InvoiceOverpaid
from billing.invoicing.states import InvoiceState
from billing.kernel.errors import DomainError, IllegalMove
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.ledger.models import JournalEntry
from billing.payments import services
from billing.payments.errors import PaymentExhausted, PaymentReferenceUsed
from billing.payments.models import Payment, PaymentApplication
from billing.payments.tests.makers import RECEIVED, TODAY, make_open_invoice, make_payment, payment_terms

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_payments_of_all_that_is_open_one_settles_and_the_other_stays_on_the_balance():
    invoice = make_open_invoice(total="100.00")
    first, second = payment_terms(customer=invoice.customer), payment_terms(customer=invoice.customer)

    with transaction.atomic():
        winner = services.record_payment(**first)
        rival = start_rival(lambda: services.record_payment(**second))
    loser = rival.result(timeout=5)

    invoice.refresh_from_db()
    assert (invoice.state, invoice.paid_amount) == (InvoiceState.PAID, Decimal("100.00"))
    assert (winner.applied_amount, loser.applied_amount) == (Decimal("100.00"), 0)
    assert_invariants_hold()


def test_of_two_payments_meant_for_the_same_invoice_the_second_is_refused():
    invoice = make_open_invoice(total="100.00")
    meant = {"customer": invoice.customer, "applications": [(invoice.pk, Decimal("100.00"))]}
    first, second = payment_terms(**meant), payment_terms(**meant)

    with transaction.atomic():
        services.record_payment(**first)
        rival = start_rival(lambda: services.record_payment(**second))

    with pytest.raises(IllegalMove):
        rival.result(timeout=5)
    assert Payment.objects.count() == 1
    assert PaymentApplication.objects.count() == 1
    assert_invariants_hold()


def test_the_second_of_two_partial_payments_sees_what_the_first_left():
    invoice = make_open_invoice(total="100.00")
    meant = {
        "customer": invoice.customer,
        "applications": [(invoice.pk, Decimal("60.00"))],
        "amount": "60.00",
    }
    first, second = payment_terms(**meant), payment_terms(**meant)

    with transaction.atomic():
        services.record_payment(**first)
        rival = start_rival(lambda: services.record_payment(**second))

    with pytest.raises(InvoiceOverpaid):
        rival.result(timeout=5)
    invoice.refresh_from_db()
    assert invoice.paid_amount == Decimal("60.00")
    assert_invariants_hold()


def test_the_same_reference_at_the_same_time_is_one_payment():
    invoice = make_open_invoice(total="100.00")
    terms = payment_terms(customer=invoice.customer)

    with transaction.atomic():
        first = services.record_payment(**terms)
        rival = start_rival(lambda: services.record_payment(**terms))

    assert rival.result(timeout=5) == first
    assert JournalEntry.objects.filter(source__startswith="payment").count() == 1
    assert_invariants_hold()


def test_the_same_reference_at_the_same_time_with_other_content_is_refused():
    invoice = make_open_invoice(total="100.00")
    terms = payment_terms(customer=invoice.customer)

    with transaction.atomic():
        services.record_payment(**terms)
        rival = start_rival(lambda: services.record_payment(**terms | {"amount": Decimal("1.00")}))

    with pytest.raises(PaymentReferenceUsed):
        rival.result(timeout=5)
    assert_invariants_hold()


def test_what_is_left_of_a_payment_is_applied_once():
    invoice = make_open_invoice(total="100.00")
    other = make_open_invoice(customer=invoice.customer, seller=invoice.seller, total="100.00")
    payment = make_payment(customer=invoice.customer, amount="100.00", applications=[])

    def apply(to):
        return services.apply_payment(
            actor="test", payment_id=payment.pk, invoice_id=to.pk, amount=Decimal("80.00"), applied_on=TODAY
        )

    with transaction.atomic():
        apply(invoice)
        rival = start_rival(lambda: apply(other))

    with pytest.raises(PaymentExhausted):
        rival.result(timeout=5)
    payment.refresh_from_db()
    assert payment.applied_amount == Decimal("80.00")
    assert_invariants_hold()


def test_an_invoice_is_not_voided_while_it_is_being_paid():
    invoice = make_open_invoice(total="100.00")
    partly = payment_terms(customer=invoice.customer, amount="10.00")

    with transaction.atomic():
        services.record_payment(**partly)
        rival = start_rival(
            lambda: invoicing.void_invoice(
                actor="test", invoice_id=invoice.pk, voided_on=RECEIVED, reason="wrong"
            )
        )

    with pytest.raises(InvoiceHasSettlements):
        rival.result(timeout=5)
    assert_invariants_hold()


def test_sixteen_partial_payments_at_once_are_exact():
    invoice = make_open_invoice(total="100.00")
    make_payment(customer=invoice.customer, amount="0.01")  # the months and accounts exist
    meant = [
        payment_terms(
            customer=invoice.customer,
            amount="9.00",
            applications=[(invoice.pk, Decimal("9.00"))],
        )
        for _ in range(16)
    ]
    at_once = Barrier(16)

    def pay(terms):
        try:
            at_once.wait(timeout=10)
            return services.record_payment(**terms)
        except DomainError as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=16) as pool:
        outcomes = list(pool.map(pay, meant))

    refused = [outcome for outcome in outcomes if isinstance(outcome, DomainError)]
    assert len(refused) == 5
    assert {type(outcome) for outcome in refused} == {InvoiceOverpaid}
    invoice.refresh_from_db()
    assert (invoice.paid_amount, invoice.balance_amount) == (Decimal("99.01"), Decimal("0.99"))
    assert Payment.objects.count() == 12
    assert_invariants_hold()
