"""How a rule divides an amount: against the reference, and the figures of the design."""

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.invoicing.allocation.core.rules import (
    Driver,
    Target,
    TargetKind,
    by_weight,
    divide,
    require_sound,
)
from billing.invoicing.errors import AllocationIncomplete, AllocationOver100, TargetsUnclear
from billing.kernel.money import minor_unit

ELSEWHERE = 999
# The reference is slow on purpose, and the divisions are large.
PATIENTLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def percent(key, figure, position=0):
    return Target(kind=TargetKind.PERCENT, position=position, key=key, percent=Decimal(figure))


def fixed(key, amount, position=0):
    return Target(kind=TargetKind.FIXED, position=position, key=key, amount=Decimal(amount))


def remainder(key, position=0):
    return Target(kind=TargetKind.REMAINDER, position=position, key=key)


def driver(figure="100", position=0, by=Driver.HEADCOUNT):
    return Target(kind=TargetKind.DRIVER, position=position, percent=Decimal(figure), driver=by)


def shares(amount, targets, *, weights=None, currency="EUR"):
    divided = divide(Decimal(amount), currency, targets=targets, weights=weights or {}, otherwise=ELSEWHERE)
    return {key: str(share) for key, share in divided.items()}


@pytest.mark.parametrize(
    ("amount", "targets", "expected"),
    [
        ("0.01", [percent(1, 95), percent(2, 5)], {1: "0.01", 2: "0.00"}),
        ("0.01", [percent(1, 5), percent(2, 95)], {1: "0.00", 2: "0.01"}),
        ("-0.01", [percent(1, 95), percent(2, 5)], {1: "-0.01", 2: "0.00"}),
        ("100.00", [percent(1, "33.3333"), remainder(2)], {1: "33.33", 2: "66.67"}),
        ("100.00", [percent(3, 25), percent(1, 25), remainder(2)], {1: "25.00", 2: "50.00", 3: "25.00"}),
        ("100.00", [fixed(1, 30, 1), fixed(2, 30, 2), remainder(3)], {1: "30.00", 2: "30.00", 3: "40.00"}),
        ("50.00", [fixed(1, 30, 2), fixed(2, 30, 1), remainder(3)], {1: "20.00", 2: "30.00", 3: "0.00"}),
        ("-50.00", [fixed(1, 30, 2), fixed(2, 30, 1), remainder(3)], {1: "-20.00", 2: "-30.00", 3: "0.00"}),
        ("100.00", [percent(1, 80), fixed(2, 30), remainder(3)], {1: "80.00", 2: "20.00", 3: "0.00"}),
        ("0.00", [percent(1, 95), percent(2, 5)], {1: "0.00", 2: "0.00"}),
    ],
)
def test_parts_are_those_of_the_design(amount, targets, expected):
    assert shares(amount, targets) == expected


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("100.00", ["33.34", "33.33", "33.33"]), ("-100.00", ["-33.34", "-33.33", "-33.33"])],
)
def test_a_hundred_over_three_equal_weights(amount, expected):
    weights = {0: dict.fromkeys((1, 2, 3), Decimal(7))}

    assert list(shares(amount, [driver()], weights=weights).values()) == expected


def test_a_driver_has_its_percentage_of_the_amount_and_others_may_stand_beside_it():
    targets = [percent(1, 40), driver(60, position=1)]

    assert shares("100.00", targets, weights={1: {1: Decimal(1), 2: Decimal(2), 3: Decimal(0)}}) == {
        1: "60.00",
        2: "40.00",
    }


def test_where_no_department_has_weight_its_part_is_the_remainders():
    nobody = {1: {1: Decimal(0), 2: Decimal(0)}}

    assert shares("100.00", [percent(1, 40), driver(60, 1)], weights=nobody) == {
        1: "40.00",
        ELSEWHERE: "60.00",
    }
    with_remainder = [percent(1, 40), driver(50, 1), remainder(2, 2)]
    assert shares("100.00", with_remainder, weights=nobody) == {1: "40.00", 2: "60.00"}
    assert shares("0.00", [driver()], weights={0: {}}) == {ELSEWHERE: "0.00"}


def test_weights_below_zero_and_amounts_that_cannot_be_paid_are_refused():
    with pytest.raises(ValueError, match="negative"):
        shares("1.00", [driver()], weights={0: {1: Decimal(-1), 2: Decimal(2)}})
    with pytest.raises(ValueError, match="payable"):
        shares("1.001", [percent(1, 100)])


@pytest.mark.parametrize(
    ("targets", "refusal"),
    [
        ([], TargetsUnclear),
        ([percent(1, "60"), percent(2, "40.0001")], AllocationOver100),
        ([percent(1, "60"), driver("40.0001", 1)], AllocationOver100),
        ([percent(1, "60"), percent(2, "39.9999")], AllocationIncomplete),
        ([percent(1, 100), fixed(2, 5)], AllocationIncomplete),
        ([fixed(2, 5)], AllocationIncomplete),
        ([remainder(1), remainder(2)], TargetsUnclear),
        ([percent(1, 0), remainder(2)], TargetsUnclear),
        ([fixed(1, -1), remainder(2)], TargetsUnclear),
        ([percent(1, "33.33333"), remainder(2)], TargetsUnclear),
        ([percent(None, 100)], TargetsUnclear),
        ([Target(kind=TargetKind.PERCENT, position=0, key=1)], TargetsUnclear),
        ([Target(kind=TargetKind.REMAINDER, position=0, key=1, amount=Decimal(1))], TargetsUnclear),
        ([Target(kind=TargetKind.DRIVER, position=0, percent=Decimal(100))], TargetsUnclear),
    ],
)
def test_targets_that_do_not_say_where_everything_goes_are_refused(targets, refusal):
    with pytest.raises(refusal):
        require_sound(targets)


