"""Limits stand still while an act that was held against them is under way: its guard and the triggers at its COMMIT
see the same rules and rates."""

from django.db import connection

from approvals.triggers import LIMITS_LOCK


def let_limits_stand_still() -> None:
    """Until this transaction is over. Acts do not wait for each other here."""
    _lock("pg_advisory_xact_lock_shared")


def wait_for_acts() -> None:
    """Until those under way are over; later ones wait for this transaction."""
    _lock("pg_advisory_xact_lock")


def _lock(function: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}({LIMITS_LOCK})")
