"""The rating against a reference that is slow and obvious: it walks, counts packages, and adds fractions."""

from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from math import floor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from billing.kernel.money import minor_unit, round_half_up
from billing.subscriptions.core.rating import PriceModel, PriceTerms, Tier
from billing.subscriptions.errors import NotAPriceOfItsModel

SMALLEST = Decimal("1e-12")
HALF = Fraction(1, 2)
STEP = Fraction(1, 4)  # the walk's stride; edges and quantities of the walks lie on it

strides = st.integers(0, 240)
figures = st.decimals(0, 10**6, places=6, allow_nan=False)
prices = st.decimals(0, 10**6, places=12, allow_nan=False)
percents = st.decimals(0, 100, places=6, allow_nan=False)
quantities = st.decimals(0, 10**9, places=12, allow_nan=False)
signed_quantities = st.decimals(-(10**9), 10**9, places=12, allow_nan=False)
widest = st.integers(0, 10**28 - 1).map(lambda units: Decimal(units).scaleb(-12))  # all of numeric(28,12)
events_counts = st.integers(0, 120) | st.integers(0, 10**6)  # below and above what may be free


@st.composite
def tiers(draw, *, edges=quantities, most: int = 5, flat=figures, price=prices):
    ends = sorted(set(draw(st.lists(edges, max_size=most - 1))) - {Decimal(0)})
    return tuple(Tier(end, draw(price), draw(flat)) for end in [*ends, None])


@st.composite
def tiers_on_the_walk(draw):
    return draw(tiers(edges=strides.map(lambda n: Decimal(n) / 4), price=figures))


@st.composite
def terms_of_any_model(draw):
    model = draw(st.sampled_from(PriceModel))
    terms = PriceTerms(model=model, **draw(figures_of(model)))
    terms.require_valid()
    return terms


@st.composite
def figures_of(draw, model: PriceModel):
    maybe = lambda strategy: draw(st.none() | strategy)  # noqa: E731
    match model:
        case PriceModel.FLAT:
            return {"flat_amount": draw(figures)}
        case PriceModel.PER_UNIT:
            return {"unit_price": draw(prices)}
        case PriceModel.GRADUATED | PriceModel.VOLUME:
            return {"tiers": draw(tiers())}
        case PriceModel.PACKAGE:
            return {
                "unit_price": draw(prices),
                "package_size": draw(figures.filter(bool)),
                "free_quantity": maybe(figures),
            }
        case PriceModel.PERCENTAGE:
            low, high = sorted([draw(figures), draw(figures)])
            return {
                "percent": draw(percents),
                "per_event_amount": maybe(figures),
                "free_events": maybe(st.integers(0, 100)),
                "free_amount": maybe(figures),
                "minimum_amount": maybe(st.just(low)),
                "maximum_amount": maybe(st.just(high)),
            }
        case PriceModel.PASS_THROUGH:
            return {"markup_percent": draw(st.decimals("-99.999999", 1000, places=6, allow_nan=False))}


def graduated(rows) -> PriceTerms:
    return PriceTerms(model="graduated", tiers=rows)


def volume(rows) -> PriceTerms:
    return PriceTerms(model="volume", tiers=rows)


def tier_holding(rows, quantity: Fraction) -> Tier:
    return next(tier for tier in rows if tier.up_to is None or quantity <= Fraction(tier.up_to))


def on_the_line(tier: Tier, quantity: Decimal) -> Fraction:
    return Fraction(quantity) * Fraction(tier.unit_price) + Fraction(tier.flat_amount)


def walked(rows, start: Fraction, end: Fraction) -> Fraction:
    """What the stretch (start, end] costs, a quarter of a unit at a time; from 0 it opens the first tier."""
    opened = {rows[0]} if start == 0 else {tier_holding(rows, start)}
    cost = Fraction(rows[0].flat_amount) if start == 0 else Fraction(0)
    at = start
    while at < end:
        at += STEP
        tier = tier_holding(rows, at)
        cost += STEP * Fraction(tier.unit_price)
        if tier not in opened:
            cost += Fraction(tier.flat_amount)
            opened.add(tier)
    return cost


