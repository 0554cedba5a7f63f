from uuid import UUID

from django.db.models import QuerySet

from billing.access.hooks import accounts_in_reach
from billing.access.models import ApiKey, User


def acting_user(actor: str) -> User | None:
    """The user behind `actor` ("user:<uuid>"); None for commands and tasks."""
    kind, _, name = actor.partition(":")
    return User.objects.get(pk=UUID(name)) if kind == "user" else None


def accounts_for(user: User, permission: str = "access.view_user") -> QuerySet[User]:
    """The accounts to which `user` may do what `permission` names; none as long as no app answers the hook."""
    accounts = User.objects.all() if accounts_in_reach else User.objects.none()
    for in_reach in accounts_in_reach:
        accounts = in_reach(accounts, user, permission)
    return accounts


def keys_for(user: User, permission: str = "access.view_apikey") -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(user__in=accounts_for(user, permission).values("pk"))
