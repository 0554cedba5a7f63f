from decimal import ROUND_HALF_UP, Decimal, localcontext

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kernel.errors import Invalid
from billing.kernel.money import (
    EXACT,
    Money,
    currencies,
    exponent,
    minor_unit,
    round_half_up,
    split_exact,
    total_of,
)

CURRENCIES = ["JPY", "EUR", "KWD", "CLF"]  # 0, 2, 3 and 4 decimals
codes = st.sampled_from(CURRENCIES)


def payable(currency: str, *, low: int = -(10**17), high: int = 10**17):
    """Amounts in whole minor units, up to the largest that a column holds."""
    return st.integers(low, high).map(lambda units: EXACT.multiply(Decimal(units), minor_unit(currency)))


weights = st.decimals(0, 10**9, places=6, allow_nan=False).map(lambda weight: +weight)
exact_amounts = st.decimals(-(10**9), 10**9, places=12, allow_nan=False)


@st.composite
def splits(draw):
    """(amount, weights): something to allocate."""
    currency = draw(codes)
    amount = draw(payable(currency))
    shares = draw(st.lists(weights, min_size=1, max_size=40).filter(any))
    return Money(amount, currency), shares


@st.composite
def roundings(draw):
    """(total, exact amounts of mixed signs, currency): the sum rounded once, the parts exact."""
    currency = draw(codes)
    exact = draw(st.lists(exact_amounts, min_size=1, max_size=40))
    return round_half_up(total_of(exact), currency), exact, currency


def amounts(parts: list[Money]) -> list[Decimal]:
    return [part.amount for part in parts]


def decimals(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


@pytest.mark.parametrize(
    ("_case", "amount", "currency", "by", "expected"),
    [
        ("a cent is not divided", "0.01", "EUR", ["95", "5"], ["0.01", "0.00"]),
        ("ties to the first", "100.00", "EUR", ["1", "1", "1"], ["33.34", "33.33", "33.33"]),
        ("no decimals", "100", "JPY", ["1", "1", "1"], ["34", "33", "33"]),
        ("one unit of no decimals", "1", "JPY", ["1", "1"], ["1", "0"]),
        ("written with decimals it has not", "1.00", "JPY", ["50", "50"], ["1", "0"]),
        ("three decimals", "1.000", "KWD", ["1", "1", "1"], ["0.334", "0.333", "0.333"]),
        ("a credit", "-100.00", "EUR", ["1", "1", "1"], ["-33.34", "-33.33", "-33.33"]),
        ("nothing", "0.00", "EUR", ["1", "2"], ["0.00", "0.00"]),
        ("a weight of nothing", "10.00", "EUR", ["0", "1"], ["0.00", "10.00"]),
        ("the largest remainder, not the first", "1.00", "EUR", ["1", "2", "2.5"], ["0.18", "0.36", "0.46"]),
    ],
)
def test_worked_examples(_case, amount, currency, by, expected):
    parts = Money(Decimal(amount), currency).allocate(decimals(*by))
    assert amounts(parts) == decimals(*expected)


@given(splits())
def test_an_allocation_neither_loses_nor_makes_a_unit(split):
    money, shares = split
    parts = money.allocate(shares)
    assert total_of(amounts(parts)) == money.amount
    assert all(part.is_payable and part.currency == money.currency for part in parts)


@given(splits())
def test_each_share_is_within_one_minor_unit_of_the_exact_one(split):
    money, shares = split
    with localcontext(EXACT):
        for part, weight in zip(money.allocate(shares), shares, strict=True):
            assert abs(part.amount - money.amount * weight / sum(shares)) < minor_unit(money.currency)


@given(splits())
def test_no_share_has_the_other_sign_and_no_weight_gets_nothing(split):
    money, shares = split
    for part, weight in zip(money.allocate(shares), shares, strict=True):
        assert part.amount * money.amount >= 0
        assert weight or part.amount == 0


@given(splits())
def test_a_credit_splits_as_its_charge_did(split):
    money, shares = split
    assert [-part for part in money.allocate(shares)] == (-money).allocate(shares)


@given(splits(), st.randoms(use_true_random=False))
def test_the_order_of_the_weights_decides_only_ties(split, random):
    money, shares = split
    shuffled = list(shares)
    random.shuffle(shuffled)

    assert sorted(amounts(money.allocate(shares))) == sorted(amounts(money.allocate(shuffled)))


@given(roundings())
def test_rounded_parts_of_mixed_signs_sum_to_the_rounded_total(rounding):
    total, exact, currency = rounding
    shares = split_exact(total, exact, currency)
    unit = minor_unit(currency)
    assert total_of(shares) == total
    assert all(share == share.quantize(unit, context=EXACT) for share in shares)
    assert all(abs(share - amount) < 2 * unit for share, amount in zip(shares, exact, strict=True))


@given(roundings())
def test_negating_everything_negates_the_split(rounding):
    total, exact, currency = rounding
    negated = split_exact(-total, [-amount for amount in exact], currency)
    assert negated == [-share for share in split_exact(total, exact, currency)]


@given(roundings(), st.randoms(use_true_random=False))
def test_the_order_of_the_exact_parts_decides_only_ties(rounding, random):
    total, exact, currency = rounding
    shuffled = list(exact)
    random.shuffle(shuffled)
    assert sorted(split_exact(total, exact, currency)) == sorted(split_exact(total, shuffled, currency))


@pytest.mark.parametrize(
    ("_case", "total", "exact"),
    [
        ("a total that is not payable", "1.005", ["1.005"]),
        ("a total far from the sum", "2.00", ["0.50", "0.49"]),
        ("nothing to share it", "0.01", []),
    ],
)
def test_a_split_that_cannot_be_is_refused(_case, total, exact):
    with pytest.raises(ValueError, match=r"payable|rounded sum"):
        split_exact(Decimal(total), decimals(*exact), "EUR")


@pytest.mark.parametrize("by", [[], ["0", "0"], ["1", "-1"], ["2", "-1"]])
def test_weights_are_not_negative_and_not_all_nothing(by):
    with pytest.raises(ValueError, match="weights"):
        Money(Decimal("1.00"), "EUR").allocate(decimals(*by))


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("0.005", "EUR", "0.01"),
        ("-0.005", "EUR", "-0.01"),
        ("0.0049999999", "EUR", "0.00"),
        ("0.5", "JPY", "1"),
        ("2.5", "JPY", "3"),
        ("0.0005", "KWD", "0.001"),
        ("999999999999999.994999999999", "EUR", "999999999999999.99"),
    ],
)
def test_halves_go_away_from_zero(amount, currency, expected):
    assert round_half_up(Decimal(amount), currency) == Decimal(expected)
    assert Money(Decimal(amount), currency).rounded().is_payable


