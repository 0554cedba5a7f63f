"""JSON as RFC 8259 means it, and no more: nothing is guessed, nothing is silently dropped."""

import json
import re
from decimal import Decimal, InvalidOperation

from django.conf import settings
from django.http import UnreadablePostError
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser

from billing.kernel.api.errors import BodyTooLarge, MalformedBody

NESTING_MAX = 20
LARGEST_INTEGER = 2**63 - 1
LARGEST_EXPONENT = 30
# An unclosed string runs to the end of the text, so that every match succeeds and the scan stays linear.
STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
NOT_A_BRACKET = re.compile(r"[^\[\]{}]+")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class StrictJSONParser(BaseParser):
    """`body_bytes_max` and `body_may_be_list` on the view widen what is accepted."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        view = (parser_context or {}).get("view")
        _require_json_in_utf8(media_type or "")
        limit = getattr(view, "body_bytes_max", None) or settings.API_BODY_BYTES_MAX
        value = parse_json(_read(stream, limit, (parser_context or {}).get("request")))
        if isinstance(value, dict) or (isinstance(value, list) and getattr(view, "body_may_be_list", False)):
            return value
        raise MalformedBody("The body must be a JSON object.", reason="not-an-object")


def parse_json(body: bytes) -> object:
    """The value of a JSON text in UTF-8; decimals are exact. Raises MalformedBody with a `reason`."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBody(
            f"The body is not UTF-8 at byte {error.start}.", reason="invalid-utf-8", position=error.start
        ) from None
    _require_shallow(text)
    try:
        value = json.loads(
            text,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_no_constant,
            object_pairs_hook=_unique_members,
        )
    except json.JSONDecodeError as error:
        raise MalformedBody(
            f"{error.msg} at line {error.lineno}, column {error.colno}.",
            reason="syntax",
            position=error.pos,
            line=error.lineno,
            column=error.colno,
        ) from None
    except RecursionError:
        raise MalformedBody(
            f"The body is nested deeper than {NESTING_MAX} levels.", reason="too-deep"
        ) from None
    # Raw control characters and raw surrogates are already refused: only an escape can still make one.
    if "\\u" in text:
        _require_text(value)
    return value


def _require_json_in_utf8(media_type: str) -> None:
    kind, parameters = parse_header_parameters(media_type)
    if kind != StrictJSONParser.media_type or parameters.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType(media_type)


def _read(stream, limit: int, request) -> bytes:
    declared = request.META.get("CONTENT_LENGTH", "") if request is not None else ""
    try:
        body = b"" if declared.isdigit() and int(declared) > limit else stream.read(limit + 1)
    except UnreadablePostError:
        raise MalformedBody("The body ended before it was complete.", reason="incomplete") from None
    if (not body and declared not in {"", "0"}) or len(body) > limit:
        raise BodyTooLarge(f"The body may have at most {limit} bytes.", bytes_max=limit)
    return body


def _require_shallow(text: str) -> None:
    depth = 0
    for bracket in NOT_A_BRACKET.sub("", STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > NESTING_MAX:
            raise MalformedBody(f"The body is nested deeper than {NESTING_MAX} levels.", reason="too-deep")


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond what even a Decimal can hold
        number = None
    if number is None or len(text) > 64 or (number and abs(number.adjusted()) > LARGEST_EXPONENT):
        raise MalformedBody(f"The number {text[:40]} is out of range.", reason="number-out-of-range")
    return number


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > LARGEST_INTEGER:
        raise MalformedBody(f"The number {text[:40]} is out of range.", reason="number-out-of-range")
    return int(text)


def _no_constant(name: str) -> None:
    raise MalformedBody(f"{name} is not a JSON number.", reason="number-out-of-range")


def _unique_members(pairs: list[tuple[str, object]]) -> dict:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise MalformedBody(
            f"The member '{_printable(twice)}' is given twice.",
            reason="duplicate-member",
            member=_printable(twice),
        )
    return members


def _require_text(value: object) -> None:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            if "\x00" in node or LONE_SURROGATE.search(node):
                raise MalformedBody(
                    f"The text '{_printable(node)}' has characters that are not text.",
                    reason="invalid-character",
                )
        elif isinstance(node, dict):
            waiting.extend(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _printable(text: str) -> str:
    return text[:40].encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")
