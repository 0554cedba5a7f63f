"""Statements of account: opening + movements = closing = what is open, on any day."""

from datetime import date, timedelta
from decimal import Decimal as D

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.invoicing import services as invoicing
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.tests.commits import as_if_committed
from billing.ledger.tests.makers import closed_month
from billing.payments import services
from billing.payments.models import Payment
from billing.payments.queries.statements import balances_of, currencies_of, open_items, statement_of
from billing.payments.tests.makers import make_customer, make_open_invoice, make_payment, make_seller

pytestmark = pytest.mark.django_db

FIRST = date(2026, 1, 1)


def parties():
    seller = make_seller()
    return {"seller": seller, "customer": make_customer(parent=seller)}


def of_february(**both):
    return statement_of(**both, currency="EUR", starts_on=date(2026, 2, 1), ends_on=date(2026, 3, 1))


def test_a_statement_has_what_was_open_what_moved_and_what_is_open():
    """An invoice of January; in February another one, a payment of both too large, and a credit."""
    both = parties()
    old = make_open_invoice(**both, total="100.00", issued_on=date(2026, 1, 15))
    new = make_open_invoice(**both, total="50.00", issued_on=date(2026, 2, 3))
    payment = make_payment(**both, amount="170.00", received_on=date(2026, 2, 10))
    note = invoicing.issue_credit_note(
        actor="test",
        invoice_id=new.pk,
        issued_on=date(2026, 2, 20),
        reason="late",
        net_amount=D("5.00"),
    )

    statement = of_february(**both)

    told = [(m.day, m.kind, m.reference, m.debit, m.credit, m.balance) for m in statement.movements]
    assert statement.opening_balance == D(100)
    assert told == [
        (date(2026, 2, 3), "invoice", new.number, D(50), 0, D(150)),
        (date(2026, 2, 10), "payment", payment.reference, 0, D(170), D(-20)),
        (date(2026, 2, 20), "credit_note", note.number, 0, D(5), D(-25)),
    ]
    assert (statement.debit_amount, statement.credit_amount) == (D(50), D(175))
    assert statement.closing_balance == D(-25)
    assert [(item.kind, item.open_amount) for item in statement.open_items] == [
        ("payment", D(-20)),
        ("credit_note", D(-5)),
    ]
    assert old.number not in {item.reference for item in statement.open_items}


def test_what_was_open_then_is_open_in_a_statement_of_then():
    both = parties()
    invoice = make_open_invoice(**both, total="100.00", issued_on=date(2026, 1, 15))
    make_payment(**both, amount="100.00", received_on=date(2026, 3, 2), as_of=date(2026, 3, 2))

    [item] = open_items(**both, currency="EUR", as_of=date(2026, 3, 1))
    assert (item.reference, item.open_amount, item.due_on) == (invoice.number, D(100), date(2026, 2, 14))
    assert open_items(**both, currency="EUR", as_of=date(2026, 3, 2)) == []
    ages = {age.label: age.amount for age in of_february(**both).ageing}
    assert ages["overdue_30"] == D(100)
    assert sum(ages.values()) == of_february(**both).closing_balance


def test_a_written_off_invoice_is_owed_until_the_day_it_is_given_up():
    both = parties()
    invoice = make_open_invoice(**both, total="100.00", issued_on=date(2026, 1, 15))
    invoicing.write_off_invoice(
        actor="test", invoice_id=invoice.pk, written_off_on=date(2026, 2, 10), reason="bankrupt"
    )
    statement = of_february(**both)
    assert (statement.opening_balance, statement.closing_balance) == (D(100), 0)
    assert [(m.event, m.reference, m.credit) for m in statement.movements] == [
        ("written_off", invoice.number, D(100))
    ]


def test_a_void_invoice_is_owed_until_the_day_it_is_void():
    both = parties()
    invoice = make_open_invoice(**both, total="100.00", issued_on=date(2026, 2, 3))
    invoicing.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=date(2026, 2, 10), reason="wrong")
    statement = of_february(**both)
    assert [(m.day.day, m.event, m.reference, m.balance) for m in statement.movements] == [
        (3, "issued", invoice.number, D(100)),
        (10, "reversed", invoice.number, 0),
    ]
    assert statement.open_items == []


def test_a_payment_for_a_subsidiary_settles_the_subsidiarys_account():
    seller = make_seller()
    parent = make_customer(parent=seller)
    child = make_customer(parent=parent)
    invoice = make_open_invoice(seller=seller, customer=child, total="100.00")
    make_payment(seller=seller, customer=parent, amount="120.00", applications=[(invoice.pk, D(100))])

    [of_parent] = balances_of(seller=seller, customer=parent, as_of=date(2026, 3, 1))
    [of_child] = balances_of(seller=seller, customer=child, as_of=date(2026, 3, 1))
    assert (of_parent.unapplied_amount, of_parent.balance_amount) == (D(20), D(-20))
    assert (of_child.receivable_amount, of_child.balance_amount) == (0, 0)


