"""A late payment and its dunning.

Falken owes 119.00 EUR (100.00 + 19 % tax), due on 1 December. The policy: a reminder 7 days after the due day; after 14
days a flat fee of 40.00, interest of 10 % a year, and a final notice; after 60 days the case is handed over.

    8 December     reminder over 119.00
    15 December    fee 40.00; interest 119.00 × 14 days × 10 % / 365 = 0.456… → 0.46; final notice
    20 December    119.00 is paid, the case closes
    1 January      the next invoice: 80 units of December at 0.25 = 20.00 + 3.80 tax, and 40.46 of fees without tax
"""

from datetime import date
from decimal import Decimal

import pytest

from billing.dunning import services as dunning
from billing.dunning.models import DunningCase, DunningMail, LateFee
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.tests.commits import as_if_committed
from config.tests.scenarios.steps import (
    ACTOR,
    assert_books_are_sound,
    balances,
    found_seller,
    fresh,
    issue_one_off,
    offer_product,
    receive_payment,
    report_usage,
    run_billing,
    sign_customer,
)

pytestmark = pytest.mark.django_db

ISSUED, DUE = date(2025, 11, 1), date(2025, 12, 1)
REMINDED, CHARGED, PAID, NEXT_RUN = (
    date(2025, 12, 8),
    date(2025, 12, 15),
    date(2025, 12, 20),
    date(2026, 1, 1),
)
STEPS = [
    {"days_after_due": 7, "effect": "notify", "template": "reminder"},
    {"days_after_due": 14, "effect": "late_fee", "fee_basis": "flat"},
    {"days_after_due": 14, "effect": "late_fee", "fee_basis": "interest"},
    {"days_after_due": 14, "effect": "notify", "template": "final_notice"},
    {"days_after_due": 60, "effect": "stop"},
]


@pytest.fixture
def seller():
    seller = found_seller()
    policy = dunning.create_policy(
        actor=ACTOR,
        seller_id=seller.pk,
        code="STANDARD",
        name="Standard",
        is_default=True,
        steps=STEPS,
        amounts=[{"currency": "EUR", "minimum_amount": Decimal("5.00"), "fee_amount": Decimal("40.00")}],
        interest_percent=Decimal(10),
        fee_reference="Directive 2011/7/EU, Articles 3 and 6",
    )
    dunning.activate_policy(actor=ACTOR, policy_id=policy.pk)
    return seller


@pytest.fixture
def customer(seller):
    return sign_customer(seller, "FALKEN")


@pytest.fixture
def invoice(seller, customer) -> Invoice:
    product = offer_product(seller, "STORAGE", {"EUR": "0.25"})
    return issue_one_off(seller, customer, {product: "100.00"}, on=ISSUED)


def run_dunning(seller, *days: date) -> None:
    for day in days:
        dunning.run_dunning(actor=ACTOR, seller_id=seller.pk, as_of=day)
        as_if_committed()


def letters() -> list[tuple[date, str]]:
    return list(DunningMail.objects.order_by("written_on").values_list("written_on", "template"))


def test_nobody_is_reminded_before_a_step_is_due(seller, invoice):
    run_dunning(seller, DUE, date(2025, 12, 7))

    assert letters() == []
    assert_books_are_sound()


def test_a_reminder_is_sent_once(seller, invoice):
    run_dunning(seller, REMINDED, REMINDED, date(2025, 12, 9))

    assert letters() == [(REMINDED, "reminder")]
    assert DunningCase.objects.get().state == "open"
    assert_books_are_sound()


def test_late_fees_are_charged_with_the_final_notice(seller, invoice):
    run_dunning(seller, REMINDED, CHARGED)

    assert letters() == [(REMINDED, "reminder"), (CHARGED, "final_notice")]
    assert sorted(LateFee.objects.values_list("basis", "amount")) == [
        ("flat", Decimal("40.00")),
        ("interest", Decimal("0.46")),
    ]
    assert fresh(invoice).balance_amount == Decimal("119.00")  # fees are no part of the late invoice
    assert_books_are_sound()


def test_a_payment_closes_the_case(seller, customer, invoice):
    run_dunning(seller, REMINDED, CHARGED)

    receive_payment(customer, seller, "119.00", on=PAID)
    run_dunning(seller, PAID, date(2026, 2, 15))

    assert fresh(invoice).state == InvoiceState.PAID
    case = DunningCase.objects.get()
    assert (case.state, case.closed_on) == ("closed", PAID)
    assert len(letters()) == 2
    assert_books_are_sound()


def test_late_fees_are_on_the_next_invoice_without_tax(seller, customer, invoice):
    run_dunning(seller, REMINDED, CHARGED)
    receive_payment(customer, seller, "119.00", on=PAID)
    report_usage(customer, "STORAGE", "80", on=date(2025, 12, 10))

    [following] = run_billing(seller, on=NEXT_RUN)

    assert sorted(following.lines.values_list("kind", "net_amount", "tax_category")) == [
        ("late_fee", Decimal("0.46"), "O"),
        ("late_fee", Decimal("40.00"), "O"),
        ("usage", Decimal("20.00"), "S"),
    ]
    assert (following.tax_amount, following.total_amount) == (Decimal("3.80"), Decimal("64.26"))
    # 1000 cash, 1100 receivable, 2200 tax 19.00 + 3.80, 4000 revenue 100.00 + 20.00, 4050 late-payment charges
    assert balances(seller) == {
        "1000": Decimal("119.00"),
        "1100": Decimal("64.26"),
        "2200": Decimal("-22.80"),
        "4000": Decimal("-120.00"),
        "4050": Decimal("-40.46"),
    }
    assert_books_are_sound()
