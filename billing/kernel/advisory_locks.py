"""Every advisory lock of the system, in the order in which a transaction takes them.

A lock is a name, with a key where it is about one object; PostgreSQL locks the 64-bit hash of both (another name with
the same hash would only wait without need). All are released with the transaction. No other file calls the functions
of PostgreSQL: services say `LOCK.take(…)`, triggers and set-based statements `LOCK.sql(…)`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, kw_only=True)
class AdvisoryLock:
    """`guards` says what it keeps apart, and where it stands to row locks."""

    name: str
    guards: str
    number: str = "hashtextextended({text}, 0)"

    def sql(self, key: str = "", *, shared: bool = False) -> str:
        """The call that takes it. `key` is an SQL expression; without one the lock is for everything."""
        text = f"'{self.name} ' || {key}::text" if key else f"'{self.name}'"
        return f"pg_advisory_xact_lock{'_shared' if shared else ''}({self.number.format(text=text)})"

    def take(self, *, shared: bool = False) -> None:
        """Wait for it. Shared: with others who share it, and without those who take it alone."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {self.sql(shared=shared)}")

    def take_for(self, keys: Iterable[object], *, shared: bool = False) -> None:
        """Wait for it for each key, in the order of the keys: two who take several never wait in a circle."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {self.sql('key', shared=shared)} "  # noqa: S608  a name of ours
                "FROM (SELECT unnest(%s::text[]) AS key ORDER BY 1) AS keys",
                [sorted({str(key) for key in keys})],
            )

    def try_take(self) -> bool:
        """Without waiting; False if another transaction has it."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {self.sql().replace('pg_advisory', 'pg_try_advisory', 1)}")
            return cursor.fetchone()[0]


USAGE_QUOTAS = AdvisoryLock(
    name="usage quotas",
    guards="Recording usage (shared) and setting quotas or meters. Before any row lock.",
)
LEDGER_MONTHS = AdvisoryLock(
    name="books of",
    guards="Creating, closing and reopening months of the entity that is the key. Before the rows of the months.",
)
PERIOD_CLOSING = AdvisoryLock(
    name="closing",
    guards="Posting into the month that is the key (shared) and closing it: row locks alone would let posters overtake"
    " whoever closes. Before the row of the month.",
)
REVERSAL = AdvisoryLock(
    name="reversing",
    guards="Reversing the journal entry that is the key; entries are append-only and cannot be locked as rows.",
)
TREE_OF = {
    table: AdvisoryLock(
        name=f"tree of {table}",
        guards="Changing a parent in this tree, and (shared) granting roles over places in it. After the rows.",
        number="hashtext({text})",
    )
    for table in ("entities", "departments")
}
APPROVAL_LIMITS = AdvisoryLock(
    name="limits of acts",
    guards="Operations under way (shared) and changes of approval rules and rates. After the rows of the operation.",
)
APPROVAL_SUM = AdvisoryLock(
    name="approval sum",
    guards="Operations of one kind at one entity (the key), whose amounts count together. After APPROVAL_LIMITS.",
)
USAGE_PARTITIONS = AdvisoryLock(
    name="usage partitions",
    guards="Creating a month's partition; taken by the function ensure_usage_partitions. After the counters.",
    number="hashtext({text})",
)
AUDIT_SEALER = AdvisoryLock(
    name="audit sealer",
    guards="Sealing the audit trail: one sealer at a time, others leave. The only lock it takes.",
)
APP_ROLE = AdvisoryLock(
    name="application role",
    guards="grant_app_role: one at a time. The only lock it takes besides the catalogue.",
)
