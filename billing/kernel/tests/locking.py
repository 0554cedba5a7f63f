"""The order in which locks are taken, watched. Whoever keeps to one order cannot deadlock.

    with lock_order(("billing_entities", "invoices", "payments")):
        services.record_payment(...)

Each outermost transaction inside is judged by itself. A row that is locked again, or that the transaction has
written itself, is no new lock. What triggers lock on an insert has to be told (`by_insert`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import connection

LOCKING_SELECT = re.compile(r"\sFOR (?:NO KEY UPDATE|UPDATE|SHARE)\b[^)]*$", re.DOTALL)
FROM = re.compile(r'\sFROM "?(\w+)"?')
UPDATE = re.compile(r'\s*UPDATE "?(\w+)"?.*?\sSET\s.*?(\sWHERE\s.*)?$', re.DOTALL)
RAW_UPDATE = re.compile(r"\s*UPDATE (\w+)\s")
DELETE = re.compile(r'\s*DELETE FROM "?(\w+)"?(.*)$', re.DOTALL)
INSERT = re.compile(r'\s*INSERT INTO "?(\w+)"?')


class LocksOutOfOrder(AssertionError):
    pass


class _Watch:
    def __init__(
        self,
        order: Sequence[str],
        by_insert: Mapping[str, str],
        first_where: Mapping[str, str],
        under: Mapping[str, str],
    ) -> None:
        self.rank = {table: number for number, table in enumerate(order)}
        self.by_insert, self.first_where, self.under = by_insert, first_where, under
        self.depth = 0
        self.taken: list[str] = []  # every table that was newly locked, in order, over all transactions
        self._begin()

    def __call__(self, execute, sql, params, many, context):
        text = str(sql)
        if text.startswith("SAVEPOINT"):
            self.depth += 1
            if self.depth == 1:
                self._begin()
            return execute(sql, params, many, context)
        if text.startswith("RELEASE SAVEPOINT"):
            self.depth -= 1
        elif self.depth:
            self._judge(text, list(params or ()))
        return execute(sql, params, many, context)

    def _begin(self) -> None:
        self.held: dict[str, dict] = {}
        self.highest: str | None = None
        self.born = _next_transaction()

    def _judge(self, text: str, params: list) -> None:
        if found := LOCKING_SELECT.search(text):
            table = FROM.search(text)[1]
            rows = _keys(text[: found.start()], params)
            self._take(table, rows, text, ordered="ORDER BY" in text)
        elif (found := UPDATE.match(text)) and " FROM " not in text.split(" WHERE ")[0]:
            self._take_where(found[1], found[2] or "", params, text)
        elif found := RAW_UPDATE.match(text):
            assert self.held.get(found[1]), f"not locked before: {text}"
        elif found := DELETE.match(text):
            self._take_where(found[1], found[2] or "", params, text)
        elif (found := INSERT.match(text)) and (locked := self.by_insert.get(found[1])):
            self._enter(locked, text)

    def _take_where(self, table: str, where: str, params: list, text: str) -> None:
        own = params[len(params) - where.count("%s") :]
        rows = _keys(f'SELECT "{table}".* FROM "{table}" {where}', own)
        self._take(table, rows, text, ordered=False)

    def _take(self, table: str, rows: list, text: str, *, ordered: bool) -> None:
        held = self.held.setdefault(table, {})
        new = self._places_of(table, [row for row in rows if row not in held])
        if not new:
            return
        self._enter(table, text)
        if not self.held.get(self.under.get(table)):
            if len(new) > 1 and not ordered:
                raise LocksOutOfOrder(f"{len(new)} rows of {table} in no order: {text}")
            places = list(new.values())
            if places != sorted(places) or (held and places[0] < max(held.values())):
                raise LocksOutOfOrder(f"rows of {table} not by their key: {text}")
        held |= new

    def _places_of(self, table: str, rows: list) -> dict:
        """Row -> its place among the others. Without those written by this transaction: nobody else sees them."""
        first = self.first_where.get(table, "false")
        found = _ask(
            f"SELECT id, ({first}) FROM {table} WHERE id = ANY(%s) AND xmin::text::bigint < %s",
            [rows, self.born],
        )
        places = {row: (not is_first, row) for row, is_first in found}
        return {row: places[row] for row in rows if row in places}

    def _enter(self, table: str, text: str) -> None:
        self.taken.append(table)
        if table not in self.rank:
            return
        if self.highest and self.rank[table] < self.rank[self.highest]:
            raise LocksOutOfOrder(f"{table} after {self.highest}: {text}")
        self.highest = table


@contextmanager
def lock_order(
    order: Sequence[str],
    *,
    by_insert: Mapping[str, str] | None = None,
    first_where: Mapping[str, str] | None = None,
    under: Mapping[str, str] | None = None,
) -> Iterator[_Watch]:
    """Raises LocksOutOfOrder where a table of `order` is locked after a later one, or rows not by their key.

    `by_insert`: table -> the one that inserting into it locks. `first_where`: table -> SQL for rows that come
    before the others of it. `under`: table -> the one whose lock protects its rows as a whole.
    """
    assert connection.in_atomic_block, "the test's own transaction, so that savepoints show where ours begin"
    watch = _Watch(order, by_insert or {}, first_where or {}, under or {})
    with connection.execute_wrapper(watch):
        yield watch


def _keys(statement: str, params: list) -> list:
    with connection.connection.cursor() as cursor:
        rows = cursor.execute(statement, params).fetchall()
        place = next(i for i, column in enumerate(cursor.description) if column.name in {"id", "pk"})
        return [row[place] for row in rows]


def _ask(statement: str, params: list) -> list[tuple]:
    """Beside Django, so that it is not watched."""
    with connection.connection.cursor() as cursor:
        return cursor.execute(statement, params).fetchall()


def _next_transaction() -> int:
    """What is written from now on has this number or a higher one."""
    with connection.connection.cursor() as cursor:
        cursor.execute("SAVEPOINT number")
        cursor.execute("CREATE TEMPORARY TABLE number AS SELECT 1 AS one")
        number = cursor.execute("SELECT xmin::text::bigint FROM number").fetchone()[0]
        cursor.execute("ROLLBACK TO SAVEPOINT number")
        cursor.execute("RELEASE SAVEPOINT number")
    return number
