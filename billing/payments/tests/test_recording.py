from datetime import date, timedelta
from decimal import Decimal

import pytest

from billing.entities import services as entities
from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.errors import InvoiceOverpaid, NotTheSeller
from billing.invoicing.states import InvoiceState
from billing.kernel.errors import IllegalMove, Invalid, NotFound
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry, AuditKind, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalEntry
from billing.ledger.tests.makers import closed_month
from billing.payments import services
from billing.payments.errors import (
    ApplicationsExceedPayment,
    CurrencyMismatch,
    DuplicateInvoice,
    InvalidPaymentAmount,
    InvoiceOfAnotherCustomer,
    InvoiceOfAnotherSeller,
    NotACustomerOfSeller,
    PaymentDateInFuture,
    PaymentReferenceUsed,
)
from billing.payments.models import Payment, PaymentApplication
from billing.payments.tests.makers import (
    ISSUED,
    RECEIVED,
    TODAY,
    make_customer,
    make_draft_invoice,
    make_open_invoice,
    make_payment,
    make_seller,
    payment_terms,
)
from billing.payments.tests.state import balances, everything

pytestmark = pytest.mark.django_db


def applied(payment: Payment) -> dict:
    return {a.invoice_id: a.amount for a in PaymentApplication.objects.filter(payment=payment)}


def test_pays_the_oldest_due_first_and_keeps_the_rest_as_the_customers_balance():
    customer = make_customer()
    youngest = make_open_invoice(customer=customer, total="30.00", issued_on=ISSUED + timedelta(days=3))
    oldest = make_open_invoice(
        customer=customer, total="50.00", seller=youngest.seller, issued_on=ISSUED + timedelta(days=3)
    )
    # What is due counts, not the number: terms shortened for the later one.
    customer.payment_terms_days = 5
    customer.save(update_fields=["payment_terms_days"])
    first_due = make_open_invoice(
        customer=customer, total="20.00", seller=youngest.seller, issued_on=ISSUED + timedelta(days=4)
    )

    payment = make_payment(customer=customer, amount="60.00")

    assert applied(payment) == {
        first_due.pk: Decimal("20.00"),
        youngest.pk: Decimal("30.00"),
        oldest.pk: Decimal("10.00"),
    }
    payment.refresh_from_db()
    assert (payment.applied_amount, payment.unapplied_amount) == (Decimal("60.00"), Decimal(0))
    oldest.refresh_from_db()
    assert (oldest.state, oldest.paid_amount, oldest.balance_amount) == (
        InvoiceState.ISSUED,
        Decimal("10.00"),
        Decimal("40.00"),
    )
    assert balances(youngest.seller) == {
        ("1000", "EUR"): Decimal("60.00"),
        ("1100", "EUR"): Decimal("40.00"),
        ("4000", "EUR"): Decimal("-100.00"),
    }
    assert_invariants_hold()


def test_what_is_left_is_the_payers_balance_and_everybody_is_told():
    invoice = make_open_invoice(total="100.00", percent="19")
    before = JournalEntry.objects.count()

    payment = make_payment(customer=invoice.customer, amount="150.00")

    invoice.refresh_from_db()
    assert (invoice.state, invoice.balance_amount) == (InvoiceState.PAID, 0)
    assert payment.unapplied_amount == Decimal("31.00")
    entry = JournalEntry.objects.get(source=f"payment:{payment.pk}")
    assert JournalEntry.objects.count() == before + 1
    assert (entry.event, entry.posted_on) == ("received", RECEIVED)
    lines = {
        (line.account.code, line.debit, line.credit, line.customer_id)
        for line in entry.lines.select_related("account")
    }
    assert lines == {
        ("1000", Decimal("150.00"), Decimal(0), invoice.customer_id),
        ("1100", Decimal(0), Decimal("119.00"), invoice.customer_id),
        ("2300", Decimal(0), Decimal("31.00"), invoice.customer_id),
    }
    told = OutboxEvent.objects.filter(name__in=["payment.succeeded", "invoice.paid"]).order_by("id")
    assert [(event.name, event.entity_id) for event in told] == [
        ("invoice.paid", invoice.customer_id),
        ("payment.succeeded", invoice.customer_id),
    ]
    said = AuditEntry.objects.get(kind=AuditKind.VERB, subject_id=str(payment.pk))
    assert (said.action, said.actor, said.entity_id) == ("payment.recorded", "test", invoice.customer_id)
    assert said.detail["applied"] == [{"invoice": str(invoice.pk), "amount": "119.00"}]
    assert_invariants_hold()


