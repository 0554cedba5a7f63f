"""What an auditor asks about duties: who holds roles together that conflict, and who allowed it until when."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from uuid import UUID

from django.db import connection

from billing.access.models import User
from billing.entities.queries import grants_for
from billing.entities.segregation_of_duties import conflicting_grants


@dataclass(frozen=True, kw_only=True)
class RoleConflict:
    """Two confirmed, conflicting grants of a person, from `starts_on` until before `ends_on` (None: without an end).

    `allowed_by` and what follows are those of the exception; None for a conflict nobody allowed. A grant and its
    place are None where the reader does not reach. `id` is that of the pair.
    """

    person: str
    email: str
    role: str
    place: str | None
    other_role: str
    other_place: str | None
    starts_on: date
    ends_on: date | None
    exception: UUID | None
    allowed_by: str | None
    allowed_from: date | None
    allowed_until: date | None
    reason: str | None
    id: UUID
    person_id: UUID
    grant_id: UUID | None
    other_grant_id: UUID | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What the report is ordered by."""
        return self.person, str(self.person_id), str(self.id)

    @property
    def row(self) -> dict[str, str]:
        """Everything as text, by name."""
        return {name: "" if value is None else str(value) for name, value in asdict(self).items()}


def role_conflicts(
    *,
    as_of: date,
    within: User | None = None,
    beyond: Sequence[str] | None = None,
    descending: bool = False,
    limit: int | None = None,
) -> list[RoleConflict]:
    """Those that hold on `as_of` or later, by person. `within` a reader's reach: those with a grant he may see.

    At most `limit`, and only those beyond a `key` in the order.
    """
    order = "DESC" if descending else "ASC"
    further = f"{_KEY} {'<' if descending else '>'} (%(name)s, %(person)s::uuid, %(pair)s::uuid)"
    statement = f"""
        {_REPORT} WHERE {further if beyond else "true"}
        ORDER BY person.name {order}, person.id {order}, found.pair {order} LIMIT %(limit)s
    """
    name, person, pair = beyond or (None, None, None)
    terms = _terms(as_of, within) | {"name": name, "person": person, "pair": pair, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(statement, terms)
        names = [column.name for column in cursor.description]
        return [RoleConflict(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def count_conflicts(*, as_of: date, within: User | None = None) -> int:
    """How many `role_conflicts` has in all."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({_REPORT}) AS report", _terms(as_of, within))  # noqa: S608
        return cursor.fetchone()[0]


def _terms(as_of: date, within: User | None) -> dict[str, object]:
    return {"as_of": as_of, "seen": list(grants_for(within).values_list("pk", flat=True)) if within else None}


_KEY = "(person.name, person.id, found.pair)"
_SEEN = "(%(seen)s::uuid[] IS NULL OR {grant} = ANY (%(seen)s::uuid[]))"
_ONE, _OTHER = _SEEN.format(grant="id"), _SEEN.format(grant="other_id")
_REPORT = f"""
    SELECT person.name AS person, person.email, found.role,
           CASE WHEN found.one_seen THEN concat_ws(' / ', place.code, part.code) END AS place, found.other_role,
           CASE WHEN found.other_seen THEN concat_ws(' / ', other_place.code, other_part.code) END AS other_place,
           lower(found.days) AS starts_on, upper(found.days) AS ends_on, x.id AS exception,
           approver.name AS allowed_by, x.starts_on AS allowed_from, x.ends_on AS allowed_until, x.reason,
           found.pair AS id, person.id AS person_id, CASE WHEN found.one_seen THEN found.id END AS grant_id,
           CASE WHEN found.other_seen THEN found.other_id END AS other_grant_id
    FROM (
        SELECT *, md5(id::text || other_id::text)::uuid AS pair, {_ONE} AS one_seen, {_OTHER} AS other_seen
        FROM ({conflicting_grants(as_of="%(as_of)s::date")}) AS pairs
        WHERE is_confirmed AND ({_ONE} OR {_OTHER})
    ) AS found
    JOIN users person ON person.id = found.person_id
    JOIN billing_entities place ON place.id = found.entity_id
    JOIN billing_entities other_place ON other_place.id = found.other_entity_id
    LEFT JOIN departments part ON part.id = found.department_id
    LEFT JOIN departments other_part ON other_part.id = found.other_department_id
    LEFT JOIN role_exceptions x ON x.id = found.exception_id
    LEFT JOIN users approver ON approver.id = x.approved_by_id
"""  # noqa: S608
