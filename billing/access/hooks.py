"""What access asks of the apps above."""

from collections.abc import Callable

from django.db.models import QuerySet

from billing.access.models import User
from billing.kernel.hooks import Hook

accounts_in_reach: Hook[Callable[[QuerySet[User], User, str], QuerySet[User]]] = Hook(
    "access.accounts_in_reach",
    """`(accounts, user, permission)`: those of `accounts` to which `user` may do what `permission` names. Roles are
    granted over entities, which are above access. As long as nobody answers, nobody is in reach.""",
)
