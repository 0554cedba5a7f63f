from collections.abc import Mapping
from typing import TypeVar

from billing.documents.core.rendering import kept_fields
from billing.documents.models import KeptDocument
from billing.kernel import audit

Kept = TypeVar("Kept", bound=KeptDocument)


def keep_document(
    model: type[Kept],
    *,
    of: Mapping[str, object],
    template: str,
    content: Mapping,
    actor: str,
    action: str,
    subject: object = None,
    by_content: bool = False,
) -> Kept:
    """Set `content` and keep it as the document `of` something, in the caller's transaction.

    Nothing is locked while it is set: of two at the same time one is kept, and both get that one. `by_content`:
    another content is another document. `subject` is whose audit trail tells of it, else the document's own.
    """
    made = model(**of, **kept_fields(template, content))
    model.objects.bulk_create([made], ignore_conflicts=True)
    same = {"sha256": made.sha256} if by_content else {}
    kept = model.objects.get(**of, **same)
    if kept.pk == made.pk:
        audit.record(actor=actor, action=action, subject=subject or kept, detail=facts_of(kept))
    return kept


def facts_of(document: KeptDocument) -> dict:
    """What the audit trail says of it."""
    return {"sha256": document.sha256, "size": document.size, "language": document.language}
