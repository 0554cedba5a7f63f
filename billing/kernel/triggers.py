"""Rules that hold for everyone, also for raw SQL: declared on the model, installed by its migration."""

import pgtrigger

# One row of audit_entries per changed row. %(rows)s comes from the statement's transition tables,
# so a bulk write costs one insert and not one per row.
_AUDIT = """
    INSERT INTO audit_entries (at, kind, action, subject_type, subject_id, entity_id, actor, request_id, ip, reason, before, after, detail)
    SELECT clock_timestamp(), 'row', lower(TG_OP), TG_TABLE_NAME, changed.subject_id, changed.entity_id,
           coalesce(nullif(context.value->>'actor', ''), 'unknown:' || session_user),
           coalesce(context.value->>'request_id', ''), coalesce(context.value->>'ip', ''), '',
           changed.before, changed.after, '{}'::jsonb
    FROM ({rows}) AS changed,
         (SELECT coalesce(nullif(current_setting('app.context', true), ''), '{}')::jsonb AS value) AS context;
    RETURN NULL;
"""


def audited(*, entity: str = "entity_id", secret: tuple[str, ...] = ()) -> list[pgtrigger.Trigger]:
    """Write every inserted, changed and deleted row into the audit trail, in the same transaction.

    `entity` names the column that says whose row it is (`id` on entities themselves, "" for none).
    `secret` columns never reach the trail; that one of them changed does.
    """
    hidden = (
        "ARRAY[" + ", ".join(f"'{column}'" for column in (*secret, "version", "updated_at")) + "]::text[]"
    )

    def image(alias: str) -> str:
        return f"(to_jsonb({alias}) - {hidden})"

    def whose(alias: str) -> str:
        return f"{alias}.{entity}" if entity else "NULL::uuid"

    inserted = f"SELECT n.id::text AS subject_id, {whose('n')} AS entity_id, NULL::jsonb AS before, {image('n')} AS after FROM new_rows n ORDER BY n.id"
    deleted = f"SELECT o.id::text AS subject_id, {whose('o')} AS entity_id, {image('o')} AS before, NULL::jsonb AS after FROM old_rows o ORDER BY o.id"
    # Only the members that differ: the trail says what changed, not what stayed.
    updated = f"""SELECT n.id::text AS subject_id, {whose("n")} AS entity_id,
        (SELECT coalesce(jsonb_object_agg(was.key, was.value), '{{}}'::jsonb) FROM jsonb_each({image("o")}) was
          WHERE was.value IS DISTINCT FROM {image("n")} -> was.key) AS before,
        (SELECT coalesce(jsonb_object_agg(now.key, now.value), '{{}}'::jsonb) FROM jsonb_each({image("n")}) now
          WHERE now.value IS DISTINCT FROM {image("o")} -> now.key) AS after
        FROM new_rows n JOIN old_rows o ON o.id = n.id
        WHERE {image("n")} IS DISTINCT FROM {image("o")} ORDER BY n.id"""

    def trigger(name: str, operation: pgtrigger.Operation, rows: str, **tables: str) -> pgtrigger.Trigger:
        return pgtrigger.Trigger(
            name=name,
            level=pgtrigger.Statement,
            when=pgtrigger.After,
            operation=operation,
            referencing=pgtrigger.Referencing(**tables),
            func=_AUDIT.replace("{rows}", rows),
        )

    return [
        trigger("audit_insert", pgtrigger.Insert, inserted, new="new_rows"),
        trigger("audit_update", pgtrigger.Update, updated, old="old_rows", new="new_rows"),
        trigger("audit_delete", pgtrigger.Delete, deleted, old="old_rows"),
    ]


def touched() -> pgtrigger.Trigger:
    """Every UPDATE raises `version` (the ETag) and `updated_at`, whoever makes it."""
    return pgtrigger.Trigger(
        name="touched",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func="NEW.version := OLD.version + 1; NEW.updated_at := clock_timestamp(); RETURN NEW;",
    )


def append_only() -> list[pgtrigger.Trigger]:
    """Rows are never changed, deleted or truncated. Corrections are new rows."""
    refusal = "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';"
    return [
        pgtrigger.Trigger(
            name="append_only",
            when=pgtrigger.Before,
            operation=pgtrigger.Update | pgtrigger.Delete,
            func=refusal,
        ),
        never_truncated(),
    ]


def never_truncated() -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name="never_truncated",
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        func="RAISE EXCEPTION '% is never truncated', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';",
    )


def never_deleted() -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name="never_deleted",
        when=pgtrigger.Before,
        operation=pgtrigger.Delete,
        func="RAISE EXCEPTION '% rows are never deleted', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';",
    )


def moves_only(pairs: list[tuple[str, str]], *, column: str = "state") -> pgtrigger.Trigger:
    """The state table of the app, held by the database: an UPDATE may only make one of these moves."""
    allowed = ", ".join(f"('{old}', '{new}')" for old, new in pairs)
    return pgtrigger.Trigger(
        name=f"{column}_moves",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf(column),
        func=f"""
            IF NEW.{column} <> OLD.{column} AND (OLD.{column}, NEW.{column}) NOT IN ({allowed}) THEN
                RAISE EXCEPTION '%: no move from % to %', TG_TABLE_NAME, OLD.{column}, NEW.{column}
                    USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        """,
    )


def frozen(*, when: str, except_for: tuple[str, ...], name: str = "frozen") -> pgtrigger.Trigger:
    """While `when` (SQL over OLD) holds, only the `except_for` columns may change, and nothing is deleted."""
    moving = "ARRAY[" + ", ".join(f"'{c}'" for c in (*except_for, "version", "updated_at")) + "]::text[]"
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.Before,
        operation=pgtrigger.Update | pgtrigger.Delete,
        func=f"""
            IF ({when}) THEN
                IF TG_OP = 'DELETE' OR to_jsonb(NEW) - {moving} IS DISTINCT FROM to_jsonb(OLD) - {moving} THEN
                    RAISE EXCEPTION '% % is final', TG_TABLE_NAME, OLD.id USING ERRCODE = 'restrict_violation';
                END IF;
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )
