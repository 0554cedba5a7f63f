"""Many rows written by one statement whose text does not grow with their number."""

import json
from collections.abc import Sequence

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.models.expressions import DatabaseDefault

_JSON_ARRAY = (
    "ARRAY(SELECT nullif(value, 'null') FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS each (value, n)"
    " ORDER BY n)"
)


def insert_rows(objects: Sequence[models.Model]) -> None:
    """Store new objects of one model, as `bulk_create` does, at a small part of its cost.

    Django's own writes a placeholder for each value; this sends one array per column. What the database fills in
    (defaults, generated columns) is left to it, and not read back into the objects.
    """
    if not objects:
        return
    meta = type(objects[0])._meta
    columns = [
        field
        for field in meta.concrete_fields
        if not field.generated and not _is_left_to_database(getattr(objects[0], field.attname), field)
    ]
    names = ", ".join(_name(field) for field in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {connection.ops.quote_name(meta.db_table)} ({names}) "  # noqa: S608
            f"SELECT * FROM unnest({_places(columns)})",
            _arrays(objects, columns),
        )


def update_rows(objects: Sequence[models.Model], fields: Sequence[str]) -> None:
    """Store `fields` of every object, as `bulk_update` does, at a small part of its cost.

    Django's own writes a CASE of n branches for each column; this sends one array per column.
    """
    if not objects:
        return
    meta = type(objects[0])._meta
    columns = [meta.pk, *(meta.get_field(name) for name in fields)]
    key, table = _name(meta.pk), connection.ops.quote_name(meta.db_table)
    names = [_name(field) for field in columns]
    settings = ", ".join(f"{name} = new.{name}" for name in names[1:])
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} AS old SET {settings} FROM unnest({_places(columns)}) AS new ({', '.join(names)}) "  # noqa: S608
            f"WHERE old.{key} = new.{key}",
            _arrays(objects, columns),
        )


def _is_left_to_database(value: object, field: models.Field) -> bool:
    return isinstance(value, DatabaseDefault) or (isinstance(field, models.AutoField) and value is None)


def _name(field: models.Field) -> str:
    return connection.ops.quote_name(field.column)


def _places(columns: Sequence[models.Field]) -> str:
    """Without lengths and precisions: a cast would cut to them silently, the column refuses."""
    return ", ".join(
        _JSON_ARRAY
        if isinstance(field, models.JSONField)
        else f"%s::{field.db_type(connection).split('(')[0]}[]"
        for field in columns
    )


def _arrays(objects: Sequence[models.Model], columns: Sequence[models.Field]) -> list[object]:
    here = connections[DEFAULT_DB_ALIAS]  # itself: the proxy would look it up for each value
    return [
        _as_one_document(objects, field)
        if isinstance(field, models.JSONField)
        else [field.get_db_prep_save(getattr(row, field.attname), here) for row in objects]
        for field in columns
    ]


def _as_one_document(objects: Sequence[models.Model], field: models.JSONField) -> str:
    """In the text of an array every quotation mark would have to be escaped, one after the other."""
    return json.dumps([getattr(row, field.attname) for row in objects], cls=field.encoder)
