"""The hash chain over the actions of a request, computable without a database.

Each action's digest covers the digest before it and every fact of the action, so that none can be changed, left
out, added or moved without all that follow becoming wrong. The database computes the same as it inserts a row
(`triggers.chained`); the first action continues the digest of the request's own facts.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

SEPARATOR = "\x1f"  # no fact contains it: free text enters as its own digest
# The order is part of the digest: append, never change.
FACTS = (
    "request",
    "number",
    "action",
    "level",
    "actor",
    "person",
    "on_behalf_of",
    "content_digest",
    "at",
    "detail",
    "comment",
)
BY_DIGEST = frozenset({"detail", "comment"})


def content_digest(content: Mapping[str, object]) -> str:
    """Of what is approved. Amounts, days and ids are text; the order of the members does not matter."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(canonical)


def genesis(request: str, content: str) -> str:
    """What the first action continues: the request and what it asks for."""
    return sha256(SEPARATOR.join((request, content)))


def link(previous: str, facts: Mapping[str, str]) -> str:
    """The digest of an action whose predecessor has the digest `previous`. What is absent is ""."""
    told = (sha256(facts[name]) if name in BY_DIGEST else facts[name] for name in FACTS)
    return sha256(SEPARATOR.join((previous, *told)))


def first_fault(request: str, content: str, actions: Sequence[Mapping[str, str]]) -> str:
    """What is wrong with the chain, or nothing. Each action has its FACTS, `previous_digest` and `digest`."""
    previous = genesis(request, content)
    for number, action in enumerate(actions, start=1):
        if action["number"] != str(number):
            return f"action {number} is missing"
        if action["request"] != request:
            return f"action {number} belongs to another request"
        if action["previous_digest"] != previous:
            return f"action {number} does not continue the one before it"
        if action["digest"] != link(previous, action):
            return f"action {number} is not what was recorded"
        previous = action["digest"]
    return ""


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
