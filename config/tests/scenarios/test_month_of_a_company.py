"""A month of a company, from usage to the closing of the period.

Northwind sells storage at 0.25 EUR a unit, taxed at 19 %. Falken uses 1,000 units in October:

    department    units           net    of what nobody named    bears
    ENG             600        150.00     60 % of 50.00 = 30.00  180.00
    OPS             200         50.00     the rest      = 20.00   70.00
    (none)          200         50.00
    invoice       1,000        250.00 + 19 % tax 47.50 = 297.50

40 units of ENG from 28 October are reported on 5 November, after the invoice: 10.00 + 1.90 = 11.90 on the next one.
"""

from datetime import date
from decimal import Decimal

import pytest

from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import make_rule, to
from billing.ledger.states import PeriodState
from config.tests.scenarios.steps import (
    assert_books_are_sound,
    balances,
    close_period,
    found_seller,
    fresh,
    lines_of,
    money,
    net_by_department,
    offer_product,
    open_department,
    receive_payment,
    report_usage,
    run_billing,
    sign_customer,
)

pytestmark = pytest.mark.django_db

FIRST_OF_NOVEMBER, FIRST_OF_DECEMBER = date(2025, 11, 1), date(2025, 12, 1)


@pytest.fixture
def seller():
    seller = found_seller()
    offer_product(seller, "STORAGE", {"EUR": "0.25"})
    return seller


@pytest.fixture
def customer(seller):
    return sign_customer(seller, "FALKEN")


@pytest.fixture
def departments(customer):
    engineering, operations = open_department(customer, "ENG"), open_department(customer, "OPS")
    make_rule(customer, to("ENG", "60"), to("OPS"))
    return engineering, operations


@pytest.fixture
def invoice(seller, customer, departments) -> Invoice:
    """The invoice over October."""
    engineering, operations = departments
    report_usage(customer, "STORAGE", "600", on=date(2025, 10, 7), by=engineering)
    report_usage(customer, "STORAGE", "200", on=date(2025, 10, 14), by=operations)
    report_usage(customer, "STORAGE", "200", on=date(2025, 10, 21))
    [invoice] = run_billing(seller, on=FIRST_OF_NOVEMBER)
    return invoice


def test_usage_of_a_month_becomes_an_invoice(invoice):
    assert (invoice.state, invoice.due_on) == (InvoiceState.ISSUED, FIRST_OF_DECEMBER)
    assert (invoice.period_starts_on, invoice.period_ends_on) == (date(2025, 10, 1), FIRST_OF_NOVEMBER)
    assert lines_of(invoice) == [("Storage", Decimal(1000), Decimal("250.00"))]
    assert (invoice.tax_amount, invoice.total_amount) == (Decimal("47.50"), Decimal("297.50"))
    assert_books_are_sound()


def test_every_department_bears_its_part(invoice):
    assert net_by_department(invoice) == money(ENG="180.00", OPS="70.00")
    assert_books_are_sound()


def test_the_ledger_shows_the_sale_and_its_payment(seller, customer, invoice):
    # 1100 receivable = 2200 tax + 4000 revenue
    assert balances(seller) == {
        "1100": Decimal("297.50"),
        "2200": Decimal("-47.50"),
        "4000": Decimal("-250.00"),
    }

    receive_payment(customer, seller, "297.50", on=date(2025, 11, 20))

    assert fresh(invoice).state == InvoiceState.PAID
    # 1000 cash instead of the receivable
    assert balances(seller) == {
        "1000": Decimal("297.50"),
        "2200": Decimal("-47.50"),
        "4000": Decimal("-250.00"),
    }
    assert_books_are_sound()


def test_late_usage_is_an_adjustment_on_the_next_invoice(seller, customer, departments, invoice):
    engineering, _ = departments
    report_usage(
        customer, "STORAGE", "40", on=date(2025, 10, 28), by=engineering, reported_on=date(2025, 11, 5)
    )

    [adjusting] = run_billing(seller, on=FIRST_OF_DECEMBER)

    assert fresh(invoice).total_amount == Decimal("297.50")
    [line] = adjusting.lines.all()
    assert (line.kind, line.quantity, line.net_amount) == ("adjustment", Decimal(40), Decimal("10.00"))
    assert line.derivation["adjusts"] == [str(invoice.lines.get().pk)]
    assert adjusting.total_amount == Decimal("11.90")
    assert net_by_department(adjusting) == money(ENG="10.00")
    assert_books_are_sound()


def test_a_closed_period_takes_no_further_entry(seller, customer, invoice):
    """The payment came in on 28 November and is recorded on 2 December, when November is closed."""
    november = close_period(seller, FIRST_OF_NOVEMBER)
    assert november.state == PeriodState.CLOSED
    before = balances(seller, as_of=date(2025, 11, 30))

    receive_payment(customer, seller, "297.50", on=date(2025, 11, 28), as_of=date(2025, 12, 2))

    assert fresh(invoice).state == InvoiceState.PAID
    assert balances(seller, as_of=date(2025, 11, 30)) == before
    assert balances(seller, as_of=FIRST_OF_DECEMBER)["1000"] == Decimal("297.50")
    assert_books_are_sound()
