"""Many rows changed by one statement whose text does not grow with their number."""

from collections.abc import Sequence

from django.db import connection, models


def update_rows(objects: Sequence[models.Model], fields: Sequence[str]) -> None:
    """Store `fields` of every object, as `bulk_update` does, at a small part of its cost.

    Django's own writes a CASE of n branches for each column; this sends one array per column.
    """
    if not objects:
        return
    meta = type(objects[0])._meta
    columns = [meta.pk, *(meta.get_field(name) for name in fields)]
    names = [connection.ops.quote_name(field.column) for field in columns]
    arrays = [
        [field.get_db_prep_save(getattr(row, field.attname), connection) for row in objects]
        for field in columns
    ]
    key, table = names[0], connection.ops.quote_name(meta.db_table)
    settings = ", ".join(f"{name} = new.{name}" for name in names[1:])
    places = ", ".join(f"%s::{field.db_type(connection)}[]" for field in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} AS old SET {settings} FROM unnest({places}) AS new ({', '.join(names)}) "  # noqa: S608
            f"WHERE old.{key} = new.{key}",
            arrays,
        )
