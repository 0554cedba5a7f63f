from decimal import Decimal
from uuid import uuid4

import pytest
from django.urls import reverse

from billing.entities.tests.makers import make_grant
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.payments.models import Payment
from billing.payments.tests.makers import make_open_invoice, make_payment
from billing.payments.tests.state import everything

pytestmark = pytest.mark.django_db
BACKEND = "billing.entities.backends.GrantBackend"


@pytest.fixture
def console(client):
    """A console that somebody with `role` over `entity` has signed in to."""

    def sign_in(role, entity):
        client.force_login(make_grant(role=role, entity=entity).user, backend=BACKEND)
        return client

    return sign_in


def page(name: str, *args) -> str:
    return reverse(f"admin:payments_payment_{name}", args=args)


def answers_for(invoice, **overrides) -> dict:
    return {
        "customer_code": invoice.customer.code,
        "amount": "100.00",
        "currency": "EUR",
        "received_on": "2026-02-10",
        "method": "bank_transfer",
        "reference": "STATEMENT 7/3",
        "note": "",
    } | overrides


def test_records_a_payment_and_a_second_click_moves_nothing(console):
    invoice = make_open_invoice(total="80.00")
    client = console("BO", invoice.seller)

    first = client.post(page("add"), answers_for(invoice), follow=True)
    second = client.post(page("add"), answers_for(invoice), follow=True)

    payment = Payment.objects.get()
    assert first.redirect_chain == second.redirect_chain == [(page("change", payment.pk), 302)]
    assert "20.00 EUR" in first.content.decode()
    assert invoice.number in first.content.decode()
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("_case", "changes"),
    [
        ("unknown customer", {"customer_code": "nobody"}),
        ("zero", {"amount": "0.00"}),
        ("half a cent", {"amount": "1.005"}),
        ("future", {"received_on": "2999-01-01"}),
    ],
)
def test_says_why_it_does_not_record_and_changes_nothing(console, _case, changes):
    invoice = make_open_invoice(total="80.00")
    client = console("BO", invoice.seller)
    before = everything()

    answer = client.post(page("add"), answers_for(invoice, **changes))

    assert answer.status_code == 200
    assert everything() == before


def test_customers_out_of_reach_cannot_be_named(console):
    mine, theirs = make_open_invoice(), make_open_invoice()
    client = console("BO", mine.seller)

    client.post(page("add"), answers_for(theirs))

    assert Payment.objects.count() == 0


def test_a_viewer_looks_and_records_nothing(console):
    payment = make_payment(amount="12.50")
    client = console("VW", payment.seller)

    assert "12.50 EUR" in client.get(page("changelist")).content.decode()
    assert "12.50 EUR" in client.get(page("change", payment.pk)).content.decode()
    assert client.get(page("add")).status_code == 403
    assert client.post(page("delete", payment.pk), {"post": "yes"}).status_code == 403


def test_applies_what_is_left_to_an_invoice_named_by_its_number(console):
    invoice = make_open_invoice(total="80.00")
    payment = make_payment(customer=invoice.customer, applications=[])
    client = console("FC", invoice.seller)
    address = reverse("admin:payments_payment_action_apply", args=[payment.pk])

    client.post(
        address,
        {"confirm": "yes", "once": uuid4().hex, "invoice_number": invoice.number, "amount": "30.00"},
    )

    invoice.refresh_from_db()
    assert invoice.paid_amount == Decimal("30.00")
    assert_invariants_hold()
