"""What entities asks of the apps above."""

from collections.abc import Callable
from uuid import UUID

from billing.kernel.hooks import Hook

has_documents: Hook[Callable[[UUID], bool]] = Hook(
    "entities.has_documents",
    """`(entity_id)`: has this entity made or received a document of the answering app? Its currency is fixed from the
    first one on. Called under the entity's lock.""",
)
