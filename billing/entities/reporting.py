"""What an auditor asks about duties: who holds roles together that conflict, and who allowed it until when."""

from dataclasses import asdict, dataclass
from datetime import date

from django.db import connection

from billing.access.models import User
from billing.entities.duties import held_together
from billing.entities.queries import grants_for


@dataclass(frozen=True, kw_only=True)
class HeldTogether:
    """Two confirmed, conflicting grants of a person, from `starts_on` until before `ends_on` (None: without an end).

    `allowed_by` and what follows are those of the exception; empty for a conflict nobody allowed (one that a move of
    an entity has made, say).
    """

    person: str
    email: str
    role: str
    place: str
    other_role: str
    other_place: str
    starts_on: date
    ends_on: date | None
    exception: str
    allowed_by: str
    allowed_from: date | None
    allowed_until: date | None
    reason: str

    @property
    def row(self) -> dict[str, str]:
        """Everything as text, by name."""
        return {name: "" if value is None else str(value) for name, value in asdict(self).items()}


def conflicts_held(*, as_of: date, within: User | None = None) -> list[HeldTogether]:
    """Those that hold on `as_of` or later, by person. `within` a reader's reach: those with a grant he may see."""
    seen = list(grants_for(within).values_list("pk", flat=True)) if within else None
    with connection.cursor() as cursor:
        cursor.execute(_REPORT, {"as_of": as_of, "seen": seen})
        names = [column.name for column in cursor.description]
        return [HeldTogether(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


_REPORT = f"""
    SELECT person.name AS person, person.email, found.role, concat_ws(' / ', place.code, part.code) AS place,
           found.other_role, concat_ws(' / ', other_place.code, other_part.code) AS other_place,
           lower(found.days) AS starts_on, upper(found.days) AS ends_on, coalesce(x.id::text, '') AS exception,
           coalesce(approver.name, '') AS allowed_by, x.starts_on AS allowed_from, x.ends_on AS allowed_until,
           coalesce(x.reason, '') AS reason
    FROM ({held_together(as_of="%(as_of)s::date")}) AS found
    JOIN users person ON person.id = found.person_id
    JOIN billing_entities place ON place.id = found.entity_id
    JOIN billing_entities other_place ON other_place.id = found.other_entity_id
    LEFT JOIN departments part ON part.id = found.department_id
    LEFT JOIN departments other_part ON other_part.id = found.other_department_id
    LEFT JOIN role_exceptions x ON x.id = found.exception_id
    LEFT JOIN users approver ON approver.id = x.approved_by_id
    WHERE found.is_confirmed
      AND (%(seen)s::uuid[] IS NULL OR found.id = ANY (%(seen)s::uuid[]) OR found.other_id = ANY (%(seen)s::uuid[]))
    ORDER BY person.name, person.id, found.id, found.other_id
"""  # noqa: S608
