"""Time for long work: the session's statement timeout is made for people who wait for a page."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def no_statement_timeout() -> Iterator[None]:
    """No statement timeout inside, the session's own again after. Waiting for locks stays bounded.

    Around whole transactions: commands, tasks. Never inside one, whose rollback would undo it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    try:
        yield
    finally:
        if connection.connection is not None and not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("RESET statement_timeout")