def test_each_currency_has_an_account_of_its_own():
    both = parties()
    make_open_invoice(**both, total="100.00")
    make_open_invoice(**both, total="7000", currency="JPY")
    assert currencies_of(**both) == ["EUR", "JPY"]
    assert [(b.currency, b.balance_amount) for b in balances_of(**both, as_of=date(2026, 3, 1))] == [
        ("EUR", D(100)),
        ("JPY", D(7000)),
    ]


def test_a_statement_costs_the_same_however_much_moved(django_assert_num_queries):
    both = parties()
    for _ in range(5):
        make_open_invoice(**both, total="10.00", issued_on=date(2026, 2, 3))
        make_payment(**both, amount="10.00")
    with django_assert_num_queries(6):
        of_february(**both)


ACTS = ("invoice", "payment", "credit", "write_off", "recover", "void", "apply_payment", "apply_credit")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(
        st.tuples(st.integers(0, 12), st.sampled_from(ACTS), st.integers(1, 150)), min_size=1, max_size=14
    )
)
def test_on_every_day_of_any_history_what_is_open_is_what_the_books_say(acts):
    with transaction.atomic():
        both = parties()
        day = FIRST
        for later, act, amount in acts:
            day += timedelta(days=later)
            _act(act, D(amount), day, both)
            as_if_committed()
        for as_of in (FIRST + timedelta(days=n) for n in range(0, (day - FIRST).days + 40, 3)):
            starts_on = as_of - timedelta(days=9)
            statement = statement_of(
                **both, currency="EUR", starts_on=starts_on, ends_on=as_of + timedelta(days=1)
            )
            closing = statement.closing_balance
            assert statement.opening_balance + statement.debit_amount - statement.credit_amount == closing
            assert sum(item.open_amount for item in statement.open_items) == closing
            assert sum(age.amount for age in statement.ageing) == closing
            assert sum(b.balance_amount for b in balances_of(**both, as_of=as_of)) == closing
        transaction.set_rollback(True)


def _act(act: str, amount: D, day: date, both: dict) -> None:
    """One that makes sense now, or nothing."""
    if act == "invoice":
        make_open_invoice(**both, total=amount, issued_on=day)
    elif act == "payment":
        make_payment(**both, amount=amount, received_on=day, as_of=day)
    elif act == "apply_payment":
        _apply(Payment.objects.first(), services.apply_payment, "payment_id", day)
    elif act == "apply_credit":
        _apply(_credit_left(both), invoicing.apply_credit, "credit_note_id", day)
    else:
        _change(act, amount, day)


def _credit_left(both):
    return next((n for n in both["customer"].credit_notes_received.all() if n.unapplied_amount), None)


def _apply(given, service, name, day) -> None:
    invoice = Invoice.objects.filter(state=InvoiceState.ISSUED).first()
    if given is not None and invoice is not None and given.unapplied_amount:
        amount = min(given.unapplied_amount, invoice.balance_amount)
        terms = {name: given.pk, "invoice_id": invoice.pk, "amount": amount, "applied_on": day}
        service(actor="test", **terms)


def _change(act: str, amount: D, day: date) -> None:
    terms = {"actor": "test", "reason": "test"}
    if act == "recover":
        if lost := Invoice.objects.filter(state=InvoiceState.UNCOLLECTIBLE).first():
            part = min(amount, lost.written_off_amount)
            invoicing.recover_invoice(invoice_id=lost.pk, recovered_on=day, amount=part, **terms)
        return
    invoice = Invoice.objects.filter(state__in=[InvoiceState.ISSUED, InvoiceState.PAID]).last()
    if invoice is None:
        return
    credited = sum(note.net_amount for note in invoice.credit_notes.all())
    if act == "credit" and invoice.net_amount > credited:
        net = min(amount, invoice.net_amount - credited)
        invoicing.issue_credit_note(invoice_id=invoice.pk, issued_on=day, net_amount=net, **terms)
    if invoice.state != InvoiceState.ISSUED:
        return
    if act == "write_off":
        invoicing.write_off_invoice(invoice_id=invoice.pk, written_off_on=day, **terms)
    elif act == "void" and not (invoice.paid_amount or invoice.credited_amount or invoice.written_off_amount):
        invoicing.void_invoice(invoice_id=invoice.pk, voided_on=day, **terms)


def test_what_belongs_to_a_closed_month_moves_on_the_first_open_day():
    both = parties()
    make_open_invoice(**both, total="100.00", issued_on=date(2026, 1, 15))
    closed_month(both["seller"], date(2026, 1, 1))
    make_payment(**both, amount="100.00", received_on=date(2026, 1, 20))

    assert [item.open_amount for item in open_items(**both, currency="EUR", as_of=date(2026, 1, 31))] == [
        D(100)
    ]
    assert [(m.day, m.credit) for m in of_february(**both).movements] == [(date(2026, 2, 1), D(100))]
