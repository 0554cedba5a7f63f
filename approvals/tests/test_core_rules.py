"""Which rule an act falls under, against a reference that tries every rule and sorts by words."""

from decimal import Decimal
from itertools import pairwise, permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.core.rules import Act, Rule, choose, in_base, matches

ME = UUID(int=1)


def act(**overrides) -> Act:
    return Act(
        **{"kind": "spend", "amount": Decimal(100), "entity_path": "/a/b/", "requester": ME} | overrides
    )


def rule(key: int = 1, **overrides) -> Rule:
    return Rule(**{"key": UUID(int=key), "kind": "spend", "entity_path": "/a/"} | overrides)


@pytest.mark.parametrize(
    ("amount", "caught"), [("9999.99", False), ("10000.00", False), ("10000.01", True), ("1e14", True)]
)
def test_over_ten_thousand_begins_one_cent_above_it(amount, caught):
    assert matches(rule(above=Decimal(10_000)), act(amount=Decimal(amount))) is caught
    assert matches(rule(up_to=Decimal(10_000)), act(amount=Decimal(amount))) is not caught


@given(st.decimals(-(10**6), 10**6, places=3), st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=6))
def test_bands_that_meet_catch_every_amount_once(amount, bounds):
    edges = [None, *map(Decimal, sorted(set(bounds))), None]
    bands = [rule(above=low, up_to=high) for low, high in pairwise(edges)]

    assert sum(matches(band, act(amount=amount)) for band in bands) == 1


def test_the_stored_rate_decides_the_band_of_another_currency():
    """9,300.00 USD at 1.0753 are 10,000.29 EUR; at 1.0752688 they are 9,999.99984, shown and compared as 10,000.00."""
    over = rule(above=Decimal(10_000))

    caught = in_base(Decimal("9300.00"), Decimal("1.0753"), "EUR")
    at_the_edge = in_base(Decimal("9300.00"), Decimal("1.0752688"), "EUR")

    assert (caught, matches(over, act(amount=caught))) == (Decimal("10000.29"), True)
    assert (at_the_edge, matches(over, act(amount=at_the_edge))) == (Decimal("10000.00"), False)


def test_without_a_rate_an_amount_is_above_every_bound():
    assert matches(rule(above=Decimal(10**14)), act(amount=None))
    assert not matches(rule(up_to=Decimal(10**14)), act(amount=None))
    assert matches(rule(), act(amount=None))


@pytest.mark.parametrize(
    "condition",
    [
        {"kind": "credit_note"},
        {"entity_path": "/a/c/"},
        {"entity_path": "/a/b/c/"},
        {"department_path": "/d/"},
        {"gl_codes": frozenset({"6400"})},
        {"requesters": frozenset({UUID(int=2)})},
        {"fields": {"region": frozenset({"EMEA"})}},
    ],
)
def test_one_condition_that_does_not_hold_is_enough(condition):
    assert matches(rule(), act())
    assert not matches(rule(**condition), act())


def test_every_condition_can_hold_together():
    chosen = rule(
        entity_path="/a/b/",
        department_path="/d/",
        gl_codes=frozenset({"6400", "6500"}),
        requesters=frozenset({ME}),
        fields={"region": frozenset({"EMEA", "APAC"})},
    )
    assert matches(
        chosen, act(department_path="/d/e/", gl_code="6500", fields={"region": "APAC", "other": "x"})
    )


def test_a_fallback_catches_what_nothing_else_does_whatever_its_priority():
    last = rule(1, kind="", is_fallback=True, priority=99)
    over = rule(2, above=Decimal(1000))

    assert choose([last, over], act()) == last
    assert choose([last, over], act(amount=Decimal(1001))) == over
    assert choose([over], act()) is None


def test_priority_comes_before_nearness_and_nearness_before_age():
    far, near, young, urgent = (
        rule(1),
        rule(2, entity_path="/a/b/"),
        rule(3, entity_path="/a/b/"),
        rule(4, priority=1),
    )
    for order in permutations([far, near, young]):
        assert choose(order, act()) == near
    for order in permutations([far, near, young, urgent]):
        assert choose(order, act()) == urgent


paths = st.sampled_from(["/a/", "/a/b/", "/a/b/c/", "/a/x/", "/z/"])
amounts = st.none() | st.sampled_from([Decimal(n) for n in (0, 5, 10, 11, 20)])
some_rules = st.lists(
    st.builds(
        rule,
        st.integers(1, 10**6),
        kind=st.sampled_from(["spend", "refund"]),
        entity_path=paths,
        above=amounts,
        up_to=amounts,
        priority=st.integers(0, 2),
        is_fallback=st.booleans(),
        gl_codes=st.sampled_from([frozenset(), frozenset({"1"}), frozenset({"1", "2"})]),
        fields=st.sampled_from([{}, {"f": frozenset({"x"})}]),
    ),
    max_size=8,
    unique_by=lambda one: one.key,
)
acts = st.builds(
    act,
    amount=amounts,
    entity_path=paths,
    gl_code=st.sampled_from(["", "1", "2"]),
    fields=st.sampled_from([{}, {"f": "x"}, {"f": "y"}]),
)


@given(some_rules, acts, st.randoms())
def test_the_rule_chosen_is_the_one_a_slow_reference_finds_in_any_order(rules, asked, chance):
    expected = None
    for fallback in (False, True):
        left = [one for one in rules if one.is_fallback is fallback and _slowly(one, asked)]
        for key in (
            lambda one: one.priority,
            lambda one: one.entity_path.count("/"),
            lambda one: -one.key.int,
        ):
            best = max(map(key, left), default=None)
            left = [one for one in left if key(one) == best]
        if left and expected is None:
            [expected] = left
    shuffled = list(rules)
    chance.shuffle(shuffled)

    assert choose(shuffled, asked) == expected


def _slowly(one: Rule, asked: Act) -> bool:
    if one.kind != asked.kind:
        return False
    steps = one.entity_path.strip("/").split("/")
    if asked.entity_path.strip("/").split("/")[: len(steps)] != steps:
        return False
    figure = Decimal("Infinity") if asked.amount is None else asked.amount
    if one.above is not None and not figure > one.above:
        return False
    if one.up_to is not None and figure > one.up_to:
        return False
    if one.gl_codes and asked.gl_code not in one.gl_codes:
        return False
    return all(asked.fields.get(name) in wanted for name, wanted in one.fields.items())
