"""Segregation of duties: conflicting role grants of one person, as SQL for triggers, moves, invariants and the report.

Two grants of a person (those of their service accounts included) conflict if their roles conflict, one entity is at or
below the other, the departments likewise if both name one, and both hold on a common day. An exception covers the pair
if it is the person's, names these two roles, is granted at or above the narrower entity and holds on all common days.
"""

import pgtrigger

from billing.access.roles import Role, in_conflict
from billing.kernel.advisory_locks import TREE_OF

_PAIRS = ", ".join(
    f"('{one}', '{other}')" for one in Role.values for other in Role.values if in_conflict(one, other)
)


SHARED_TREE_LOCK = TREE_OF["entities"].sql(shared=True)  # moving an entity takes the same lock exclusively


def conflicting_grants(
    *, of: str = "true", when: str = "true", as_of: str = "current_date", path: str = "{entity}.path"
) -> str:
    """SQL: pairs of conflicting grants that have not ended on `as_of`, each with the exception that covers it, if any.

    `of` is a condition over `holder` (the user of a grant), `when` over `one` and `other` (the grants). `path` is the
    expression for the path of `{entity}`; a planned move passes the path after the move.
    """
    return f"""
        WITH held AS (
            SELECT g.id, g.role, coalesce(holder.owner_id, holder.id) AS person_id, g.entity_id,
                   {path.format(entity="place")} AS path,
                   g.department_id, part.path AS department_path, g.confirmed_at,
                   daterange(greatest(g.starts_on, {as_of}), CASE WHEN g.ends_on IS NOT NULL OR g.ends_at IS NOT NULL THEN
                       greatest(g.starts_on, {as_of}, least(g.ends_on, (g.ends_at AT TIME ZONE 'UTC')::date + 1)) END) AS days
            FROM role_grants g
            JOIN users holder ON holder.id = g.user_id
            JOIN billing_entities place ON place.id = g.entity_id
            LEFT JOIN departments part ON part.id = g.department_id
            WHERE g.revoked_at IS NULL AND {of}
              AND (g.ends_on IS NULL OR g.ends_on > {as_of}) AND (g.ends_at IS NULL OR g.ends_at > now())
        )
        SELECT one.id, other.id AS other_id, one.person_id, one.role, other.role AS other_role,
               one.entity_id, other.entity_id AS other_entity_id, one.department_id,
               other.department_id AS other_department_id, one.days * other.days AS days, covering.id AS exception_id,
               one.confirmed_at IS NOT NULL AND other.confirmed_at IS NOT NULL AS is_confirmed
        FROM held one JOIN held other ON other.person_id = one.person_id AND other.id > one.id
        LEFT JOIN LATERAL (
            SELECT x.id FROM role_exceptions x JOIN billing_entities above ON above.id = x.entity_id
            WHERE x.person_id = one.person_id AND x.revoked_at IS NULL
              AND x.role = least(one.role, other.role) AND x.other_role = greatest(one.role, other.role)
              AND starts_with(CASE WHEN length(one.path) > length(other.path) THEN one.path ELSE other.path END, {path.format(entity="above")})
              AND one.days * other.days <@ daterange(x.starts_on, x.ends_on)
            ORDER BY x.id LIMIT 1
        ) AS covering ON true
        WHERE (one.role, other.role) IN ({_PAIRS}) AND {when}
          AND (starts_with(one.path, other.path) OR starts_with(other.path, one.path))
          AND (one.department_path IS NULL OR other.department_path IS NULL
               OR starts_with(one.department_path, other.department_path)
               OR starts_with(other.department_path, one.department_path))
          AND one.days && other.days
    """  # noqa: S608  SQL of this module's callers


_REFUSAL = """RAISE EXCEPTION 'person % holds conflicting roles', person
    USING ERRCODE = 'check_violation', CONSTRAINT = 'no_conflicting_roles';"""


def grants_without_conflict() -> pgtrigger.Trigger:
    """A new grant conflicts with none of the person's grants. Grants of one person are serialised by the user's row."""
    conflicts = conflicting_grants(
        of="(holder.id = person OR holder.owner_id = person)", when="NEW.id IN (one.id, other.id)"
    )
    return pgtrigger.Trigger(
        name="without_conflict",
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        declare=[("person", "uuid")],
        func=f"""
            SELECT coalesce(owner_id, id) INTO person FROM users WHERE id = NEW.user_id;
            PERFORM FROM users WHERE id = person FOR NO KEY UPDATE;
            PERFORM {SHARED_TREE_LOCK};
            IF EXISTS (SELECT FROM ({conflicts}) AS found WHERE exception_id IS NULL) THEN
                {_REFUSAL}
            END IF;
            RETURN NULL;
        """,  # noqa: S608
    )


def exception_outlives_its_use() -> pgtrigger.Trigger:
    """An exception is revoked only after the roles it allowed."""
    conflicts = conflicting_grants(of="(holder.id = person OR holder.owner_id = person)")
    return pgtrigger.Trigger(
        name="outlives_its_use",
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf("revoked_at"),
        declare=[("person", "uuid")],
        func=f"""
            person := NEW.person_id;
            PERFORM FROM users WHERE id = person FOR NO KEY UPDATE;
            PERFORM {SHARED_TREE_LOCK};
            IF NEW.revoked_at IS NOT NULL AND EXISTS (
                SELECT FROM ({conflicts}) AS found
                WHERE exception_id IS NULL AND least(role, other_role) = NEW.role AND greatest(role, other_role) = NEW.other_role)
            THEN
                {_REFUSAL}
            END IF;
            RETURN NULL;
        """,
    )


def person_holds_role_below(path: str) -> str:
    """SQL condition over `holder`: the person holds a role at an entity whose path begins with `path`."""
    return f"""coalesce(holder.owner_id, holder.id) IN (
        SELECT coalesce(account.owner_id, account.id) FROM role_grants held_there
        JOIN billing_entities below ON below.id = held_there.entity_id
        JOIN users account ON account.id = held_there.user_id
        WHERE held_there.revoked_at IS NULL AND starts_with(below.path, {path}))"""  # noqa: S608


def moves_without_conflict() -> pgtrigger.Trigger:
    """A move creates no conflict of roles and removes no exception that covers one.

    Concurrent grants and revocations of exceptions are serialised with it by the lock on the entity tree.
    """
    conflicts = conflicting_grants(
        of=person_holds_role_below("NEW.path"),
        when="(starts_with(one.path, NEW.path) OR starts_with(other.path, NEW.path))",
    )
    return pgtrigger.Trigger(
        name="moves_without_conflict",
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf("parent_id"),
        declare=[("person", "uuid")],
        func=f"""
            IF NEW.parent_id IS NOT DISTINCT FROM OLD.parent_id THEN
                RETURN NULL;
            END IF;
            PERFORM {TREE_OF["entities"].sql()};
            SELECT person_id INTO person FROM ({conflicts}) AS pairs WHERE exception_id IS NULL LIMIT 1;
            IF FOUND THEN
                {_REFUSAL}
            END IF;
            RETURN NULL;
        """,  # noqa: S608
    )
