"""Transactions are READ COMMITTED: under another level a trigger that locks a parent and then sums its children
sums those of the past, and lets too much through without a word."""

from django.core.checks import Error
from django.db import connection
from psycopg import IsolationLevel

NEEDED = "read committed"


def level() -> str:
    """What the next transaction of this connection begins with: the settings', the role's or the server's choice."""
    chosen = connection.settings_dict["OPTIONS"].get("isolation_level")
    if chosen is not None:
        return IsolationLevel(chosen).name.lower().replace("_", " ")
    with connection.cursor() as cursor:
        cursor.execute("SHOW default_transaction_isolation")
        return cursor.fetchone()[0]


def outcome() -> str:
    return "ok" if level() == NEEDED else "wrong"


def check_isolation(*, databases: list[str] | None = None, **_: object) -> list[Error]:
    """Asked by `check --database default` and before every `migrate`, the first thing a deployment does."""
    found = level() if databases else NEEDED
    if found == NEEDED:
        return []
    hint = "ALTER ROLE … SET default_transaction_isolation, or the database's or server's own setting, says otherwise."
    return [Error(f"Transactions are {found}, not {NEEDED}.", hint=hint, id="kernel.E001")]
