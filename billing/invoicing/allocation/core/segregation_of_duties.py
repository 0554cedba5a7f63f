"""Who says under which GL codes a month is posted does not close it, as SQL: for the guard, the trigger and the checker.

That is whoever added or ended a mapping since the month began, if it starts before the month ends and is for an entity
below or above the one whose books they are.
"""


def mapped_by(actor: str, period: str) -> str:
    """The audit lines `l` that say so: `actor` is SQL, `period` the name of a row of the months."""
    return f"""
        SELECT FROM audit_entries l
        JOIN gl_code_mappings m ON m.id = l.subject_id::uuid
        JOIN billing_entities place ON place.id = m.entity_id
        JOIN billing_entities books ON books.id = {period}.entity_id
        WHERE l.subject_type = 'gl_code_mappings' AND l.kind = 'verb' AND l.actor = {actor}
          AND l.at >= {period}.starts_on::timestamp AT TIME ZONE 'UTC' AND m.starts_on < {period}.ends_on
          AND (starts_with(place.path, books.path) OR starts_with(books.path, place.path))
    """


# Before the line that says the month was closed.
CLOSED_BY_A_MAPPER = f"""
    SELECT p.id, p.closed_by FROM accounting_periods p WHERE p.state = 'closed' AND EXISTS (
        {mapped_by("p.closed_by", "p")} AND l.id < (
            SELECT max(c.id) FROM audit_entries c
            WHERE c.subject_type = 'accounting_periods' AND c.subject_id = p.id::text
              AND c.kind = 'verb' AND c.action = 'period.closed'))
"""  # noqa: S608
