from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import make_invoice
from billing.kernel.models import AuditEntry
from billing.payments.models import Payment

pytestmark = pytest.mark.django_db


def record(owed, **overrides) -> str:
    out = StringIO()
    options = {
        "customer": owed.customer.code,
        "amount": "119.00",
        "currency": "eur",
        "reference": "wire 1",
        "received_on": date(2024, 10, 20),
    } | overrides
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    call_command("record_payment", *arguments, stdout=out)
    return out.getvalue().strip()


def test_settles_the_oldest_and_tells_what_is_left():
    invoice = make_invoice()

    said = record(invoice, amount="120.00")

    payment = Payment.objects.get()
    assert said == f"payment={payment.pk} applied=119.00 on_balance=1.00"
    assert Invoice.objects.get().state == InvoiceState.PAID
    assert AuditEntry.objects.get(action="payment.recorded").actor == "command:record_payment"


def test_the_same_reference_twice_is_one_payment():
    invoice = make_invoice()

    assert record(invoice, invoice=invoice.number) == record(invoice, invoice=invoice.number)

    assert Payment.objects.count() == 1
    assert Invoice.objects.get().paid_amount == Decimal(119)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"customer": "NOBODY"}, "no entity 'NOBODY'"),
        ({"seller": "NOBODY"}, "no entity 'NOBODY'"),
        ({"invoice": "INV-1"}, "no invoice 'INV-1'"),
        ({"amount": "1.001"}, r"1\.001 EUR cannot be paid"),
        ({"amount": "a lot"}, "not an amount"),
        ({"amount": "NaN"}, "cannot be paid"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_moves_nothing(wrong, complaint):
    invoice = make_invoice()

    with pytest.raises(CommandError, match=complaint):
        record(invoice, **wrong)

    assert not Payment.objects.exists()
    assert Invoice.objects.get().paid_amount == 0


def test_an_entity_with_no_seller_above_it_needs_one_named():
    invoice = make_invoice()

    with pytest.raises(CommandError, match="--seller"):
        record(invoice, customer=invoice.seller.code)

    assert not Payment.objects.exists()
