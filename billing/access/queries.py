from collections.abc import Callable
from uuid import UUID

from django.db.models import QuerySet

from billing.access.models import ApiKey, User

# Roles are granted over entities, and entities are above this app: they answer who is within whose reach.
Scope = Callable[[QuerySet[User], User, str], QuerySet[User]]
SCOPES: list[Scope] = []


def acting_user(actor: str) -> User | None:
    """The user behind `actor` ("user:<uuid>"); None for commands and tasks."""
    kind, _, name = actor.partition(":")
    return User.objects.get(pk=UUID(name)) if kind == "user" else None


def accounts_for(user: User, verb: str = "access.view_user") -> QuerySet[User]:
    """The accounts `user` may say `verb` to. Nobody's, as long as no app says whose they are."""
    accounts = User.objects.all() if SCOPES else User.objects.none()
    for scope in SCOPES:
        accounts = scope(accounts, user, verb)
    return accounts


def keys_for(user: User, verb: str = "access.view_apikey") -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(user__in=accounts_for(user, verb).values("pk"))