def added_up(rows, quantity: Fraction) -> Fraction:
    """Tier by tier, in fractions: for quantities too large to walk."""
    cost, lower = Fraction(0), Fraction(0)
    for number, tier in enumerate(rows):
        upper = quantity if tier.up_to is None else min(quantity, Fraction(tier.up_to))
        if number == 0 or quantity > lower:
            cost += Fraction(tier.flat_amount) + max(upper - lower, Fraction(0)) * Fraction(tier.unit_price)
        lower = upper
    return cost


@given(tiers_on_the_walk(), strides)
@settings(deadline=None)
def test_graduated_is_the_walk_through_the_tiers(rows, strides_walked):
    quantity = strides_walked * STEP
    rated = graduated(rows).exact_amount(Decimal(strides_walked) / 4)
    assert Fraction(rated) == walked(rows, Fraction(0), quantity)


@given(tiers_on_the_walk(), strides.filter(bool), strides)
@settings(deadline=None)
def test_graduated_in_two_steps_is_graduated_at_once(rows, first, then):
    """What is billed for the second stretch is what that stretch costs by itself, where it lies."""
    terms = graduated(rows)
    before, after = (terms.exact_amount(Decimal(n) / 4) for n in (first, first + then))
    assert Fraction(after) - Fraction(before) == walked(rows, first * STEP, (first + then) * STEP)


@given(tiers(), quantities)
def test_graduated_is_the_sum_of_its_tiers(rows, quantity):
    assert Fraction(graduated(rows).exact_amount(quantity)) == added_up(rows, Fraction(quantity))


@given(tiers(edges=widest, price=widest, flat=widest), widest)
def test_nothing_is_lost_at_the_ends_of_the_columns(rows, quantity):
    assert Fraction(graduated(rows).exact_amount(quantity)) == added_up(rows, Fraction(quantity))


@given(tiers(), quantities)
def test_volume_prices_everything_in_the_tier_that_holds_it(rows, quantity):
    tier = tier_holding(rows, Fraction(quantity))
    assert Fraction(volume(rows).exact_amount(quantity)) == on_the_line(tier, quantity)


@given(tiers(edges=figures))
def test_an_edge_belongs_to_the_tier_it_ends_and_the_smallest_step_beyond_to_the_next(rows):
    """numeric(28,12) has no number between the edge and one 1e-12 away."""
    for tier, following in pairwise(rows):
        edge = tier.up_to
        below, at, above = (
            Fraction(graduated(rows).exact_amount(edge + side)) for side in (-SMALLEST, 0, SMALLEST)
        )
        assert at - below == Fraction(SMALLEST) * Fraction(tier.unit_price)
        assert above - at == Fraction(SMALLEST) * Fraction(following.unit_price) + Fraction(
            following.flat_amount
        )
        assert Fraction(volume(rows).exact_amount(edge)) == on_the_line(tier, edge)
        assert Fraction(volume(rows).exact_amount(edge + SMALLEST)) == on_the_line(following, edge + SMALLEST)


@given(st.data(), figures.filter(bool), prices, figures, st.integers(0, 60))
def test_packages_are_filled_one_after_the_other(data, size, price, free, whole):
    part = data.draw(st.sampled_from([Decimal(0), SMALLEST, size / 2, size - SMALLEST]))
    quantity = size * whole + part + free
    left, filled = Fraction(quantity) - Fraction(free), 0
    while left > 0:
        left -= Fraction(size)
        filled += 1
    terms = PriceTerms(model="package", package_size=size, unit_price=price, free_quantity=free)
    assert Fraction(terms.exact_amount(quantity)) == filled * Fraction(price)


@given(figures_of(PriceModel.PERCENTAGE), signed_quantities, events_counts)
def test_percentage_is_the_fraction_clamped(given_figures, quantity, events):
    f = {name: Fraction(value) for name, value in given_figures.items() if value is not None}
    expected = max(Fraction(quantity) - f.get("free_amount", 0), 0) * f["percent"] / 100
    expected += f.get("per_event_amount", 0) * max(events - f.get("free_events", 0), 0)
    expected = max(expected, f.get("minimum_amount", expected))
    expected = min(expected, f.get("maximum_amount", expected))
    if quantity <= 0 and events == 0:
        expected = 0
    terms = PriceTerms(model="percentage", **given_figures)
    assert Fraction(terms.exact_amount(quantity, events=events)) == expected


