"""The last line: what no service lets through, the database does not let through either."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F

from billing.invoicing.models import Invoice
from billing.kernel.invariant_checks import find_violations
from billing.ledger.hooks import control_total
from billing.payments.models import Payment, PaymentApplication
from billing.payments.tests.makers import (
    RECEIVED,
    TODAY,
    make_customer,
    make_open_invoice,
    make_payment,
    make_seller,
)
from billing.payments.tests.state import everything

pytestmark = pytest.mark.django_db(transaction=True)


def constraint_of(error: DatabaseError) -> str:
    return error.__cause__.diag.constraint_name


def write_application(payment: Payment, invoice: Invoice, amount: str, **overrides) -> None:
    """Past the services, with both counters raised as they would."""
    values = {"currency": payment.currency, "applied_on": TODAY} | overrides
    PaymentApplication.objects.create(payment=payment, invoice=invoice, amount=Decimal(amount), **values)
    Payment.objects.filter(pk=payment.pk).update(applied_amount=F("applied_amount") + Decimal(amount))
    Invoice.objects.filter(pk=invoice.pk).update(paid_amount=F("paid_amount") + Decimal(amount))


def test_the_helper_itself_writes_what_the_database_takes():
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer, applications=[])

    with transaction.atomic():
        write_application(payment, invoice, "10.00")

    assert PaymentApplication.objects.count() == 1


def _other_sellers():
    invoice = make_open_invoice(total="80.00")
    return make_payment(applications=[]), invoice, {}, "payment_applications_in_step"


def _siblings():
    invoice = make_open_invoice(total="80.00")
    sibling = make_customer(parent=invoice.seller)
    return make_payment(customer=sibling, applications=[]), invoice, {}, "payment_within_customer"


def _childs_money():
    invoice = make_open_invoice(total="80.00")
    below = make_payment(
        customer=make_customer(parent=invoice.customer), seller=invoice.seller, applications=[]
    )
    return below, invoice, {}, "payment_within_customer"


def _other_currency():
    invoice = make_open_invoice(total="80.00", currency="USD")
    return (
        make_payment(customer=invoice.customer, applications=[]),
        invoice,
        {},
        "payment_applications_in_step",
    )


def _before_it_came():
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer, applications=[])
    return payment, invoice, {"applied_on": RECEIVED.replace(day=1)}, "payment_applications_in_step"


@pytest.mark.parametrize(
    "scene", [_other_sellers, _siblings, _childs_money, _other_currency, _before_it_came]
)
def test_an_application_that_no_service_would_make_does_not_commit(scene):
    payment, invoice, overrides, constraint = scene()
    before = everything()

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        write_application(payment, invoice, "10.00", **overrides)

    assert constraint_of(refusal.value) == constraint
    assert everything() == before


def test_counters_do_not_move_without_their_applications():
    payment = make_payment(applications=[])
    before = everything()

    with pytest.raises(IntegrityError) as refusal:
        Payment.objects.filter(pk=payment.pk).update(applied_amount=Decimal("1.00"))

    assert constraint_of(refusal.value) == "payment_applied_by_applications"
    assert everything() == before


def test_an_application_does_not_come_without_its_counters():
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer, applications=[])

    with pytest.raises(IntegrityError) as refusal:
        PaymentApplication.objects.create(
            payment=payment, invoice=invoice, amount=Decimal("1.00"), currency="EUR", applied_on=TODAY
        )

    assert constraint_of(refusal.value) == "payment_applications_in_step"


def test_no_more_is_applied_than_was_received_and_no_more_paid_than_is_owed():
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer, amount="50.00", applications=[])

    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        write_application(payment, invoice, "50.01")
    assert constraint_of(refusal.value) == "payment_applied_within_amount"

    rich = make_payment(customer=invoice.customer, amount="500.00", applications=[])
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        write_application(rich, invoice, "80.01")
    assert constraint_of(refusal.value) == "invoice_settled_within_total"


@pytest.mark.parametrize("amount", ["0.00", "-1.00", "1.005", "NaN"])
def test_amounts_are_positive_and_payable(amount):
    payment = make_payment(applications=[])

    with pytest.raises(IntegrityError) as refusal, connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO payments (id, seller_id, customer_id, method, state, amount, applied_amount, currency,
                                  received_on, reference, note, content_digest, version)
            SELECT gen_random_uuid(), seller_id, customer_id, 'cheque', state, %s, 0, currency,
                   received_on, 'raw', '', '', 1
            FROM payments WHERE id = %s
            """,
            [amount, payment.pk],
        )

    assert constraint_of(refusal.value) in {
        "payment_payable",
        "payment_positive",
        "payment_applied_within_amount",
    }
    assert Payment.objects.count() == 1


def test_payments_are_never_changed_or_deleted_and_their_applications_neither():
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer)
    before = everything()

    for change in (
        lambda: Payment.objects.filter(pk=payment.pk).update(amount=Decimal("1000.00")),
        lambda: Payment.objects.filter(pk=payment.pk).update(customer=make_seller()),
        lambda: Payment.objects.filter(pk=payment.pk).update(reference="other"),
        lambda: Payment.objects.filter(pk=payment.pk).delete(),
        lambda: PaymentApplication.objects.update(amount=Decimal("1.00")),
        lambda: PaymentApplication.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()

    assert everything() == before


def test_checker_and_the_controls_see_what_the_triggers_would_have_refused(unguarded):
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer, amount="100.00")
    assert _broken() == set()

    unguarded("UPDATE payment_applications SET amount = 70")
    assert _broken() == {
        "I6 paid is the sum of the applications",
        "I7 applied is the sum of the applications",
    }
    unguarded("UPDATE payment_applications SET amount = 80, currency = 'USD'")
    assert _broken() == {"I7 a payment settles in its own currency, for its own seller"}
    unguarded("UPDATE payment_applications SET currency = 'EUR', applied_on = '2026-01-01'")
    assert _broken() == {"I7 nothing is settled before both the money and the claim exist"}
    unguarded("UPDATE payment_applications SET applied_on = '2026-02-10'")
    unguarded("UPDATE payments SET amount = 101")
    assert _broken() == {
        "L5 a payment is in the books once, with its amount",
        "customer balances = what is not applied of payments and credit notes",
    }
    unguarded("UPDATE payments SET amount = 100")
    unguarded("UPDATE invoices SET total_amount = 81, net_amount = 81")
    assert "I6 an invoice is paid iff nothing is open" in _broken()
    assert "accounts receivable = what is open on issued invoices" in _broken()
    assert payment.pk


def _broken() -> set[str]:
    by_invariants = {found.invariant for found in find_violations("payments") if found.violations}
    return by_invariants | {name for name, compare in control_total.items() if compare().count}


@pytest.mark.parametrize("state", ["issued", "paid"])
def test_an_invoice_is_not_paid_by_saying_so(state):
    invoice = make_open_invoice(total="80.00")
    paid = "80.00" if state == "paid" else "10.00"

    with pytest.raises(IntegrityError) as refusal:
        Invoice.objects.filter(pk=invoice.pk).update(paid_amount=Decimal(paid), state=state)

    assert constraint_of(refusal.value) == "invoice_paid_by_applications"
    invoice.refresh_from_db()
    assert (invoice.paid_amount, invoice.state) == (0, "issued")
