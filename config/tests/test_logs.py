"""What a log line says, and what it never says."""

import io
import json
import logging
import logging.config

import pytest
import structlog
from django.test import RequestFactory

from billing.kernel.context import acting
from billing.kernel.masking import MASK
from config.logs import hide_secrets, logging_settings


@pytest.fixture
def lines():
    """Log into memory as production does; `lines()` gives what was written, parsed."""
    written = io.StringIO()
    settings = logging_settings(as_json=True, level="INFO")
    settings["handlers"]["stream"]["stream"] = written
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logging.config.dictConfig(settings)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def test_a_line_is_json_and_says_who_acts_in_which_request(lines):
    with acting(actor="user:7", request_id="r-1"):
        logging.getLogger("billing.invoicing").info("issued %s", "INV-1")
        structlog.get_logger("billing.payments").warning("refused", invoice="INV-2")
    first, second = lines()
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "issued INV-1",
        "logger": "billing.invoicing",
        "level": "info",
        "actor": "user:7",
        "request_id": "r-1",
    }
    assert second.pop("timestamp").endswith("Z")
    assert second == {
        "event": "refused",
        "invoice": "INV-2",
        "logger": "billing.payments",
        "level": "warning",
        "actor": "user:7",
        "request_id": "r-1",
    }


def test_a_line_outside_any_request_names_nobody(lines):
    logging.getLogger("billing").info("started")
    assert set(lines()[0]) == {"event", "logger", "level", "timestamp"}


def test_extra_members_are_written_and_their_secrets_hidden(lines):
    logging.getLogger("billing").info("called", extra={"host": "erp", "api_key": "k-123"})
    assert lines()[0]["host"] == "erp"
    assert lines()[0]["api_key"] == MASK


def test_the_secrets_of_a_traceback_are_hidden(lines):
    try:
        raise RuntimeError("POST with Authorization: Bearer abc.def failed")
    except RuntimeError:
        logging.getLogger("billing").exception("no answer")
    text = json.dumps(lines()[0])
    assert "RuntimeError" in text
    assert "abc.def" not in text


SECRET = "x9Zq77"


@pytest.mark.parametrize(
    "members",
    [
        {"authorization": SECRET},
        {"Authorization": f"Bearer {SECRET}"},
        {"password": SECRET},
        {"client_secret": SECRET},
        {"refresh_token": SECRET},
        {"api_key": SECRET},
        {"X-Api-Key": SECRET},
        {"credentials": {"user": "u", "anything": SECRET}},
        {"headers": [{"Set-Cookie": SECRET}]},
        {"deep": {"er": [{"webhook_secret": SECRET}]}},
        {"request": RequestFactory().get(f"/callback?token={SECRET}")},
        {"event": f"Authorization: Bearer {SECRET}"},
        {"event": f"key ebk_live_{SECRET} was used"},
        {"event": f"connecting to postgresql://billing:{SECRET}@db/billing"},
        {"event": f"password={SECRET}&user=u"},
        {"event": f"{{'access_token': '{SECRET}', 'expires_in': 3600}}"},
        {"event": f'{{"client_secret": "{SECRET}"}}'},
    ],
    ids=str,
)
def test_a_secret_is_hidden_wherever_it_stands(members):
    assert SECRET not in str(hide_secrets(None, "info", members))


def test_what_is_no_secret_is_left_as_it_is():
    members = {
        "event": "invoice INV-7: 3 lines, 10.00 EUR for https://example.test/orders?page=2",
        "count": 3,
        "entities": ["a", "b"],
        "nothing": None,
    }
    assert hide_secrets(None, "info", dict(members)) == members
