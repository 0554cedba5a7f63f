"""Who is acting, and in which request. Read by the audit trail, the logs and (through the database
session) by the triggers that write down every changed row, also those changed by raw SQL."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True)
class Acting:
    actor: str = ""  # "user:<uuid>", "command:run_billing", "task:kernel.sweep_outbox"
    request_id: str = ""
    ip: str = ""

    def as_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


NOBODY = Acting()
_acting: ContextVar[Acting] = ContextVar("acting", default=NOBODY)


def current() -> Acting:
    return _acting.get()


@contextmanager
def acting(**changes: str) -> Iterator[Acting]:
    """`with acting(actor="command:run_billing"): …` — nested uses change only what they name."""
    token = _acting.set(replace(_acting.get(), **changes))
    try:
        yield _acting.get()
    finally:
        _acting.reset(token)


def become(**changes: str) -> None:
    """Change who acts until the surrounding `acting` ends (authentication happens inside a request)."""
    _acting.set(replace(_acting.get(), **changes))