@given(st.decimals("-99.999999", 1000, places=6, allow_nan=False), signed_quantities)
def test_pass_through_is_the_cost_with_its_mark_up_below_zero_too(markup, cost):
    terms = PriceTerms(model="pass_through", markup_percent=markup)
    assert Fraction(terms.exact_amount(cost)) == Fraction(cost) * (100 + Fraction(markup)) / 100


@given(prices, signed_quantities, signed_quantities)
def test_per_unit_and_one_tier_without_flat_amount_are_additive(price, a, b):
    per_unit = PriceTerms(model="per_unit", unit_price=price)
    one_tier = graduated((Tier(None, price),))

    def total(terms: PriceTerms, *parts: Decimal) -> Fraction:
        return sum(Fraction(terms.exact_amount(part)) for part in parts)

    assert total(per_unit, a, b) == total(per_unit, a + b)
    assert total(per_unit, -a) == -total(per_unit, a)
    a, b = abs(a), abs(b)
    assert total(one_tier, a, b) == total(one_tier, a + b) == total(per_unit, a + b)


@given(terms_of_any_model(), quantities, quantities, events_counts)
def test_more_never_costs_less_save_across_volume_tiers(terms, a, b, events):
    less, more = sorted([a, b])
    if terms.model == "volume":
        assume(tier_holding(terms.tiers, Fraction(less)) == tier_holding(terms.tiers, Fraction(more)))
    assert terms.exact_amount(less, events=events) <= terms.exact_amount(more, events=events)


@given(terms_of_any_model())
def test_nothing_used_costs_nothing_or_the_flat_part(terms):
    flat = {
        PriceModel.FLAT: terms.flat_amount,
        PriceModel.GRADUATED: terms.tiers and terms.tiers[0].flat_amount,
        PriceModel.VOLUME: terms.tiers and terms.tiers[0].flat_amount,
    }.get(terms.model, 0)
    assert terms.exact_amount(Decimal(0)) == flat


@given(terms_of_any_model(), quantities.filter(bool), events_counts)
def test_a_period_below_zero_is_rated_as_zero_unless_the_price_is_linear(terms, quantity, events):
    at_minus = terms.exact_amount(-quantity, events=events)
    if terms.model in ("per_unit", "pass_through"):
        assert Fraction(at_minus) == -Fraction(terms.exact_amount(quantity, events=events))
    else:
        assert at_minus == terms.exact_amount(Decimal(0), events=events)


@given(terms_of_any_model(), signed_quantities, events_counts)
def test_steps_add_up_to_the_amount(terms, quantity, events):
    steps = terms.steps(quantity, events=events)
    assert steps
    assert sum(Fraction(step.amount) for step in steps) == Fraction(
        terms.exact_amount(quantity, events=events)
    )
    for step in steps:
        assert (step.quantity is None) == (step.unit_price is None)
        if step.quantity is not None:
            assert Fraction(step.quantity) * Fraction(step.unit_price) == Fraction(step.amount)


@given(tiers(edges=figures))
def test_the_steps_at_an_edge_end_with_its_tier(rows):
    for number, tier in enumerate(rows[:-1], start=1):
        for terms, tiers_seen in [(graduated(rows), number), (volume(rows), 1)]:
            steps = terms.steps(tier.up_to)
            assert sum(Fraction(step.amount) for step in steps) == Fraction(terms.exact_amount(tier.up_to))
            assert sum(step.quantity is not None for step in steps) == tiers_seen


@given(tiers(), quantities)
def test_the_tiers_of_a_graduated_amount_share_out_the_whole_quantity(rows, quantity):
    parts = [step.quantity for step in graduated(rows).steps(quantity) if step.quantity is not None]
    assert sum(map(Fraction, parts)) == Fraction(quantity)
    assert len(parts) <= len(rows)
    for part, tier in zip(parts[:-1], rows, strict=False):
        lower = rows[rows.index(tier) - 1].up_to if rows.index(tier) else Decimal(0)
        assert part == tier.up_to - lower, "a tier is full before the next one begins"


