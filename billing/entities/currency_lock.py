"""Hook: the currency of an entity is fixed with its first document; apps that own documents answer whether it has any."""

from collections.abc import Callable
from uuid import UUID

HasDocuments = Callable[[UUID], bool]
DOCUMENT_PREDICATES: list[HasDocuments] = []


def has_documents(predicate: HasDocuments) -> HasDocuments:
    """Register `predicate(entity_id)`: does the entity own or receive documents of this app? Called under its lock."""
    DOCUMENT_PREDICATES.append(predicate)
    return predicate


def is_currency_locked(entity_id: UUID) -> bool:
    return any(predicate(entity_id) for predicate in DOCUMENT_PREDICATES)
