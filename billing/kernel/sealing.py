"""Sealing the audit trail: a hash chain made in batches, after the fact.

A chain link inside every transaction would make all writers wait for each other. So lines are
written plainly, and a sealer hashes what is visible. A line that commits late, with a lower number
than its neighbours, simply goes into the next seal: the order is by id within each seal.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC

from django.db import connection, models, transaction
from django.db.models.functions import Cast

from billing.kernel.advisory_locks import AUDIT_SEALER
from billing.kernel.models import AuditEntry, AuditSeal
from billing.kernel.retrying import retrying

LINES_PER_SEAL_MAX = 5_000  # well within the statement timeout
GENESIS = "0" * 64

# The order is part of the digest: append, never change.
FIELDS = (
    "id",
    "at",
    "kind",
    "action",
    "subject_type",
    "subject_id",
    "entity_id",
    "actor",
    "request_id",
    "ip",
    "reason",
    "before_text",
    "after_text",
    "detail_text",
)

logger = logging.getLogger(__name__)


@retrying
@transaction.atomic
def seal_audit(*, limit: int | None = None) -> AuditSeal | None:
    """Seal up to `limit` (LINES_PER_SEAL_MAX) unsealed lines; None if there are none or another sealer is at work."""
    if not AUDIT_SEALER.try_take():
        return None
    last = AuditSeal.objects.order_by("-number").first()
    previous = last.digest if last else GENESIS
    ids, digest = [], previous
    for entry in _lines(AuditEntry.objects.filter(seal__isnull=True), limit=limit or LINES_PER_SEAL_MAX):
        digest = _link(digest, entry)
        ids.append(entry["id"])
    if not ids:
        return None
    seal = AuditSeal.objects.create(
        number=last.number + 1 if last else 1,
        entry_count=len(ids),
        previous_digest=previous,
        digest=digest,
    )
    _stamp(ids, seal)
    # Whoever keeps the logs elsewhere can prove that the end of the trail was not cut off.
    logger.info("audit sealed", extra={"seal": seal.number, "lines": len(ids), "digest": digest})
    return seal


@dataclass(frozen=True, kw_only=True)
class Broken:
    """The first place where the trail is not what was sealed."""

    seal: int
    entry: int | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    seals: int
    entries: int
    unsealed: int
    head: str
    broken: Broken | None


def verify_audit(*, tick: Callable[[int], object] = lambda lines: None) -> Verdict:
    """Recompute the whole chain in bounded memory. `tick` is told of every batch of lines checked."""
    number, entries, head, broken = 0, 0, GENESIS, None
    for seal in AuditSeal.objects.order_by("number").iterator():
        broken = _fault_of(seal, number=number + 1, previous=head)
        if broken:
            break
        number, head, entries = seal.number, seal.digest, entries + seal.entry_count
        tick(seal.entry_count)
    return Verdict(
        seals=number,
        entries=entries,
        unsealed=AuditEntry.objects.filter(seal__isnull=True).count(),
        head=head,
        broken=broken or _orphan(),
    )


def _fault_of(seal: AuditSeal, *, number: int, previous: str) -> Broken | None:
    if seal.number != number:
        return Broken(seal=number, entry=None, reason="the seal is missing")
    if seal.previous_digest != previous:
        return Broken(seal=number, entry=None, reason="the seal does not continue the one before it")
    count, digest, last = 0, previous, None
    for entry in _lines(AuditEntry.objects.filter(seal_id=number)):
        count, digest, last = count + 1, _link(digest, entry), entry["id"]
    if count != seal.entry_count:
        reason = f"the seal covers {seal.entry_count} lines, {count} are there"
    elif digest != seal.digest:
        reason = f"the lines up to {last} are not those that were sealed"
    else:
        return None
    return Broken(seal=number, entry=None, reason=reason)


def _orphan() -> Broken | None:
    """A line of a seal that is gone from the end of the chain (a gap inside it is found before)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seal, id FROM audit_entries"
            " WHERE seal > (SELECT coalesce(max(number), 0) FROM audit_seals) ORDER BY seal, id LIMIT 1"
        )
        lost = cursor.fetchone()
    return Broken(seal=lost[0], entry=lost[1], reason="the seal is missing") if lost else None


def _stamp(ids: list[int], seal: AuditSeal) -> None:
    with connection.cursor() as cursor:  # one array instead of ten thousand parameters
        cursor.execute("UPDATE audit_entries SET seal = %s WHERE id = ANY(%s)", [seal.number, ids])


def _lines(chosen: models.QuerySet, *, limit: int | None = None) -> Iterator[dict]:
    """Streamed. JSON as PostgreSQL's own text: Python would read its numbers as inexact ones."""
    texts = {f"{name}_text": Cast(name, models.TextField()) for name in ("before", "after", "detail")}
    return chosen.order_by("id").annotate(**texts).values(*FIELDS)[:limit].iterator(chunk_size=1000)


def _link(previous: str, entry: dict) -> str:
    at = entry["at"].astimezone(UTC).isoformat(timespec="microseconds")
    entity = entry["entity_id"] and str(entry["entity_id"])
    canonical = json.dumps(
        [{"at": at, "entity_id": entity}.get(name, entry[name]) for name in FIELDS], separators=(",", ":")
    )
    return hashlib.sha256(f"{previous}{canonical}".encode()).hexdigest()
