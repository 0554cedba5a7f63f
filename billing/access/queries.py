from uuid import UUID

from billing.access.models import User


def acting_user(actor: str) -> User | None:
    """The user behind `actor` ("user:<uuid>"); None for commands and tasks."""
    kind, _, name = actor.partition(":")
    return User.objects.get(pk=UUID(name)) if kind == "user" else None
