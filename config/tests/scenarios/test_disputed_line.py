"""A customer disputes one line of an invoice.

Falken is billed 100.00 EUR of storage and 50.00 EUR of support, with 19 % tax:

    storage    100.00 + 19.00 = 119.00
    support     50.00 +  9.50 =  59.50    disputed on 5 November
    invoice    150.00 + 28.50 = 178.50    due on 1 December

While the dispute lasts, reminders ask for 119.00 only. It is decided for the customer: a credit note over the line
reduces what is owed to 119.00, which is paid.
"""

from datetime import date
from decimal import Decimal

import pytest

from billing.dunning import services as dunning
from billing.dunning.models import DunningNotice
from billing.dunning.states import PauseKind
from billing.invoicing import services as invoicing
from billing.invoicing.errors import CreditExceedsInvoice
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.tests.commits import as_if_committed
from config.tests.scenarios.steps import (
    ACTOR,
    assert_books_are_sound,
    balances,
    found_seller,
    fresh,
    issue_one_off,
    money,
    net_by_department,
    offer_product,
    receive_payment,
    sign_customer,
)

pytestmark = pytest.mark.django_db

ISSUED, DISPUTED, REMINDED, DECIDED, PAID = (
    date(2025, 11, 1),
    date(2025, 11, 5),
    date(2025, 12, 8),
    date(2025, 12, 10),
    date(2025, 12, 12),
)
SUPPORT_WITH_TAX = Decimal("59.50")


@pytest.fixture
def seller():
    seller = found_seller()
    policy = dunning.create_policy(
        actor=ACTOR,
        seller_id=seller.pk,
        code="STANDARD",
        name="Standard",
        is_default=True,
        steps=[{"days_after_due": 7, "effect": "notify", "template": "reminder"}],
        amounts=[{"currency": "EUR", "minimum_amount": Decimal("5.00")}],
    )
    dunning.activate_policy(actor=ACTOR, policy_id=policy.pk)
    return seller


@pytest.fixture
def customer(seller):
    return sign_customer(seller, "FALKEN")


@pytest.fixture
def invoice(seller, customer) -> Invoice:
    storage, support = offer_product(seller, "STORAGE"), offer_product(seller, "SUPPORT")
    return issue_one_off(seller, customer, {storage: "100.00", support: "50.00"}, on=ISSUED)


def dispute(invoice):
    return dunning.pause_dunning(
        actor=ACTOR,
        invoice_id=invoice.pk,
        amount=SUPPORT_WITH_TAX,
        kind=PauseKind.DISPUTE,
        reason="No support was given in October",
        as_of=DISPUTED,
    )


def credit_support(invoice, net: str = "50.00") -> CreditNote:
    line = invoice.lines.get(product__code="SUPPORT")
    note = invoicing.issue_credit_note(
        actor=ACTOR,
        invoice_id=invoice.pk,
        lines={line.pk: Decimal(net)},
        issued_on=DECIDED,
        reason="No support was given in October",
    )
    as_if_committed()
    return note


def test_reminders_ask_only_for_the_undisputed_part(seller, invoice):
    dispute(invoice)

    dunning.run_dunning(actor=ACTOR, seller_id=seller.pk, as_of=REMINDED)

    notice = DunningNotice.objects.get()
    assert (notice.open_amount, notice.collectable_amount) == (Decimal("178.50"), Decimal("119.00"))
    assert_books_are_sound()


def test_a_credit_note_settles_the_disputed_line(seller, invoice):
    held = dispute(invoice)

    note = credit_support(invoice)
    dunning.resume_dunning(actor=ACTOR, pause_id=held.pk, as_of=DECIDED, reason="Credited")

    assert (note.net_amount, note.tax_amount) == (Decimal("50.00"), Decimal("9.50"))
    assert (note.applied_amount, note.unapplied_amount) == (SUPPORT_WITH_TAX, Decimal(0))
    assert fresh(invoice).balance_amount == Decimal("119.00")
    assert net_by_department(invoice) == money(GENERAL="100.00")
    # 1100 receivable = 2200 tax on storage + 4000 revenue of storage
    assert balances(seller) == {
        "1100": Decimal("119.00"),
        "2200": Decimal("-19.00"),
        "4000": Decimal("-100.00"),
    }
    assert_books_are_sound()


def test_no_more_is_credited_than_the_line_charged(invoice):
    credit_support(invoice, "30.00")

    with pytest.raises(CreditExceedsInvoice):
        credit_support(invoice, "20.01")

    assert CreditNote.objects.get().net_amount == Decimal("30.00")
    assert_books_are_sound()


def test_the_rest_is_paid_and_the_invoice_with_it(seller, customer, invoice):
    credit_support(invoice)

    receive_payment(customer, seller, "119.00", on=PAID)

    paid = fresh(invoice)
    assert (paid.state, paid.balance_amount) == (InvoiceState.PAID, Decimal(0))
    assert (paid.paid_amount, paid.credited_amount) == (Decimal("119.00"), SUPPORT_WITH_TAX)
    assert_books_are_sound()


def test_credit_of_a_paid_invoice_is_the_customers_balance(seller, customer, invoice):
    """The dispute comes after payment: 59.50 is owed to the customer."""
    receive_payment(customer, seller, "178.50", on=DISPUTED)

    note = credit_support(invoice)

    assert (note.applied_amount, note.unapplied_amount) == (Decimal(0), SUPPORT_WITH_TAX)
    assert balances(seller)["2300"] == -SUPPORT_WITH_TAX
    assert_books_are_sound()
