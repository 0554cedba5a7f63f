"""The only door to other people's servers.

https, no redirects, no proxies from the environment; the name is resolved once, every address it
has is checked, and the connection goes to a checked one. One deadline for the whole exchange, one
limit for the whole body. What went wrong is told apart by whether the other side may have acted.
"""

import json as jsonlib
import logging
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from billing.kernel.addresses import may_call
from billing.kernel.errors import DomainError, Unavailable
from billing.kernel.masking import masked
from billing.kernel.pinned_connection import PinnedAdapter, PinnedConnection

DEADLINE_SECONDS = 20
BODY_BYTES_MAX = 5 << 20
CHUNK_BYTES = 64 << 10
RETRY_AFTER_DEFAULT, RETRY_AFTER_MAX = 5, 15 * 60
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
NEVER_ACTED = frozenset({429, 503})  # these say that the request was turned away at the door

logger = logging.getLogger(__name__)
logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug lines hold whole queries


class OutboundRefused(DomainError):
    """We do not call there: against our own rules, whatever the other side would say."""

    code = "outbound-refused"
    title = "This address may not be called."


class OutcomeUnknown(Unavailable):
    """A write was sent and no usable answer came: it may have happened. Ask before repeating it."""

    code = "outcome-unknown"
    title = "It is not known whether the other system acted."


class UnexpectedRedirect(Unavailable):
    """A redirect is not followed: it would take the credentials elsewhere."""

    code = "unexpected-redirect"
    title = "The other system answered with a redirect."


class AnswerTooLarge(Unavailable):
    code = "answer-too-large"
    title = "The other system's answer is larger than we read."


class UnreadableAnswer(Unavailable):
    code = "unreadable-answer"
    title = "The other system's answer is not what it should be."


