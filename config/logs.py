"""How the logs look and what never gets into them.

One line per event: JSON in production, readable text elsewhere. Every line says who was acting in
which request. Library code logs through `logging`, ours may use `structlog`: both end here.
"""

import logging
import re
from collections.abc import Mapping
from decimal import Decimal

import structlog

from billing.kernel.context import current
from billing.kernel.masking import MASK, masked

SECRET_NAMES = ("authorization", "password", "secret", "token", "api_key", "apikey", "credentials", "cookie")
PASSWORD_IN_URL = re.compile(r"://[^\s/@]+@")
PLAIN = (int, float, Decimal, type(None))  # bool is an int


def say_who_acts(logger: object, method: str, event: dict) -> dict:
    """Add the actor and the request id of the surrounding `acting` block, if there is one."""
    here = current()
    if here.actor:
        event.setdefault("actor", here.actor)
    if here.request_id:
        event.setdefault("request_id", here.request_id)
    return event


def hide_secrets(logger: object, method: str, event: dict) -> dict:
    """Blank out values whose name says that they are secret, at any depth, and secrets within texts."""
    return {name: _without_secrets(name, value) for name, value in event.items()}


def _without_secrets(name: object, value: object) -> object:
    if isinstance(name, str) and any(word in name.lower().replace("-", "_") for word in SECRET_NAMES):
        return MASK
    if isinstance(value, Mapping):
        return {key: _without_secrets(key, inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_without_secrets(None, inner) for inner in value]
    if isinstance(value, PLAIN):
        return value
    return PASSWORD_IN_URL.sub(f"://{MASK}@", masked(str(value)))


def logging_settings(*, as_json: bool, level: str) -> dict:
    """The LOGGING setting; also points structlog at it. `level` is that of our own code and of warnings
    from elsewhere upwards."""
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        say_who_acts,
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Tracebacks become text before the secrets are hidden, so that theirs are hidden too.
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info]
    if as_json:
        last += [hide_secrets, structlog.processors.JSONRenderer()]
    else:
        last += [hide_secrets, structlog.dev.ConsoleRenderer(colors=False)]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*shared, structlog.stdlib.ExtraAdder()],
                "processors": last,
            }
        },
        "handlers": {"stream": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stream"], "level": level},
        "loggers": {
            # Django brings its own handlers for these; one line in one place is enough.
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
            "celery.utils.functional": {"level": logging.getLevelName(logging.WARNING)},
        },
    }