def test_an_explicit_list_is_carried_out_to_the_letter():
    customer = make_customer()
    older = make_open_invoice(customer=customer, total="50.00")
    newer = make_open_invoice(customer=customer, total="80.00", seller=older.seller)

    payment = make_payment(customer=customer, amount="70.00", applications=[(newer.pk, Decimal("65.50"))])

    assert applied(payment) == {newer.pk: Decimal("65.50")}
    assert balances(older.seller)["2300", "EUR"] == Decimal("-4.50")
    assert_invariants_hold()


def test_an_empty_list_leaves_everything_to_the_balance():
    invoice = make_open_invoice(total="50.00")

    payment = make_payment(customer=invoice.customer, amount="50.00", applications=[])

    assert applied(payment) == {}
    assert balances(invoice.seller)["2300", "EUR"] == Decimal("-50.00")
    assert_invariants_hold()


def test_other_currencies_sellers_and_customers_are_left_alone():
    invoice = make_open_invoice(total="50.00", currency="USD")
    sibling = make_open_invoice(customer=make_customer(parent=invoice.seller), total="50.00")
    below = make_open_invoice(
        customer=make_customer(parent=invoice.customer), seller=invoice.seller, total="50.00"
    )

    payment = make_payment(customer=invoice.customer, amount="50.00")

    assert applied(payment) == {}
    for untouched in (invoice, sibling, below):
        untouched.refresh_from_db()
        assert untouched.paid_amount == 0
    assert_invariants_hold()


def test_a_parent_pays_for_the_entities_below_it():
    group = make_customer()
    child = make_customer(parent=make_customer(parent=group))
    seller = group.parent
    invoice = make_open_invoice(customer=child, seller=seller, total="40.00")

    payment = make_payment(customer=group, amount="50.00", applications=[(invoice.pk, Decimal("40.00"))])

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.PAID
    entry = JournalEntry.objects.get(source=f"payment:{payment.pk}")
    owed = {line.account.code: line.customer_id for line in entry.lines.select_related("account")}
    assert owed == {"1000": group.pk, "1100": child.pk, "2300": group.pk}
    assert_invariants_hold()


def test_money_that_came_before_the_invoice_waits_on_the_balance_until_it_is_issued():
    invoice = make_open_invoice(total="50.00", issued_on=RECEIVED + timedelta(days=5))

    payment = make_payment(customer=invoice.customer, amount="50.00")

    application = PaymentApplication.objects.get()
    assert application.applied_on == invoice.issued_on
    received = JournalEntry.objects.get(source=f"payment:{payment.pk}")
    later = JournalEntry.objects.get(source=f"payment_application:{application.pk}")
    assert (received.posted_on, later.posted_on) == (RECEIVED, invoice.issued_on)
    assert sorted(received.lines.values_list("account__code", flat=True)) == ["1000", "2300"]
    assert sorted(later.lines.values_list("account__code", flat=True)) == ["1100", "2300"]
    assert ("2300", "EUR") not in balances(invoice.seller)
    assert_invariants_hold()


def test_money_of_a_closed_month_is_booked_and_counts_from_the_first_open_day():
    invoice = make_open_invoice(total="50.00")
    closed_month(invoice.seller, ISSUED.replace(day=1))

    payment = make_payment(customer=invoice.customer, amount="60.00", received_on=ISSUED)

    entry = JournalEntry.objects.get(source=f"payment:{payment.pk}")
    assert (payment.received_on, entry.posted_on) == (ISSUED, date(2026, 2, 1))
    assert PaymentApplication.objects.get().applied_on == date(2026, 2, 1)
    assert_invariants_hold()