@pytest.mark.parametrize("currency", ["JPY", "EUR", "KWD"])  # 0, 2 and 3 decimals
@given(terms=terms_of_any_model(), quantity=signed_quantities, events=events_counts)
def test_rounding_comes_once_and_last(currency, terms, quantity, events):
    exact = terms.exact_amount(quantity, events=events)
    units = abs(Fraction(exact)) / Fraction(minor_unit(currency))
    expected = floor(units + HALF) * (1 if exact >= 0 else -1)
    assert Fraction(round_half_up(exact, currency)) == expected * Fraction(minor_unit(currency))


@given(terms_of_any_model(), signed_quantities, events_counts)
def test_the_surrounding_decimal_context_changes_nothing(terms, quantity, events):
    expected = terms.exact_amount(quantity, events=events)
    again = PriceTerms(**{name: getattr(terms, name) for name in terms.__dataclass_fields__})
    with localcontext(prec=3):
        assert again.exact_amount(quantity, events=events).compare_total(expected) == 0
        assert again.steps(quantity, events=events) == terms.steps(quantity, events=events)


@given(terms_of_any_model())
def test_terms_survive_being_stored(terms):
    figures_stored = {
        name: getattr(terms, name) for name in terms.__dataclass_fields__ if name not in ("model", "tiers")
    }
    assert PriceTerms.from_stored(terms.model, terms.stored_tiers(), **figures_stored) == terms


def test_stored_tiers_are_plain_text():
    rows = (Tier(Decimal("1E+3"), Decimal("0.050"), Decimal(2)), Tier(None, Decimal("1E-7")))
    assert graduated(rows).stored_tiers() == [
        {"up_to": "1000", "unit_price": "0.050", "flat_amount": "2"},
        {"up_to": None, "unit_price": "0.0000001", "flat_amount": "0"},
    ]


def test_a_stored_tier_without_a_flat_amount_has_none():
    terms = PriceTerms.from_stored("volume", [{"up_to": None, "unit_price": "0.05"}])
    assert terms.tiers == (Tier(None, Decimal("0.05"), Decimal(0)),)


@pytest.mark.parametrize(
    "row",
    [
        {"up_to": "10"},
        {"unit_price": "1"},
        {"up_to": None, "unit_price": "1", "flat": "2"},
        {"up_to": None, "unit_price": None},
        {"up_to": None, "unit_price": 1},
        {"up_to": None, "unit_price": 0.5},
        {"up_to": None, "unit_price": "NaN"},
        {"up_to": None, "unit_price": "Infinity"},
        {"up_to": None, "unit_price": "1e999999"},
        {"up_to": None, "unit_price": "1_000"},
        {"up_to": None, "unit_price": "١"},
        {"up_to": None, "unit_price": ""},
        {"up_to": 10, "unit_price": "1"},
        {"up_to": None, "unit_price": "1", "flat_amount": None},
        ["10", "1"],
        "10",
        None,
    ],
)
def test_what_is_no_stored_tier_is_refused(row):
    with pytest.raises(NotAPriceOfItsModel):
        PriceTerms.from_stored("graduated", [row])


D = Decimal
OPEN = (Tier(None, D(1)),)


