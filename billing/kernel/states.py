"""A state machine is a table; this is the only code that reads it."""

from collections.abc import Mapping
from dataclasses import dataclass

from billing.kernel.errors import IllegalMove


@dataclass(frozen=True)
class Move:
    sources: frozenset[str]
    target: str


def move(*sources: str, to: str) -> Move:
    return Move(sources=frozenset(sources), target=to)


def next_state(moves: Mapping[str, Move], *, action: str, current: str) -> str:
    """The state after `action`. Raises IllegalMove if the table has no such move."""
    legal = moves[action]
    if current not in legal.sources:
        raise IllegalMove(
            f"Cannot {action.replace('_', ' ')} from '{current}'.",
            action=action,
            current=current,
            allowed_from=sorted(legal.sources),
        )
    return legal.target


def pairs(moves: Mapping[str, Move]) -> list[tuple[str, str]]:
    """Every (old, new) the table allows, for the database's own check."""
    return sorted({(source, legal.target) for legal in moves.values() for source in legal.sources})