@pytest.mark.parametrize(("currency", "amount"), [("JPY", "1500"), ("KWD", "12.345")])
def test_every_currency_is_paid_in_its_own_minor_unit(currency, amount):
    invoice = make_open_invoice(total=amount, currency=currency)

    make_payment(customer=invoice.customer, amount=amount, currency=currency)

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.PAID
    assert_invariants_hold()


def test_the_same_reference_again_is_the_same_payment_and_moves_nothing():
    invoice = make_open_invoice(total="80.00")
    terms = payment_terms(customer=invoice.customer, amount="100.00")
    first = services.record_payment(**terms)
    before = everything()

    again = services.record_payment(**terms | {"amount": Decimal("100.0000")})

    assert again == first
    assert everything() == before


@pytest.mark.parametrize(
    ("_case", "changes"),
    [
        ("amount", {"amount": Decimal("99.99")}),
        ("day", {"received_on": RECEIVED - timedelta(days=1)}),
        ("note", {"note": "other"}),
        ("currency", {"currency": "USD"}),
        ("applications", {"applications": []}),
    ],
)
def test_the_same_reference_with_other_content_is_refused(_case, changes):
    invoice = make_open_invoice(total="80.00")
    terms = payment_terms(customer=invoice.customer, amount="100.00")
    first = services.record_payment(**terms)
    before = everything()

    with pytest.raises(PaymentReferenceUsed) as refusal:
        services.record_payment(**terms | changes)

    assert (refusal.value.code, refusal.value.status) == ("payment-reference-used", 409)
    assert refusal.value.extra["payment"] == str(first.pk)
    assert everything() == before


def test_the_same_reference_by_another_method_or_of_another_seller_is_another_payment():
    customer = make_customer()
    terms = payment_terms(customer=customer)
    services.record_payment(**terms)

    services.record_payment(**terms | {"method": "cheque"})
    make_payment(reference=terms["reference"])

    assert Payment.objects.filter(reference=terms["reference"]).count() == 3


@pytest.mark.parametrize(
    ("_case", "changes", "refusal"),
    [
        ("tomorrow", {"received_on": TODAY + timedelta(days=1)}, PaymentDateInFuture),
        ("nothing", {"amount": Decimal(0)}, InvalidPaymentAmount),
        ("negative", {"amount": Decimal("-1.00")}, InvalidPaymentAmount),
        ("half a cent", {"amount": Decimal("1.005")}, InvalidPaymentAmount),
        ("not a number", {"amount": Decimal("NaN")}, InvalidPaymentAmount),
        ("too much", {"amount": Decimal(10) ** 15}, InvalidPaymentAmount),
        ("no such method", {"method": "barter"}, Invalid),
        ("no reference", {"reference": " "}, Invalid),
        ("no such currency", {"currency": "EUX"}, Invalid),
    ],
)
def test_refuses_what_cannot_be_meant_and_changes_nothing(_case, changes, refusal):
    invoice = make_open_invoice(total="80.00")
    terms = payment_terms(customer=invoice.customer, amount="80.00") | changes
    before = everything()

    with pytest.raises(refusal):
        services.record_payment(**terms)

    assert everything() == before


def _more_than_open():
    invoice = make_open_invoice(total="80.00")
    return invoice.customer, [(invoice.pk, Decimal("80.01"))]


def _paid():
    invoice = make_open_invoice(total="80.00")
    make_payment(customer=invoice.customer, amount="80.00")
    return invoice.customer, [(invoice.pk, Decimal("0.01"))]


def _draft():
    invoice = make_draft_invoice(total="80.00")
    return invoice.customer, [(invoice.pk, Decimal("80.00"))]


def _void():
    invoice = make_open_invoice(total="80.00")
    invoicing.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=RECEIVED, reason="wrong")
    return invoice.customer, [(invoice.pk, Decimal("80.00"))]


def _other_currency():
    invoice = make_open_invoice(total="80.00", currency="USD")
    return invoice.customer, [(invoice.pk, Decimal("80.00"))]