@pytest.mark.parametrize(
    "targets",
    [
        [percent(1, "60"), percent(2, "40")],
        [percent(1, "60"), percent(2, "40"), remainder(3)],
        [driver("99.9999"), remainder(3)],
        [fixed(1, "5"), remainder(1)],
    ],
)
def test_targets_that_say_it_are_taken(targets):
    require_sound(targets)


TOTALS = st.sampled_from([0, 1, 99, 10**15]) | st.integers(0, 10**15)
WEIGHTS = st.sampled_from([Decimal(0), Decimal("0.0001")]) | st.decimals(0, 10**6, places=4)


@st.composite
def divisions(draw):
    """A sound set of targets over 1 to 200 departments, their weights, and an amount in minor units."""
    currency = draw(st.sampled_from(["JPY", "EUR", "KWD"]))
    count = draw(st.integers(1, 200))
    random = Random(draw(st.integers(0, 2**32)))
    cuts = sorted(random.randrange(0, 10**6 + 1) for _ in range(random.randrange(0, min(count, 12) + 1)))
    parts = [Decimal(b - a) / 10**4 for a, b in zip([0, *cuts], cuts, strict=False) if b > a]
    targets, weights = [], {}
    for position, part in enumerate(parts):
        if random.random() < 0.3:
            targets.append(driver(part, position, by=random.choice(list(Driver))))
            keys = random.sample(range(count), random.randrange(0, count) + 1)
            pool = draw(st.lists(WEIGHTS, min_size=1, max_size=8))
            weights[position] = {key: random.choice(pool) for key in keys}
        else:
            targets.append(percent(random.randrange(count), part, position))
    for position in range(len(parts), len(parts) + random.randrange(0, 4)):
        targets.append(fixed(random.randrange(count), random.randrange(1, 10**6), position))
    targets.append(remainder(random.randrange(count), len(targets)))
    sign = draw(st.sampled_from([1, -1]))
    amount = sign * draw(TOTALS) * minor_unit(currency)
    return amount, currency, targets, weights


def reference(amount, currency, targets, weights):
    """The same in the plainest words: exact fractions, then one unit at a time to whoever was cut most."""
    unit = Fraction(minor_unit(currency))
    total = abs(Fraction(amount))
    exact = {}

    def give(key, part):
        exact[key] = exact.get(key, Fraction(0)) + part

    for target in targets:
        if target.kind == TargetKind.PERCENT:
            give(target.key, total * Fraction(target.percent) / 100)
        if target.kind == TargetKind.DRIVER and sum(weights[target.position].values()) > 0:
            whole = sum(Fraction(weight) for weight in weights[target.position].values())
            for key, weight in weights[target.position].items():
                if weight:
                    give(key, total * Fraction(target.percent) / 100 * Fraction(weight) / whole)
    left = total - sum(exact.values(), Fraction(0))
    for target in sorted(targets, key=lambda target: target.position):
        if target.kind == TargetKind.FIXED:
            give(target.key, min(left, Fraction(target.amount)))
            left -= min(left, Fraction(target.amount))
    [rest] = [target.key for target in targets if target.kind == TargetKind.REMAINDER]
    give(rest, left)
    given = {key: part // unit * unit for key, part in exact.items()}
    while sum(given.values()) < total:
        most_hurt = max(sorted(given), key=lambda key: exact[key] - given[key])
        given[most_hurt] += unit
    sign = 1 if amount >= 0 else -1
    return {key: sign * given[key] for key in sorted(given)}


@PATIENTLY
@given(divisions(), st.randoms(use_true_random=False))
def test_every_division_is_that_of_the_reference_in_whatever_order(division, random):
    amount, currency, targets, weights = division
    require_sound(targets)

    divided = divide(amount, currency, targets=targets, weights=weights, otherwise=ELSEWHERE)

    assert {key: Fraction(share) for key, share in divided.items()} == reference(*division)
    assert list(divided) == sorted(divided)
    assert sum(divided.values()) == amount
    assert all(share * amount >= 0 for share in divided.values())
    again = divide(
        amount,
        currency,
        targets=random.sample(targets, len(targets)),
        weights={key: dict(sorted(by.items(), reverse=True)) for key, by in weights.items()},
        otherwise=ELSEWHERE,
    )
    assert again == divided


@PATIENTLY
@given(divisions())
def test_a_credit_is_the_mirror_image(division):
    amount, currency, targets, weights = division

    divided = divide(amount, currency, targets=targets, weights=weights, otherwise=ELSEWHERE)
    mirrored = divide(-amount, currency, targets=targets, weights=weights, otherwise=ELSEWHERE)

    assert mirrored == {key: -share for key, share in divided.items()}


@PATIENTLY
@given(st.lists(WEIGHTS, min_size=1, max_size=200).filter(any), TOTALS)
def test_by_weight_nobody_is_a_whole_unit_off(weights, units):
    amount = Decimal(units) / 100
    total = sum(map(Fraction, weights), Fraction(0))

    divided = by_weight(amount, "EUR", dict(enumerate(weights)))

    assert sum(divided.values()) == amount
    for key, weight in enumerate(weights):
        exact = Fraction(amount) * Fraction(weight) / total
        assert abs(Fraction(divided.get(key, Decimal(0))) - exact) < Fraction(1, 100)
