"""Nightly work on many requests, of which one that fails holds up no other."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

R = TypeVar("R")

logger = logging.getLogger(__name__)


def one_by_one(
    request_ids: Iterable[UUID], act: Callable[[UUID], R]
) -> tuple[list[R], dict[UUID, Exception]]:
    """What `act`, a transaction of its own, makes of each, and what those failed with that it could not do."""
    done, failed = [], {}
    for request_id in request_ids:
        try:
            done.append(act(request_id))
        except Exception as error:  # whatever it is, it is this request's and nobody else's
            logger.exception("request is left", extra={"request": str(request_id)})
            failed[request_id] = error
    return done, failed
