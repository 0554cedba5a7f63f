from decimal import Decimal

import pytest
from rest_framework import serializers

from billing.kernel.api import fields
from billing.kernel.api.fields import ExactAmountField, MoneyAmountField


class Shown(serializers.Serializer):
    amount = MoneyAmountField()
    price = ExactAmountField(required=False)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1250.0000", "USD", "1250.00"),
        ("1250.0000", "JPY", "1250"),
        ("1.2345", "KWD", "1.2345"),
        ("0.0000", "EUR", "0.00"),
        ("-0.0000", "EUR", "0.00"),
        ("-5", "EUR", "-5.00"),
        ("999999999999999.9900", "EUR", "999999999999999.99"),
        ("1E+3", "EUR", "1000.00"),
    ],
)
def test_money_is_shown_with_the_decimals_of_its_currency(amount, currency, shown):
    row = {"amount": Decimal(amount), "currency": currency}
    assert Shown(row).data["amount"] == shown


def test_the_currency_may_be_elsewhere():
    class Line(serializers.Serializer):
        amount = MoneyAmountField(currency_source="invoice.currency")

    assert Line({"amount": Decimal("5.0000"), "invoice": {"currency": "JPY"}}).data == {"amount": "5"}


@pytest.mark.parametrize(
    ("price", "shown"),
    [
        ("0.012500000000", "0.0125"),
        ("10.000000000000", "10"),
        ("1E+2", "100"),
        ("-0.000", "0"),
        ("0E-12", "0"),
    ],
)
def test_a_price_is_shown_without_trailing_zeros(price, shown):
    row = {"amount": Decimal(1), "currency": "EUR", "price": Decimal(price)}
    assert Shown(row).data["price"] == shown


def test_an_absent_amount_is_null():
    assert Shown({"amount": None, "currency": "EUR"}).data["amount"] is None


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        (MoneyAmountField(min_value=0), "0", "-0.01"),
        (MoneyAmountField(above=0), "0.01", "0"),
        (MoneyAmountField(max_value=10), "10", "10.01"),
    ],
)
def test_bounds_are_kept(field, good, bad):
    assert field.run_validation(good) == Decimal(good)
    with pytest.raises(serializers.ValidationError):
        field.run_validation(bad)


def test_countries_are_those_of_iso_3166_and_spains_territories_with_taxes_of_their_own():
    assert len(fields.countries()) == 251
    assert {"DE", "US", "IC", "EA", "EU", "XX"} & fields.countries() == {"DE", "US", "IC", "EA"}


def test_an_instant_keeps_its_moment_and_loses_its_offset():
    given = fields.StrictDateTimeField().run_validation("2026-03-29T03:30:00+02:00")
    assert fields.instant_text(given) == "2026-03-29T01:30:00.000000Z"
