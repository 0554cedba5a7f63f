"""Requests per minute, counted in Redis: per key for machines, per user for people, else per address."""

import logging
import math
import time
from functools import cache

from django.conf import settings
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter
from rest_framework.throttling import BaseThrottle

logger = logging.getLogger(__name__)


@cache
def shared() -> MovingWindowRateLimiter:
    uri = settings.RATE_LIMIT_STORAGE
    patience = {} if uri.startswith("memory") else {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    return MovingWindowRateLimiter(storage_from_string(uri, wrap_exceptions=True, **patience))


@cache
def own() -> MovingWindowRateLimiter:
    """This process's own count, for as long as the shared one cannot be reached."""
    return MovingWindowRateLimiter(MemoryStorage())


def consume(limit: RateLimitItem, *names: str) -> tuple[bool, int, int]:
    """Count one: may it go on, how many are left, and in how many seconds is the oldest forgotten."""
    try:
        return _counted(shared(), limit, names)
    except StorageError as error:
        # A limit that cannot be counted must not stop the business.
        logger.warning("the rate limit storage does not answer, counting per process: %s", error)
        return _counted(own(), limit, names)


def _counted(
    limiter: MovingWindowRateLimiter, limit: RateLimitItem, names: tuple[str, ...]
) -> tuple[bool, int, int]:
    allowed = limiter.hit(limit, *names)
    window = limiter.get_window_stats(limit, *names)
    return allowed, window.remaining, max(1, math.ceil(window.reset_time - time.time()))


class RateThrottle(BaseThrottle):
    """`rate_limit` on the view ("60/minute") replaces settings.API_RATE_LIMIT and has its own count."""

    _seconds: int | None = None

    def allow_request(self, request, view) -> bool:
        own_limit = getattr(view, "rate_limit", None)
        limit = parse(own_limit or settings.API_RATE_LIMIT)
        policy = type(view).__name__.lower() if own_limit else "default"
        allowed, left, self._seconds = consume(limit, policy, _who(request))
        request.rate_limit_headers = {
            "RateLimit-Policy": f'"{policy}";q={limit.amount};w={limit.get_expiry()}',
            "RateLimit": f'"{policy}";r={left};t={self._seconds}',
        }
        return allowed

    def wait(self) -> int | None:
        return self._seconds


def _who(request) -> str:
    key = getattr(request.auth, "pk", None)
    if key is not None:
        return f"key:{key}"
    if request.user and request.user.is_authenticated:
        return f"user:{request.user.pk}"
    # Not X-Forwarded-For: whoever may choose their own address has no limit.
    return f"address:{request.META.get('REMOTE_ADDR', '')}"
