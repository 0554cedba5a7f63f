"""Recomputing the books: every invariant and every control total, against one moment of the database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection, transaction

from billing.ledger.hooks import Differences, control_total
from billing.ledger.invariants import CHECKS, violating


@dataclass(frozen=True)
class Outcome:
    name: str
    differences: int
    samples: list[str]


def checks() -> dict[str, Callable[[], Differences]]:
    """By name, in the order they are run: the ledger's own, then those registered by the apps above."""
    own = {name: _reader(query) for name, query in CHECKS.items()}
    return own | {f"control: {name}": compare for name, compare in control_total.items()}


def outcomes() -> Iterator[Outcome]:
    """One per check. Bookings made meanwhile are not seen: they would look like differences."""
    with one_moment():
        for name, compare in checks().items():
            found = compare()
            yield Outcome(name=name, differences=found.count, samples=found.samples)


@contextmanager
def one_moment() -> Iterator[None]:
    """A read-only snapshot. Whole tables are read, so the session's statement timeout is lifted in it."""
    connection.cursor().close()  # the session is told who acts before the snapshot begins, not in it
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        yield


def _reader(query: str) -> Callable[[], Differences]:
    return lambda: violating(query)
