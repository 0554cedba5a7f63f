"""Departments give their cost away step by step."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.invoicing.allocation.core.step_down import Step, require_sound_steps, stepped_down
from billing.invoicing.errors import StepsUnclear

PATIENTLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MAINTENANCE, SYSTEMS, MACHINING, ASSEMBLY = "1 maintenance", "2 systems", "3 machining", "4 assembly"


def step(giver, **weights):
    return Step(giver=giver, weights={key: Decimal(weight) for key, weight in weights.items()})


def test_the_textbooks_example_comes_out_as_printed():
    """Castleford Engineering in Horngren, Datar, Rajan, *Cost Accounting: A Managerial Emphasis*, chapter 15:
    plant maintenance by its hours (1,600, 2,400 and 4,000), then information systems by theirs (1,600 and 200)."""
    borne = {
        MAINTENANCE: Decimal(6_300_000),
        SYSTEMS: Decimal(1_452_150),
        MACHINING: Decimal(4_000_000),
        ASSEMBLY: Decimal(2_000_000),
    }
    steps = [
        Step(
            giver=MAINTENANCE,
            weights={SYSTEMS: Decimal(1600), MACHINING: Decimal(2400), ASSEMBLY: Decimal(4000)},
        ),
        Step(giver=SYSTEMS, weights={MACHINING: Decimal(1600), ASSEMBLY: Decimal(200)}),
    ]

    taken = stepped_down(borne, "USD", steps)

    assert taken == {MACHINING: Decimal(1_890_000 + 2_410_800), ASSEMBLY: Decimal(3_150_000 + 301_350)}
    assert borne[MACHINING] + taken[MACHINING] == 8_300_800
    assert borne[ASSEMBLY] + taken[ASSEMBLY] == 5_451_350


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [step("a", b=1), step("a", b=1)],
        [step("a", b=1), step("b", a=1)],
        [step("a", a=1, b=1)],
        [step("a", b=0)],
        [step("a", b=-1, c=2)],
        [Step(giver="a", weights={})],
    ],
)
def test_steps_that_cannot_be_taken_are_refused(steps):
    with pytest.raises(StepsUnclear):
        require_sound_steps(steps)


@PATIENTLY
@given(st.data())
def test_nothing_is_lost_and_nothing_stays_with_who_gave(data):
    count = data.draw(st.integers(2, 8))
    giving = data.draw(st.integers(1, count - 1))
    sign = data.draw(st.sampled_from([1, -1]))
    borne = {key: sign * Decimal(data.draw(st.integers(0, 10**9))) / 100 for key in range(count)}
    steps = [
        Step(
            giver=giver,
            weights={
                key: data.draw(st.decimals("0.0001", 1000, places=4)) for key in range(giver + 1, count)
            },
        )
        for giver in range(giving)
    ]
    require_sound_steps(steps)

    taken = stepped_down(borne, "EUR", steps)

    assert sum(taken.values()) == sum(borne[giver] for giver in range(giving))
    assert not taken.keys() & set(range(giving))
    assert all(amount * sign >= 0 for amount in taken.values())
