"""Levels: the example of the specification, every permutation for two to four levels, and a slow reference."""

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.core.levels import Level, NotAsked, Vote, VotedBefore, agree, current, votes_needed

A, B, C, D = "ABCD"


def asks(*approvers: str, needed: int = 1) -> Level:
    return Level(frozenset(approvers), needed)


def play(levels, decisions) -> list[Vote]:
    votes = []
    for said in decisions:
        approver, person = said if isinstance(said, tuple) else (said, said)
        votes += agree(levels, votes, approver=approver, person=person)
    return votes


def test_levels_a_a_b_a_take_one_consent_for_two_wait_for_b_and_ask_a_once_more():
    levels = [asks(A), asks(A), asks(B), asks(A)]

    first = play(levels, [A])
    assert [vote.level for vote in first] == [0, 1]
    assert current(levels, first) == 2
    with pytest.raises(NotAsked):
        agree(levels, first, approver=A, person=A)
    second = play(levels, [A, B])
    assert current(levels, second) == 3
    assert current(levels, play(levels, [A, B, A])) is None


@pytest.mark.parametrize(("mode", "quorum", "needed"), [("any", None, 1), ("all", None, 5), ("quorum", 3, 3)])
def test_how_many_of_five_must_agree(mode, quorum, needed):
    assert votes_needed(mode, quorum, 5) == needed


def test_a_level_of_all_takes_every_one_in_any_order():
    level = [asks(A, B, C, needed=3)]
    for order in permutations([A, B, C]):
        for few in range(3):
            assert current(level, play(level, order[:few])) == 0
        assert current(level, play(level, order)) is None


def test_nobody_votes_twice_on_a_level_nor_for_two_approvers():
    level = [asks(A, B, C, needed=2)]
    votes = play(level, [A])

    with pytest.raises(VotedBefore):
        agree(level, votes, approver=A, person=A)
    with pytest.raises(VotedBefore):
        agree(level, votes, approver=B, person=A)  # as the delegate of B
    with pytest.raises(VotedBefore):
        agree(level, votes, approver=A, person=D)  # the delegate of A comes too late
    assert current(level, play(level, [(A, D), B])) is None


def test_a_delegate_stands_for_his_principal_on_the_next_level_too_and_not_for_himself():
    levels = [asks(A), asks(A), asks(D)]

    votes = play(levels, [(A, D)])

    assert current(levels, votes) == 2
    assert current(levels, play(levels, [(A, D), D])) is None


def test_when_all_agreed_nobody_is_asked():
    with pytest.raises(NotAsked):
        agree([asks(A)], play([asks(A)], [A]), approver=A, person=A)


SMALL = [asks(A), asks(B), asks(A, B), asks(A, B, needed=2)]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_every_sequence_of_decisions_over_two_to_four_levels(count):
    """All chains of levels × all sequences of two people's decisions: refused, or as the reference says."""
    seen = 0
    for levels in product(SMALL, repeat=count):
        for length in range(1, count + 2):
            for decisions in product([A, B], repeat=length):
                seen += 1
                assert _outcome(levels, decisions) == _slowly(levels, decisions)
    assert seen == sum(4**count * 2**length for length in range(1, count + 2))


some_levels = st.lists(
    st.sets(st.sampled_from([A, B, C, D]), min_size=1).flatmap(
        lambda who: st.builds(Level, st.just(frozenset(who)), st.integers(1, len(who)))
    ),
    min_size=1,
    max_size=4,
)
decisions = st.lists(st.tuples(st.sampled_from([A, B, C, D]), st.sampled_from([A, B, C, D])), max_size=10)


@given(some_levels, decisions)
def test_whatever_is_decided_is_as_the_slow_reference_says(levels, given_decisions):
    assert _outcome(levels, given_decisions) == _slowly(levels, given_decisions)


@given(some_levels, decisions)
def test_a_filled_level_has_votes_of_different_people_for_different_approvers(levels, given_decisions):
    votes = _votes_of(levels, given_decisions)
    for position, level in enumerate(levels):
        here = [vote for vote in votes if vote.level == position]
        assert len({vote.approver for vote in here}) == len({vote.person for vote in here}) == len(here)
        assert {vote.approver for vote in here} <= level.approvers
        if current(levels, votes) is None or position < current(levels, votes):
            assert len(here) >= level.needed


@given(some_levels, decisions, st.sampled_from([A, B, C, D]))
def test_one_person_fills_no_level_that_needs_two(levels, given_decisions, alone):
    votes = _votes_of(levels, [(approver, alone) for approver, _ in given_decisions])
    position = current(levels, votes)
    filled = levels[:position] if position is not None else levels
    assert all(level.needed == 1 for level in filled)


def _votes_of(levels, said) -> list[Vote]:
    votes = []
    for each in said:
        approver, person = each if isinstance(each, tuple) else (each, each)
        try:
            votes += agree(levels, votes, approver=approver, person=person)
        except (NotAsked, VotedBefore):
            continue
    return votes


def _outcome(levels, said) -> tuple[int | None, set]:
    votes = _votes_of(levels, said)
    return current(levels, votes), {(vote.level, vote.approver, vote.person) for vote in votes}


def _slowly(levels, said) -> tuple[int | None, set]:
    """By the definition: after each decision everything is counted anew from the first level on."""
    taken: list[tuple[int, tuple[str, str]]] = []  # the level a decision was made on, and the decision

    def counted() -> list[set]:
        rows: list[set] = []
        for position, level in enumerate(levels):
            made_here = {each for at, each in taken if at == position}
            before_is_filled = position > 0 and len(rows[position - 1]) >= levels[position - 1].needed
            carried = {each for each in rows[position - 1] if before_is_filled} if position else set()
            rows.append({each for each in made_here | carried if each[0] in level.approvers})
        return rows

    def present() -> int | None:
        for position, row in enumerate(counted()):
            if len(row) < levels[position].needed:
                return position
        return None

    for each in said:
        approver, person = each if isinstance(each, tuple) else (each, each)
        at = present()
        if at is None or approver not in levels[at].approvers:
            continue
        if any(approver == a or person == p for a, p in counted()[at]):
            continue
        taken.append((at, (approver, person)))
    return present(), {(at, *each) for at, row in enumerate(counted()) for each in row}
