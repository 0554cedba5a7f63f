"""The SQL functions behind every CHECK on an amount."""

import iso4217
import pytest
from django.db import connection

from billing.kernel.money import currencies, exponent

pytestmark = pytest.mark.django_db


def ask(expression: str, *values: object) -> object:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {expression}", values)
        return cursor.fetchone()[0]


def test_the_exponents_are_those_of_iso_4217_for_every_code():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT code, currency_exponent(code) FROM unnest(%s::text[]) AS code",
            [[currency.code for currency in iso4217.Currency]],
        )
        known = dict(cursor.fetchall())
    assert known == {currency.code: currency.exponent for currency in iso4217.Currency}
    assert {code: known[code] for code in currencies()} == {code: exponent(code) for code in currencies()}


@pytest.mark.parametrize("code", ["", "eur", "ZZZ", "EURO"])
def test_an_unknown_currency_has_no_exponent_and_no_payable_amount(code):
    assert ask("currency_exponent(%s)", code) is None
    assert ask("is_payable(%s, 1.00)", code) is False


@pytest.mark.parametrize(
    ("currency", "amount", "expected"),
    [
        ("EUR", "0", True),
        ("EUR", "0.01", True),
        ("EUR", "-0.01", True),
        ("EUR", "0.0100", True),
        ("EUR", "0.001", False),
        ("EUR", "-0.001", False),
        ("JPY", "1", True),
        ("JPY", "1.0000", True),
        ("JPY", "0.1", False),
        ("KWD", "0.001", True),
        ("KWD", "0.0001", False),
        ("CLF", "0.0001", True),
        ("EUR", "999999999999999.99", True),
        ("EUR", "1e15", False),
        ("EUR", "-1e15", False),
        ("EUR", "NaN", False),
        ("EUR", "Infinity", False),
        ("EUR", "-Infinity", False),
    ],
)
def test_an_amount_is_payable_in_its_currency_or_not(currency, amount, expected):
    assert ask("is_payable(%s, %s::numeric)", currency, amount) is expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0", True),
        ("9999999999999999.999999999999", True),
        ("-9999999999999999.999999999999", True),
        ("0.000000000001", True),
        ("1e16", False),
        ("NaN", False),
        ("Infinity", False),
        ("-Infinity", False),
    ],
)
def test_an_exact_amount_is_finite_or_not(amount, expected):
    assert ask("is_finite_amount(%s::numeric)", amount) is expected


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_wrong_amount_among_many_is_enough(place):
    amounts = ["1.00", "2.00", "3.00"]
    assert ask("is_payable('EUR', VARIADIC %s::numeric[])", amounts) is True
    assert ask("is_finite_amount(VARIADIC %s::numeric[])", amounts) is True
    amounts[place] = "NaN"
    assert ask("is_payable('EUR', VARIADIC %s::numeric[])", amounts) is False
    assert ask("is_finite_amount(VARIADIC %s::numeric[])", amounts) is False


def test_an_amount_that_is_not_there_is_no_wrong_one():
    assert ask("is_payable('EUR', NULL, 1.00)") is True
    assert ask("is_finite_amount(NULL::numeric)") is True
