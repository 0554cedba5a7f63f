"""What the role of the web and worker processes may do in the database; the owner of the tables only migrates.

Derived from the models: what their triggers forbid to everybody, this role is not even granted. An owner can
switch triggers off, a role without the privilege cannot do anything about that.
"""

from collections.abc import Iterator

import pgtrigger
from django.apps import apps
from django.db import connection
from psycopg import sql

from billing.ledger.models import JournalLine

SCHEMA = "public"
ALL = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
# What a trigger by this name leaves of the right to read, add, change and delete rows.
LEFT_BY = {
    "append_only": {"SELECT", "INSERT"},
    "only_by_trigger": {"SELECT"},
    "never_deleted": {"SELECT", "INSERT", "UPDATE"},
}
FILLED_LATER = {"audit_entries": ("seal",)}  # the columns of append-only tables that are written afterwards
WRITTEN_BY_MIGRATIONS = {"django_migrations", "django_content_type", "auth_permission"}
# The triggers that write where their caller may not. A grant on the balances instead would leave them to
# `pg_trigger_depth()`, which a trigger on any other table satisfies too.
AS_OWNER = ((JournalLine, "moves_balances"),)
# Run as the owner, and not by everybody. What it makes is reached through its parent: to be read, else nothing.
FOR_THE_APP = ("public.ensure_usage_partitions(date, date)",)


def privileges() -> dict[str, set[str]]:
    """Table -> what the role may do with all of its columns."""
    left = {
        model._meta.db_table: {"SELECT", "INSERT", "UPDATE", "DELETE"}
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    }
    for model, trigger in pgtrigger.registered():
        left[model._meta.db_table] &= LEFT_BY.get(trigger.name, set(ALL))
    return left | {table: {"SELECT"} for table in WRITTEN_BY_MIGRATIONS}


def statements(role: str) -> list[sql.Composed]:
    """The same state whatever was granted before. To be run in one transaction by the owner of the tables."""
    names = {
        "role": sql.Identifier(role),
        "schema": sql.Identifier(SCHEMA),
        "database": sql.Identifier(connection.settings_dict["NAME"]),
    }

    def grant(granted: set[str], table: str) -> sql.Composed:
        words = sql.SQL(", ").join(sql.SQL(word) for word in ALL if word in granted)
        return sql.SQL("GRANT {} ON {} TO {role}").format(words, sql.Identifier(SCHEMA, table), **names)

    return [
        *(sql.SQL(text).format(**names) for text in _GROUND),
        *(grant(granted, table) for table, granted in sorted(privileges().items())),
        *(
            sql.SQL("GRANT UPDATE ({}) ON {} TO {role}").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(SCHEMA, table), **names
            )
            for table, columns in FILLED_LATER.items()
        ),
        *(
            sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {role}").format(sql.SQL(function), **names)
            for function in FOR_THE_APP
        ),
        *(
            sql.SQL(_RUN_AS_OWNER).format(function=sql.Identifier(SCHEMA, _function(model, name)), **names)
            for model, name in AS_OWNER
        ),
    ]


_GROUND = (
    # Whoever makes temporary tables can put them before the real ones in the eyes of a trigger.
    "REVOKE TEMPORARY, CREATE ON DATABASE {database} FROM PUBLIC, {role}",
    "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}",
    "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM PUBLIC, {role}",
    "REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM PUBLIC, {role}",
    "GRANT CONNECT ON DATABASE {database} TO {role}",
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    # Until the next run of this: a table that is new can be read.
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {role}",
    # As installed it lets every session switch every trigger off by SET pgtrigger.ignore.
    "CREATE OR REPLACE FUNCTION {schema}._pgtrigger_should_ignore(trigger_name name) RETURNS boolean"
    " LANGUAGE sql IMMUTABLE AS 'SELECT false'",
)
_RUN_AS_OWNER = "ALTER FUNCTION {function}() SECURITY DEFINER SET search_path = {schema}, pg_temp"


def _function(model, name: str) -> str:
    return next(t.get_pgid(model) for m, t in pgtrigger.registered() if m is model and t.name == name)


def why_unfit(role: str) -> str:
    """Why this role cannot be restricted, or nothing."""
    with connection.cursor() as cursor:
        cursor.execute(_ROLE, [role])
        found = cursor.fetchone()
    if found is None:
        return f"There is no role '{role}'. Make it first: CREATE ROLE {role} LOGIN PASSWORD '…'"
    reasons = ("is a superuser", "may make roles", "may make databases", "may replicate", "owns tables here")
    wrong = [reason for reason, holds in zip(reasons, found, strict=True) if holds]
    return f"'{role}' {', '.join(wrong)}: no grant restricts it." if wrong else ""


_ROLE = f"""
    SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, EXISTS (
        SELECT FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace AND pg_has_role(r.oid, relowner, 'MEMBER')
    ) FROM pg_roles r WHERE rolname = %s
"""  # noqa: S608


def differences(role: str) -> Iterator[str]:
    """What PostgreSQL says the role may do, where it is not what it should: also by membership or PUBLIC."""
    expected = privileges()
    with connection.cursor() as cursor:
        cursor.execute(_HELD, [list(ALL), role])
        for table, privilege, held in cursor.fetchall():
            wanted = privilege in expected.get(table, {"SELECT"})
            if held and not wanted:
                yield f"{role} still has {privilege} on {table}"
            elif wanted and not held:
                yield f"{role} lacks {privilege} on {table}"
        cursor.execute(_HELD_AT_LARGE, {"role": role})
        for thing, held in cursor.fetchall():
            if held:
                yield f"{role} still may create {thing}"


_HELD = f"""
    SELECT c.relname, wanted.privilege, has_table_privilege(r.oid, c.oid, wanted.privilege)
    FROM pg_class c, unnest(%s::text[]) AS wanted (privilege), pg_roles r
    WHERE c.relnamespace = '{SCHEMA}'::regnamespace AND c.relkind IN ('r', 'p') AND r.rolname = %s
    ORDER BY 1, 2
"""  # noqa: S608
_HELD_AT_LARGE = f"""
    SELECT 'temporary tables', has_database_privilege(%(role)s, current_database(), 'TEMP')
    UNION ALL SELECT 'schemas', has_database_privilege(%(role)s, current_database(), 'CREATE')
    UNION ALL SELECT 'tables', has_schema_privilege(%(role)s, '{SCHEMA}', 'CREATE')
"""