def _siblings():
    invoice = make_open_invoice(total="80.00")
    return make_customer(parent=invoice.seller), [(invoice.pk, Decimal("80.00"))]


def _parents():
    invoice = make_open_invoice(total="80.00")
    return make_customer(parent=invoice.customer), [(invoice.pk, Decimal("80.00"))]


def _other_sellers():
    return make_customer(), [(make_open_invoice(total="80.00").pk, Decimal("80.00"))]


def _more_than_received():
    customer = make_customer()
    one = make_open_invoice(customer=customer, total="80.00")
    two = make_open_invoice(customer=customer, seller=one.seller, total="80.00")
    return customer, [(one.pk, Decimal("50.00")), (two.pk, Decimal("50.01"))]


def _twice():
    invoice = make_open_invoice(total="80.00")
    return invoice.customer, [(invoice.pk, Decimal("40.00")), (invoice.pk, Decimal("40.00"))]


def _nothing_of_it():
    invoice = make_open_invoice(total="80.00")
    return invoice.customer, [(invoice.pk, Decimal(0))]


def _one_good_one_bad():
    invoice = make_open_invoice(total="80.00")
    other = make_open_invoice(customer=invoice.customer, seller=invoice.seller, total="10.00")
    return invoice.customer, [(invoice.pk, Decimal("80.00")), (other.pk, Decimal("10.01"))]


def _unknown():
    return make_customer(), [(uuid7(), Decimal("1.00"))]


@pytest.mark.parametrize(
    ("scene", "refusal"),
    [
        (_more_than_open, InvoiceOverpaid),
        (_paid, IllegalMove),
        (_draft, IllegalMove),
        (_void, IllegalMove),
        (_other_currency, CurrencyMismatch),
        (_siblings, InvoiceOfAnotherCustomer),
        (_parents, InvoiceOfAnotherCustomer),
        (_other_sellers, InvoiceOfAnotherSeller),
        (_more_than_received, ApplicationsExceedPayment),
        (_twice, DuplicateInvoice),
        (_nothing_of_it, InvalidPaymentAmount),
        (_one_good_one_bad, InvoiceOverpaid),
        (_unknown, NotFound),
    ],
)
def test_refuses_invoices_it_cannot_settle_and_changes_nothing(scene, refusal):
    customer, applications = scene()
    before = everything()

    with pytest.raises(refusal):
        make_payment(customer=customer, amount="100.00", applications=applications)

    assert everything() == before
    assert_invariants_hold()


def test_refuses_strangers_and_those_who_do_not_sell():
    seller, stranger = make_seller(), make_customer()
    before = everything()

    with pytest.raises(NotACustomerOfSeller):
        make_payment(customer=stranger, seller=seller)
    with pytest.raises(NotACustomerOfSeller):
        make_payment(customer=seller, seller=seller)
    with pytest.raises(NotTheSeller):
        make_payment(customer=stranger, seller=make_entity())
    with pytest.raises(NotFound):
        services.record_payment(**payment_terms(customer=stranger) | {"seller_id": uuid7()})

    assert everything() == before | {"audit_entries": everything()["audit_entries"]}
    assert Payment.objects.count() == 0


def test_a_customer_that_moved_away_still_pays_its_old_seller():
    invoice = make_open_invoice(total="80.00")
    customer = invoice.customer
    entities.move_entity(
        actor="test",
        entity_id=customer.pk,
        parent_id=make_seller().pk,
        effective_on=RECEIVED,
        as_of=RECEIVED,
        reason="sold",
    )
    customer.refresh_from_db()

    make_payment(customer=customer, seller=invoice.seller, amount="80.00")

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.PAID
    assert_invariants_hold()


def test_five_invoices_cost_a_bounded_number_of_queries(django_assert_max_num_queries):
    customer = make_customer()
    for _ in range(5):
        make_open_invoice(customer=customer, total="10.00")
    make_payment(customer=customer, amount="1.00")  # the months and accounts exist from here on

    with django_assert_max_num_queries(50):
        make_payment(customer=customer, amount="49.00")
