"""Entries of the services in the audit trail: one per operation, in its transaction."""

import json
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models

from billing.kernel.context import current
from billing.kernel.models import AuditEntry, AuditKind


def plain(value: object) -> object:
    """`value` as JSON would give it back: decimals, dates and ids as strings."""
    return json.loads(json.dumps(value, cls=DjangoJSONEncoder))


def record(
    *,
    actor: str,
    action: str,
    subject: models.Model,
    entity_id: UUID | None = None,
    reason: str = "",
    detail: dict | None = None,
) -> None:
    """Say who did what to `subject`, and why. What changed in which row, a trigger says by itself.

    `entity_id` says whose business it is; by default the subject's own `entity_id`.
    """
    record_all(
        [line(actor=actor, action=action, subject=subject, entity_id=entity_id, reason=reason, detail=detail)]
    )


def line(
    *,
    actor: str,
    action: str,
    subject: models.Model,
    entity_id: UUID | None = None,
    reason: str = "",
    detail: dict | None = None,
) -> AuditEntry:
    """An unsaved line, for `record_all`."""
    here = current()
    return AuditEntry(
        kind=AuditKind.VERB,
        action=action,
        subject_type=subject._meta.db_table,
        subject_id=str(subject.pk),
        entity_id=entity_id or getattr(subject, "entity_id", None),
        actor=actor,
        request_id=here.request_id,
        ip=here.ip,
        reason=reason,
        detail=plain(detail or {}),
    )


def record_all(lines: list[AuditEntry]) -> None:
    """Many acts, one statement."""
    assert connection.in_atomic_block, "an audit line belongs to the transaction of its act"
    AuditEntry.objects.bulk_create(lines)
