"""Every verb and who may say it. Default deny: a verb that no app declares is granted to nobody.

Each app declares its own verbs in `verbs.py`; the names are Django permissions ("entities.create_entity").
"""

from collections.abc import Iterable
from dataclasses import dataclass

from billing.access.roles import AU, SY, Role


@dataclass(frozen=True)
class Verb:
    """`roles` may do it. For `proposers` the result is a draft that one of `roles` confirms.
    For `own` the act reaches only the department of the grant. `scope` is what an API key must carry."""

    name: str
    roles: frozenset[str]
    proposers: frozenset[str]
    own: frozenset[str]
    scope: str

    def allows(self, role: str, scopes: Iterable[str] | None = None) -> bool:
        """May `role` say it? A service account needs the scope on its key; `scopes` is None for people."""
        if role == Role.SERVICE_ACCOUNT:
            return bool(self.scope) and scopes is not None and self.scope in scopes
        return scopes is None and role in self.roles | self.proposers | self.own


VERBS: dict[str, Verb] = {}


def declare(
    name: str, *roles: str, proposers: Iterable[str] = (), own: Iterable[str] = (), scope: str = ""
) -> Verb:
    """Say who may say a verb. Called once per verb, when the app that owns it is loaded."""
    assert name not in VERBS, f"{name} is declared twice"
    VERBS[name] = Verb(name, frozenset(roles), frozenset(proposers), frozenset(own), scope)
    return VERBS[name]


def scopes() -> list[str]:
    """Every scope an API key may carry."""
    return sorted({verb.scope for verb in VERBS.values() if verb.scope})


# This app's own.
declare("access.view_user", SY, AU)
declare("access.create_user", SY)
declare("access.deactivate_user", SY)
declare("access.view_apikey", SY, AU)
declare("access.create_key", SY)
declare("access.revoke_key", SY)
declare("access.rotate_key", SY)
