"""Prices that include tax: nets whose sum with tax is what was told, or a unit less where there is none."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.kernel.money import minor_unit, round_half_up
from billing.tax.core.inclusive_prices import net_included, nets_included

CENTS = 50_000  # 0.01 to 500.00


def tax(net: Decimal, percent: Decimal, currency: str = "EUR") -> Decimal:
    return round_half_up(net * percent / 100, currency)


@pytest.mark.parametrize(
    ("percent", "without"),
    [(5, 2381), (7, 3271), (10, 4546), (19, 7983), (20, 8333), (21, 8678), (25, 10000)],
)
def test_of_every_amount_up_to_500_it_is_what_was_told_or_a_cent_less_where_no_net_makes_it(percent, without):
    """`without`: for how many of the 50,000 amounts no net exists; p of every 100 + p."""
    # The oracle: every net there is, in whole cents, and what it comes to (half-up, in integers).
    reached = {net + (net * percent + 50) // 100: net for net in range(CENTS + 1)}
    missing = 0

    for told in range(1, CENTS + 1):
        net = int(net_included(Decimal(told) / 100, Decimal(percent), "EUR") * 100)
        if told in reached:
            assert net + (net * percent + 50) // 100 == told
        else:
            missing += 1
            assert net == reached[told - 1]

    assert missing == without
    assert abs(Fraction(missing, CENTS) - Fraction(percent, 100 + percent)) < Fraction(1, 10_000)


def test_worked_examples():
    # 119.00 at 19 % is 100.00 and 19.00; 9.99 is told, but 8.39 makes 9.98 and 8.40 makes 10.00.
    assert net_included(Decimal(119), Decimal(19), "EUR") == 100
    assert net_included(Decimal("9.99"), Decimal(19), "EUR") == Decimal("8.39")
    assert net_included(Decimal(1100), Decimal(10), "JPY") == 1000
    assert net_included(Decimal("-119"), Decimal(19), "EUR") == -100
    assert net_included(Decimal("9.99"), Decimal(0), "EUR") == Decimal("9.99")


@given(
    st.lists(st.integers(-(10**6), 10**7), min_size=1, max_size=12),
    st.integers(-(10**6), 10**7),
    st.decimals(min_value=0, max_value=100, places=2),
    st.sampled_from(["JPY", "EUR", "KWD"]),
)
def test_lines_beside_others_make_what_was_told_and_the_tax_of_the_others(
    units, beside_units, percent, currency
):
    unit = minor_unit(currency)
    told, beside = [each * unit for each in units], beside_units * unit

    nets = nets_included(told, percent, currency, beside=beside)

    total = sum(nets) + beside + tax(sum(nets) + beside, percent, currency)
    most = sum(told) + beside + tax(beside, percent, currency)
    assert total in (most, most - unit)
    for net, each in zip(nets, told, strict=True):
        assert net == round_half_up(net, currency)
        assert abs(net - each * 100 / (100 + percent)) < 3 * unit


def test_no_lines_have_no_nets():
    assert nets_included([], Decimal(19), "EUR") == []
