"""Trying a transaction again that the database broke off only because another one stood in its way."""

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection

from billing.kernel.errors import TransactionConflict

TRANSIENT = {
    "40P01": "deadlock",
    "40001": "serialization failure",
    "55P03": "lock timeout",
}
RETRIES_MAX = 3
# A lock timeout takes seconds: whoever waits through four of them keeps a worker from everybody else.
RETRY_SECONDS_MAX = 5
RETRY_AFTER_SECONDS = 1

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)


def retrying(whole: Callable[P, R]) -> Callable[P, R]:
    """Run `whole`, one whole transaction, up to RETRIES_MAX times more while it fails of others.

    Stands around `transaction.atomic`, never inside of it: a transaction that was broken off cannot be
    continued, so within an outer one the error goes on to whoever began that. What `whole` does outside of the
    database it does again. Raises TransactionConflict (503, Retry-After) when it keeps failing.
    """

    name = getattr(whole, "__qualname__", repr(whole))

    @functools.wraps(whole)
    def tried(*args: P.args, **kwargs: P.kwargs) -> R:
        if connection.in_atomic_block:
            return whole(*args, **kwargs)
        give_up_at = time.monotonic() + RETRY_SECONDS_MAX
        for retry in range(RETRIES_MAX + 1):
            try:
                return whole(*args, **kwargs)
            except OperationalError as error:
                reason = transient(error)
                if reason is None:
                    raise
                if retry == RETRIES_MAX or time.monotonic() > give_up_at:
                    logger.warning("transaction is given up", extra={"reason": reason, "work": name})
                    raise given_up(reason) from error
            logger.warning("transaction is tried again", extra={"reason": reason, "work": name})
            _step_aside(retry)
        raise AssertionError("unreachable")

    return tried


def transient(error: Exception) -> str | None:
    """Why the database broke the transaction off, if trying again is right."""
    return TRANSIENT.get(getattr(error.__cause__, "sqlstate", None))


def given_up(reason: str) -> TransactionConflict:
    return TransactionConflict(
        f"Nothing was changed ({reason}). Send it again in a moment.", retry_after=RETRY_AFTER_SECONDS
    )


def _step_aside(retry: int) -> None:
    """At random, so that two who met do not meet again."""
    time.sleep(random.uniform(0.01, 0.04) * (retry + 1))  # noqa: S311  nobody is to be kept from guessing it
