"""Who has to agree before an act takes effect, level by level.

A level asks a set of approvers and is filled when `needed` of them have agreed. Levels come in order. Whoever
agreed to a level is not asked again by the level that follows at once, if it asks him too; after a level he had
no part in he is, because others have decided since. So of levels A, A, B, A the first approval of A fills two,
then B is waited for, and the last level still asks A.

A vote belongs to an approver and is cast by a person: himself or his delegate. Nobody casts two votes on a level.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    ANY = "any"
    ALL = "all"
    QUORUM = "quorum"


class NotAsked(ValueError):
    """The present level does not ask this approver."""


class VotedBefore(ValueError):
    """The approver's vote on the present level is cast, or the person has cast one."""


@dataclass(frozen=True, slots=True)
class Level:
    approvers: frozenset[Hashable]
    needed: int


@dataclass(frozen=True, slots=True)
class Vote:
    """On the level at this position, counted from 0."""

    level: int
    approver: Hashable
    person: Hashable


def votes_needed(mode: str, quorum: int | None, approvers: int) -> int:
    """How many of so many approvers must agree."""
    if mode == Mode.QUORUM:
        return quorum
    return 1 if mode == Mode.ANY else approvers


def current(levels: Sequence[Level], votes: Iterable[Vote]) -> int | None:
    """The position of the first level that is not filled; None once all of them are."""
    votes = list(votes)
    for position, level in enumerate(levels):
        if sum(vote.level == position for vote in votes) < level.needed:
            return position
    return None


def agree(
    levels: Sequence[Level], votes: Iterable[Vote], *, approver: Hashable, person: Hashable
) -> list[Vote]:
    """The votes that an approval adds: one on the present level, and on each that follows the votes of the level
    before it that count there too, as long as levels are filled by it.

    Raises NotAsked, VotedBefore; NotAsked also when all levels are filled.
    """
    votes = list(votes)
    position = current(levels, votes)
    if position is None or approver not in levels[position].approvers:
        raise NotAsked
    here = [vote for vote in votes if vote.level == position]
    if any(vote.approver == approver or vote.person == person for vote in here):
        raise VotedBefore
    added = [Vote(position, approver, person)]
    here = here + added
    while len(here) >= levels[position].needed and position + 1 < len(levels):
        position += 1
        here = [
            Vote(position, vote.approver, vote.person)
            for vote in here
            if vote.approver in levels[position].approvers
        ]
        added += here
    return added
