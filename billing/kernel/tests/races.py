"""Races made certain: the rival is started, and waited for, until it is stuck behind our locks.

Two threads and luck miss a forgotten lock most of the time. Here the rival has always read (or
tried to read) before we commit, so a service that reads without locking is caught every time.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import connection

BLOCKED_BY_ME = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"


def start_rival(action: Callable[[], object], *, timeout_seconds: float = 5) -> Future:
    """Call inside a transaction that holds locks; use the result after it has committed."""
    assert connection.in_atomic_block

    def in_own_connection() -> object:
        try:
            return action()
        finally:
            connection.close()

    executor = ThreadPoolExecutor(max_workers=1)
    rival = executor.submit(in_own_connection)
    executor.shutdown(wait=False)
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and not rival.done():
        with connection.cursor() as cursor:
            cursor.execute(BLOCKED_BY_ME)
            if cursor.fetchone()[0]:
                return rival
        time.sleep(0.01)
    raise AssertionError("the rival was never blocked: it takes no lock we hold")
