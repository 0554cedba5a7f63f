"""Segregation of duties when an entity moves: the move may not give anyone two conflicting roles over one place."""

from datetime import date

from django.db import connection

from billing.access.roles import Role
from billing.entities.errors import RolesConflict
from billing.entities.models import BillingEntity
from billing.entities.paths import path_of_child
from billing.entities.segregation_of_duties import (
    conflicting_grants,
    person_holds_role_below,
)
from billing.kernel.advisory_locks import TREE_OF

NAMED_MAX = 20


def require_no_role_conflict(entity: BillingEntity, parent: BillingEntity, *, on: date) -> None:
    """Refuse the move of `entity` below `parent` if anyone would then hold conflicting roles on `on` or later without
    an exception. Both entities are locked; takes the exclusive lock on the entity tree, so concurrent grants wait.
    Raises RolesConflict."""
    terms = {"old": entity.path, "new": path_of_child(parent.path, entity.pk), "on": on, "most": NAMED_MAX}
    TREE_OF["entities"].take()
    with connection.cursor() as cursor:
        cursor.execute(_CONFLICTS_BY_MOVE, terms)
        conflicts = cursor.fetchall()
    if conflicts:
        _, name, *roles = conflicts[0]
        one, other = (Role(role).label for role in roles)
        others = "" if len(conflicts) == 1 else " They are not the only ones."
        raise RolesConflict(
            f"{name} would hold the roles {one} and {other} together.{others}",
            conflicts=[
                {"person": str(person), "name": name, "roles": roles} for person, name, *roles in conflicts
            ],
        )


_MOVED = """CASE WHEN starts_with({entity}.path, %(old)s)
                 THEN %(new)s || substr({entity}.path, length(%(old)s) + 1) ELSE {entity}.path END"""
_PAIRS = conflicting_grants(
    of=person_holds_role_below("%(old)s"),
    when="(starts_with(one.path, %(new)s) OR starts_with(other.path, %(new)s))",
    as_of="%(on)s::date",
    path=_MOVED,
)
_CONFLICTS_BY_MOVE = f"""
    SELECT DISTINCT person.id, person.name, least(role, other_role), greatest(role, other_role)
    FROM ({_PAIRS}) AS pairs JOIN users person ON person.id = pairs.person_id
    WHERE exception_id IS NULL ORDER BY 2, 1, 3, 4 LIMIT %(most)s
"""  # noqa: S608
