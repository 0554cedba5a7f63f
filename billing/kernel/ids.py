"""UUIDv7 (RFC 9562 §5.7): sortable by time, so B-trees grow at one end."""

import secrets
import threading
import time
from uuid import UUID

_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """Milliseconds since the epoch, then 12 bits of sub-millisecond order, then 62 random bits.

    Values made by one process never go backwards, also when the clock does.
    """
    global _last
    with _lock:
        ticks = (time.time_ns() << 12) // 1_000_000  # units of 1/4096 ms
        _last = max(ticks, _last + 1)
        milliseconds, sub = divmod(_last, 1 << 12)
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | sub << 64 | 0b10 << 62 | secrets.randbits(62)
    return UUID(int=value)
