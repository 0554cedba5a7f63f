"""Every permission and the roles that have it. Default deny: a permission that no app declares is nobody's.

Each app declares its own in `permissions.py`; the names are Django's ("entities.create_entity").
"""

from collections.abc import Iterable
from dataclasses import dataclass

from billing.access.roles import AU, SY, Role


@dataclass(frozen=True)
class Permission:
    """`roles` have it. What `proposers` do is a draft that one of `roles` confirms. `own` have it only for the
    department of their grant. `scope` is the scope that an API key must carry."""

    name: str
    roles: frozenset[str]
    proposers: frozenset[str]
    own: frozenset[str]
    scope: str

    def allows(self, role: str, scopes: Iterable[str] | None = None) -> bool:
        """Does `role` have it? A service account needs the scope on its key; `scopes` is None for people."""
        if role == Role.SERVICE_ACCOUNT:
            return bool(self.scope) and scopes is not None and self.scope in scopes
        return scopes is None and role in self.roles | self.proposers | self.own


PERMISSIONS: dict[str, Permission] = {}


def declare(
    name: str, *roles: str, proposers: Iterable[str] = (), own: Iterable[str] = (), scope: str = ""
) -> Permission:
    """Declare who has a permission. Called once per permission, when the app that owns it is loaded."""
    assert name not in PERMISSIONS, f"{name} is declared twice"
    PERMISSIONS[name] = Permission(name, frozenset(roles), frozenset(proposers), frozenset(own), scope)
    return PERMISSIONS[name]


def scopes() -> list[str]:
    """Every scope an API key may carry."""
    return sorted({permission.scope for permission in PERMISSIONS.values() if permission.scope})


# This app's own.
declare("access.view_user", SY, AU)
declare("access.create_user", SY)
declare("access.deactivate_user", SY)
declare("access.view_apikey", SY, AU)
declare("access.create_key", SY)
declare("access.revoke_key", SY)
declare("access.rotate_key", SY)