@given(exact_amounts, codes)
def test_rounding_is_the_decimal_modules_own(amount, currency):
    with localcontext(EXACT):
        assert round_half_up(amount, currency) == amount.quantize(minor_unit(currency), ROUND_HALF_UP)


@pytest.mark.parametrize("wrong", [1, 1.0, "1", None, True])
def test_money_takes_nothing_but_a_decimal(wrong):
    with pytest.raises(TypeError):
        Money(wrong, "EUR")


@pytest.mark.parametrize("wrong", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_money_is_finite(wrong):
    with pytest.raises(ValueError, match="finite"):
        Money(Decimal(wrong), "EUR")


@pytest.mark.parametrize("wrong", ["", "eur", "EU", "EURO", "XXX", "XTS", "XAU", "ZZZ"])
def test_a_currency_is_one_of_iso_4217(wrong):
    with pytest.raises(Invalid):
        Money(Decimal(1), wrong)


def test_every_currency_has_the_exponent_of_iso_4217():
    codes_with_exponent = {c.code: c.exponent for c in iso4217.Currency if c.exponent is not None}
    assert set(codes_with_exponent) >= set(currencies())
    assert len(currencies()) > 150
    for code in currencies():
        assert exponent(code) == codes_with_exponent[code]


def test_currencies_do_not_mix():
    euros, yen = Money(Decimal("1.00"), "EUR"), Money(Decimal("1"), "JPY")
    for mix in (lambda: euros + yen, lambda: euros - yen, lambda: euros < yen, lambda: euros <= yen):
        with pytest.raises(ValueError, match="cannot mix"):
            mix()


@pytest.mark.parametrize("factor", [1.5, True, "2"])
def test_money_is_multiplied_by_exact_numbers_only(factor):
    with pytest.raises(TypeError):
        Money(Decimal("1.00"), "EUR") * factor


def test_arithmetic_is_exact_beyond_the_default_context():
    large = Money(Decimal("999999999999999.9999"), "CLF")
    price = Decimal("0.123456789012")
    assert (large * price).amount == Decimal("123456789011999.9999876543210988")
    assert (large + large - large) == large
    assert total_of([Decimal("1e15"), Decimal("1e-12"), Decimal("-1e15")]) == Decimal("1e-12")
    assert Money.zero("JPY").amount == 0
    assert str(Money(Decimal("1.50"), "EUR")) == "1.50 EUR"
