"""Has this entity issued or received a document yet? Billing asks here; the apps that own documents answer.

After its first document an entity keeps its currency for ever.
"""

from collections.abc import Callable
from uuid import UUID

HasDocuments = Callable[[UUID], bool]
PREDICATES: list[HasDocuments] = []


def register(predicate: HasDocuments) -> HasDocuments:
    """Called once by each app with documents: `predicate(entity_id)` is asked under the entity's lock."""
    PREDICATES.append(predicate)
    return predicate


def has_documents(entity_id: UUID) -> bool:
    return any(predicate(entity_id) for predicate in PREDICATES)