@dataclass(frozen=True)
class Answer:
    """What came back, with a status below 300 or from 400 to 499."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    method: str

    def json(self) -> object:
        """The body, decimals exact. Raises OutcomeUnknown after a write, UnreadableAnswer after a read."""
        try:
            return jsonlib.loads(self.body, parse_float=Decimal)
        except (ValueError, RecursionError):
            kind = OutcomeUnknown if self.method in WRITES else UnreadableAnswer
            raise kind("The answer is not JSON.") from None


def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json: object = None,
    data: bytes | str | Mapping[str, str] | None = None,
    timeout: int = DEADLINE_SECONDS,
    max_bytes: int = BODY_BYTES_MAX,
    allow_hosts: Collection[str] | None = None,
) -> Answer:
    """Call `url` once, within `timeout` seconds for everything but the look-up of the name.

    Raises OutboundRefused before anything is sent, UnexpectedRedirect, Unavailable when the call
    certainly did nothing (or was a read), OutcomeUnknown when a write may have happened. Answers
    400 to 499 but 429 are answers. Never called inside a transaction.
    """
    assert all(block._from_testcase for block in connection.atomic_blocks), (
        "no call to the outside inside a transaction: locks would be held while others think"
    )
    place = _Place.of(url, allow_hosts)
    started = time.monotonic()
    pinned = PinnedConnection(place.addresses(), deadline=started + timeout)
    session = requests.Session()
    session.trust_env = False
    session.headers = requests.structures.CaseInsensitiveDict({"User-Agent": "enterprise-billing"})
    session.mount(f"{place.scheme}://", PinnedAdapter(pinned))
    try:
        with (
            session,
            pinned,
            session.request(
                method,
                url,
                headers=headers,
                json=json,
                data=data,
                timeout=timeout,
                allow_redirects=False,
                stream=True,
                verify=settings.OUTBOUND_CA_BUNDLE or True,
            ) as response,
        ):
            answer = Answer(
                response.status_code, response.headers, _read(response, max_bytes), method.upper()
            )
            pinned.check_deadline()
    except (requests.RequestException, HTTPError, OSError, _TooLarge) as error:
        raise _failure(error, method, place, pinned) from None  # its text holds the query
    logger.info(
        "outbound call",
        extra={
            "method": method,
            "place": str(place),
            "status": answer.status,
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    return _accepted(answer, place)


@dataclass(frozen=True)
class _Place:
    """Where a call goes; as text it has neither query nor credentials."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return masked(f"{self.scheme}://{self.host}:{self.port}{self.path}")

    @classmethod
    def of(cls, url: str, allow_hosts: Collection[str] | None) -> "_Place":
        try:
            parts = urlsplit(url)
            port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
        except ValueError:
            raise OutboundRefused("The address is not a URL.") from None
        place = cls(parts.scheme, (parts.hostname or "").rstrip("."), port, parts.path)
        if parts.scheme != "https" and not (parts.scheme == "http" and settings.OUTBOUND_ALLOW_HTTP):
            raise OutboundRefused("Only https addresses are called.")
        if not place.host or "@" in parts.netloc or "\\" in url:
            raise OutboundRefused("The address must have a host and no user name.")
        if allow_hosts is not None and place.host not in allow_hosts:
            raise OutboundRefused(f"{place.host} is not one of the expected hosts.")
        return place

    def addresses(self) -> list[tuple]:
        """Where the name leads now. One address that may not be called spoils the name."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Unavailable(f"The name {self.host} does not resolve.") from None
        for *_, target in found:
            if not may_call(target[0], allowed_networks=settings.OUTBOUND_ALLOWED_NETWORKS):
                raise OutboundRefused(f"{self.host} leads to an address that may not be called.")
        return [(family, target) for family, _, _, _, target in found]


class _TooLarge(Exception):
    pass


def _read(response: requests.Response, max_bytes: int) -> bytes:
    """The body, decompressed as far as the limit and no further."""
    body = bytearray()
    for chunk in response.raw.stream(CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > max_bytes:
            raise _TooLarge
    return bytes(body)


def _failure(error: Exception, method: str, place: _Place, pinned: PinnedConnection) -> Unavailable:
    sent = pinned.open and method.upper() in WRITES
    if isinstance(error, _TooLarge):
        kind, what = (OutcomeUnknown if sent else AnswerTooLarge), "answered with more than we read"
    elif pinned.expired:
        kind, what = (OutcomeUnknown if sent else Unavailable), "did not answer in time"
    elif isinstance(error, requests.exceptions.SSLError) and not pinned.open:
        kind, what = Unavailable, "has no certificate that we trust"
    else:
        kind, what = (OutcomeUnknown if sent else Unavailable), f"broke off ({type(error).__name__})"
    logger.warning("outbound call failed", extra={"method": method, "place": str(place), "reason": what})
    return kind(f"{place.host} {what}.")


def _accepted(answer: Answer, place: _Place) -> Answer:
    """The answer, unless its status says that it is none."""
    status = answer.status
    if status < 300 or (400 <= status < 500 and status != 429):
        return answer
    excerpt = masked(answer.body[:500].decode(errors="replace"))
    logger.warning(
        "outbound call not answered", extra={"place": str(place), "status": status, "excerpt": excerpt}
    )
    if status < 400:
        raise UnexpectedRedirect(f"{place.host} answered {status}; redirects are not followed.")
    kind = OutcomeUnknown if answer.method in WRITES and status not in NEVER_ACTED else Unavailable
    raise kind(
        f"{place.host} answered {status}.",
        retry_after=retry_after(
            CaseInsensitiveDict(answer.headers).get("Retry-After"), now=datetime.now(UTC)
        ),
        remote_status=status,
    )


def retry_after(header: str | None, *, now: datetime) -> int:
    """Seconds to wait, from 1 to 900, by a Retry-After header in either form; 5 if it says nothing usable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        seconds = int(text[:12])
    else:
        try:
            then = parsedate_to_datetime(text)
        except (ValueError, IndexError):
            return RETRY_AFTER_DEFAULT
        seconds = int((then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()) + 1
    return min(max(seconds, 1), RETRY_AFTER_MAX)
