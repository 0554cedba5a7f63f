"""The arithmetic of discounts, over random lines and in worked examples."""

from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.invoicing.discounts.core.discount_amounts import Reduction, spread, taken_back, taken_off
from billing.kernel.money import minor_unit, round_half_up

CURRENCIES = st.sampled_from(["JPY", "EUR", "KWD"])


def ids(*numbers: int) -> tuple[UUID, ...]:
    return tuple(UUID(int=number) for number in numbers)


def percent(value, *lines: int) -> Reduction:
    return Reduction(
        grant_id=UUID(int=0), period_starts_on=None, line_ids=ids(*lines), percent=Decimal(value)
    )


def amount(value, *lines: int) -> Reduction:
    return Reduction(grant_id=UUID(int=0), period_starts_on=None, line_ids=ids(*lines), amount=Decimal(value))


def discounts(grosses: dict[int, str], *reductions: Reduction, currency="EUR") -> dict[int, Decimal]:
    given_to = {UUID(int=number): Decimal(gross) for number, gross in grosses.items()}
    found = dict.fromkeys(grosses, Decimal(0))
    for each in taken_off(given_to, reductions, currency):
        found[each.line_id.int] += each.amount
    return found


@st.composite
def amounts_over_parts(draw) -> tuple[Decimal, list[Decimal], str]:
    """An amount, the parts it is spread over, and their currency; all payable."""
    currency = draw(CURRENCIES)
    unit = minor_unit(currency)
    parts = draw(st.lists(st.integers(0, 10**7), min_size=1, max_size=30))
    return draw(st.integers(0, sum(parts))) * unit, [part * unit for part in parts], currency


@given(amounts_over_parts())
def test_an_amount_is_spread_to_the_last_unit_and_takes_no_more_than_is_there(drawn):
    whole, parts, currency = drawn

    shares = spread(whole, parts, currency)

    assert sum(shares) == whole
    for share, part in zip(shares, parts, strict=True):
        assert 0 <= share <= part
        assert share == round_half_up(share, currency)
        # Within one unit of its exact proportion.
        if whole:
            assert abs(Fraction(share) - Fraction(whole) * Fraction(part) / Fraction(sum(parts))) < Fraction(
                minor_unit(currency)
            )


@given(amounts_over_parts(), st.randoms(use_true_random=False))
def test_in_another_order_everybody_has_the_same(drawn, random):
    whole, parts, currency = drawn
    order = random.sample(range(len(parts)), len(parts))

    shares = spread(whole, parts, currency)
    shuffled = spread(whole, [parts[i] for i in order], currency)

    # Equal parts may change places: who of them has the odd unit is who comes first.
    assert sorted((parts[i], share) for i, share in zip(order, shuffled, strict=True)) == sorted(
        zip(parts, shares, strict=True)
    )


@pytest.mark.parametrize(("whole", "parts"), [("-1", ["2"]), ("3", ["2"]), ("1", ["2", "-1"])])
def test_what_cannot_be_taken_off_is_refused(whole, parts):
    with pytest.raises(ValueError, match="cannot be taken off"):
        spread(Decimal(whole), [Decimal(part) for part in parts], "EUR")


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=10),
    st.lists(
        st.one_of(
            st.decimals("0.0001", "100", places=4).map(lambda p: ("percent", p)),
            st.integers(1, 10**7).map(lambda a: ("amount", a)),
        ),
        max_size=5,
    ),
    CURRENCIES,
    st.data(),
)
def test_no_line_goes_below_zero_and_credits_are_left_alone(units, wanted, currency, data):
    unit = minor_unit(currency)
    grosses = {UUID(int=number): value * unit for number, value in enumerate(units)}
    reductions = []
    for kind, value in wanted:
        lines = tuple(data.draw(st.sets(st.sampled_from(sorted(grosses)), min_size=1)))
        figures = {"percent": value} if kind == "percent" else {"amount": value * unit}
        reductions.append(Reduction(grant_id=UUID(int=0), period_starts_on=None, line_ids=lines, **figures))

    taken = taken_off(grosses, reductions, currency)

    off = dict.fromkeys(grosses, Decimal(0))
    for each in taken:
        assert each.amount >= 0
        assert each.amount == round_half_up(each.amount, currency)
        off[each.line_id] += each.amount
    for line_id, gross in grosses.items():
        assert 0 <= off[line_id] <= max(gross, Decimal(0))
    for reduction in reductions:
        if reduction.amount is not None:
            assert sum(each.amount for each in taken if each.reduction is reduction) <= reduction.amount


def test_a_percentage_is_rounded_half_up_on_each_line():
    # 12.5 % of 0.04 is 0.005; of 100.00 it is 12.50
    assert discounts({1: "0.04", 2: "100"}, percent("12.5", 1, 2)) == {1: Decimal("0.01"), 2: Decimal("12.5")}
    assert discounts({1: "5"}, percent("10", 1), currency="JPY") == {1: Decimal(1)}


def test_ten_over_three_equal_lines_is_three_thirty_four_three_thirty_three_twice():
    assert discounts({1: "5", 2: "5", 3: "5"}, amount("10", 1, 2, 3)) == {
        1: Decimal("3.34"),
        2: Decimal("3.33"),
        3: Decimal("3.33"),
    }


def test_what_comes_later_is_taken_off_what_is_left():
    # Two of ten per cent are 19 %, then 5 off the rest.
    assert discounts({1: "100"}, percent("10", 1), percent("10", 1), amount("5", 1)) == {1: Decimal(24)}


def test_what_an_amount_exceeds_its_lines_by_lapses():
    """The worked example of the Stripe client stRipe: 200 off 100 leaves 0, off 300 it leaves 100."""
    assert discounts({1: "100"}, amount("200", 1)) == {1: Decimal(100)}
    assert discounts({1: "300"}, amount("200", 1)) == {1: Decimal(200)}
    assert discounts({1: "100", 2: "-30"}, amount("200", 1, 2)) == {1: Decimal(100), 2: Decimal(0)}


def test_a_credit_takes_back_its_part_of_the_discount():
    original = (Decimal(100), Decimal(20))

    assert taken_back(Decimal(-50), [original], "EUR") == -10
    assert taken_back(Decimal(-100), [original], "EUR") == -20
    assert taken_back(Decimal("-0.02"), [original], "EUR") == 0
    assert taken_back(Decimal(-50), [(Decimal(100), Decimal(0))], "EUR") == 0
    assert taken_back(Decimal(-50), [], "EUR") == 0


@given(st.integers(1, 10**6), st.integers(0, 100), st.integers(1, 100))
def test_a_credit_never_takes_back_more_than_was_discounted(gross, percent_off, percent_credited):
    assume(gross * percent_credited >= 100)
    discount = round_half_up(Decimal(gross * percent_off) / 100, "EUR")
    credit = -round_half_up(Decimal(gross * percent_credited) / 100, "EUR")

    back = taken_back(credit, [(Decimal(gross), discount)], "EUR")

    assert credit <= back <= 0
    assert -back <= discount
