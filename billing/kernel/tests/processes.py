"""Processes of their own, for tests that kill them. A child is a fork with a fresh database connection."""

import os
import signal
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager

from django.db import connection, connections


def in_a_child(work: Callable[[], object], *, killed_after_statements: int | None = None) -> bool:
    """Run `work` in a forked process and wait. True if it finished, False if it was killed.

    The child kills itself with SIGKILL before the n-th SQL statement: a moment nobody chose, and the
    same one in every run. No handler and no `finally` of the child runs.
    """

    def burning() -> None:
        with killed_after(killed_after_statements):
            work()

    return survived(start_child(burning))


def start_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process beside this one; its id is for `survived`."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for opened in connections.all(initialized_only=True):
                opened.connection = None  # the parent's; closing it would end the parent's session
                opened.in_atomic_block, opened.savepoint_ids, opened.needs_rollback = False, [], False
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def survived(child: int) -> bool:
    """Wait for the child. True if it finished, False if it was killed."""
    _, ended = os.waitpid(child, 0)
    if os.WIFSIGNALED(ended):
        assert os.WTERMSIG(ended) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(ended) == 0, "the child failed; its traceback is above"
    return True


def killed_after(statements: int | None) -> AbstractContextManager:
    """Inside, this process kills itself before the n-th SQL statement from here; never without a number."""
    return connection.execute_wrapper(_fuse(statements))


def _fuse(length: int | None):
    burnt = 0

    def statement(execute, sql, params, many, context):
        nonlocal burnt
        burnt += 1
        if length is not None and burnt >= length:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)

    return statement