@pytest.mark.parametrize(
    ("_case", "terms"),
    [
        ("an unknown model", {"model": "stairstep", "flat_amount": D(1)}),
        ("flat without an amount", {"model": "flat"}),
        ("per unit without a price", {"model": "per_unit"}),
        ("graduated without tiers", {"model": "graduated"}),
        ("volume without tiers", {"model": "volume"}),
        ("a package without a size", {"model": "package", "unit_price": D(1)}),
        ("a package without a price", {"model": "package", "package_size": D(1)}),
        ("a percentage without a percentage", {"model": "percentage", "minimum_amount": D(1)}),
        ("a pass-through without a mark-up", {"model": "pass_through"}),
        ("a unit price on a flat price", {"model": "flat", "flat_amount": D(1), "unit_price": D(0)}),
        ("tiers on a per-unit price", {"model": "per_unit", "unit_price": D(1), "tiers": OPEN}),
        ("a minimum outside percentage", {"model": "per_unit", "unit_price": D(1), "minimum_amount": D(0)}),
        ("a mark-up on a percentage", {"model": "percentage", "percent": D(1), "markup_percent": D(1)}),
        ("a free quantity on tiers", {"model": "volume", "tiers": OPEN, "free_quantity": D(1)}),
        ("a negative unit price", {"model": "per_unit", "unit_price": D("-0.01")}),
        ("a negative flat amount", {"model": "flat", "flat_amount": D(-1)}),
        ("an empty package", {"model": "package", "unit_price": D(1), "package_size": D(0)}),
        (
            "a negative free quantity",
            {"model": "package", "unit_price": D(1), "package_size": D(1), "free_quantity": D(-1)},
        ),
        ("a mark-up that eats the cost", {"model": "pass_through", "markup_percent": D(-100)}),
        ("not a number", {"model": "per_unit", "unit_price": D("NaN")}),
        ("a signalling not-a-number", {"model": "per_unit", "unit_price": D("sNaN")}),
        ("infinity", {"model": "flat", "flat_amount": D("Infinity")}),
        ("17 digits", {"model": "flat", "flat_amount": D(10) ** 16}),
        ("far beyond the context", {"model": "flat", "flat_amount": D("1e999")}),
        ("13 decimals", {"model": "per_unit", "unit_price": D("1e-13")}),
        ("a minimum above the maximum",
         {"model": "percentage", "percent": D(1), "minimum_amount": D(2), "maximum_amount": D(1)}),
        ("negative free events", {"model": "percentage", "percent": D(1), "free_events": -1}),
        ("half a free event", {"model": "percentage", "percent": D(1), "free_events": D("0.5")}),
        ("free events that are a truth", {"model": "percentage", "percent": D(1), "free_events": True}),
        ("no open end", {"model": "graduated", "tiers": (Tier(D(10), D(1)),)}),
        ("an open end in the middle", {"model": "graduated", "tiers": (Tier(None, D(1)), Tier(D(10), D(1)))}),
        ("two open ends", {"model": "volume", "tiers": (Tier(None, D(1)), Tier(None, D(1)))}),
        ("an empty first tier", {"model": "volume", "tiers": (Tier(D(0), D(1)), *OPEN)}),
        ("an empty tier", {"model": "volume", "tiers": (Tier(D(5), D(1)), Tier(D(5), D(1)), *OPEN)}),
        ("tiers out of order", {"model": "graduated", "tiers": (Tier(D(9), D(1)), Tier(D(5), D(1)), *OPEN)}),
        ("a negative tier price", {"model": "graduated", "tiers": (Tier(None, D(-1)),)}),
        ("a negative tier flat amount", {"model": "graduated", "tiers": (Tier(None, D(1), D(-1)),)}),
        ("an endless edge", {"model": "graduated", "tiers": (Tier(D("Infinity"), D(1)), *OPEN)}),
    ],
)  # fmt: skip
def test_terms_that_make_no_sense_are_refused(_case, terms):
    with pytest.raises(NotAPriceOfItsModel):
        PriceTerms(**terms).require_valid()


def test_floats_are_a_mistake_of_the_programmer():
    with pytest.raises(TypeError):
        PriceTerms(model="per_unit", unit_price=0.1).require_valid()


@pytest.mark.parametrize(
    "terms",
    [
        {"model": "flat", "flat_amount": D(0)},
        {"model": "per_unit", "unit_price": D("9999999999999999.999999999999")},
        {"model": "per_unit", "unit_price": D("0.0500000000000000")},
        {"model": "per_unit", "unit_price": D("1E+15")},
        {"model": "pass_through", "markup_percent": D("-99.999999999999")},
        {"model": "percentage", "percent": D(0), "minimum_amount": D(5), "maximum_amount": D(5)},
        {"model": "graduated", "tiers": (Tier(SMALLEST, D(1)), Tier(None, D(0)))},
    ],
)
def test_terms_at_the_limits_are_valid(terms):
    assert PriceTerms(**terms).require_valid() is None


@pytest.mark.parametrize(("events", "expected"), [(0, 2), (3, 2), (5, 2), (6, "2.30"), (7, "2.60")])
def test_free_events_are_free_and_no_credit(events, expected):
    """2 % of 100, and 0.30 for each event after the fifth."""
    terms = PriceTerms(model="percentage", percent=D(2), per_event_amount=D("0.30"), free_events=5)
    assert terms.exact_amount(D(100), events=events) == D(expected)
