"""Moves and duties: the hierarchy stays as it is while roles are compared, and no move brings conflicting ones together."""

from datetime import date

from django.db import connection

from billing.access.roles import Role
from billing.entities.duties import STILL, held_together, holding_below
from billing.entities.errors import RolesConflict
from billing.entities.models import BillingEntity
from billing.entities.paths import path_of_child, tree_lock

NAMED_MAX = 20


def hold_still() -> None:
    """Until the transaction ends, no entity moves; others may hold it still as well."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {STILL}")


def require_duties_apart(entity: BillingEntity, parent: BillingEntity, *, on: date) -> None:
    """With the entity below `parent`, nobody would hold conflicting roles together on `on` or later, but by an
    exception; whoever grants meanwhile waits. The two are locked. Raises RolesConflict."""
    terms = {"old": entity.path, "new": path_of_child(parent.path, entity.pk), "on": on, "most": NAMED_MAX}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {tree_lock('entities')}")
        cursor.execute(_BROUGHT_TOGETHER, terms)
        found = cursor.fetchall()
    if found:
        _, name, *roles = found[0]
        one, other = (Role(role).label for role in roles)
        others = "" if len(found) == 1 else " They are not the only ones."
        raise RolesConflict(
            f"{name} would hold the roles {one} and {other} together.{others}",
            conflicts=[
                {"person": str(person), "name": name, "roles": roles} for person, name, *roles in found
            ],
        )


_MOVED = """CASE WHEN starts_with({entity}.path, %(old)s)
                 THEN %(new)s || substr({entity}.path, length(%(old)s) + 1) ELSE {entity}.path END"""
_PAIRS = held_together(
    of=holding_below("%(old)s"),
    when="(starts_with(one.path, %(new)s) OR starts_with(other.path, %(new)s))",
    as_of="%(on)s::date",
    path=_MOVED,
)
_BROUGHT_TOGETHER = f"""
    SELECT DISTINCT person.id, person.name, least(role, other_role), greatest(role, other_role)
    FROM ({_PAIRS}) AS pairs JOIN users person ON person.id = pairs.person_id
    WHERE exception_id IS NULL ORDER BY 2, 1, 3, 4 LIMIT %(most)s
"""  # noqa: S608
