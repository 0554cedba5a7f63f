"""Materialised paths, kept by the database: no circle, no tree deeper than 16, whoever writes."""

from uuid import UUID

import pgtrigger

from billing.kernel.advisory_locks import TREE_OF

DEPTH_MAX = 16
SEGMENT = 33  # the hex digits of an id, and a slash


def depth_of(path: str) -> int:
    """1 for a root."""
    return len(path) // SEGMENT


def path_above(path: str) -> str:
    """The path of the parent; "/" for a root."""
    return path[:-SEGMENT]


def path_of_child(above: str, key: UUID) -> str:
    """As `keeps_path` makes it."""
    return f"{above}{key.hex}/"


def keeps_path(table_key: str) -> pgtrigger.Trigger:
    """BEFORE INSERT OR UPDATE OF parent: compute `path`, refuse circles and depth, carry descendants along.

    Two opposite moves (A under B, B under A) must not pass each other: every change of a parent waits for
    the one before it, under a transaction-level advisory lock per table.
    """
    return pgtrigger.Trigger(
        name="keeps_path",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update,
        declare=[("above", "text"), ("own", "text")],
        func=f"""
            IF TG_OP = 'UPDATE' AND NEW.parent_id IS NOT DISTINCT FROM OLD.parent_id THEN
                IF NEW.path <> OLD.path AND pg_trigger_depth() = 1 THEN
                    RAISE EXCEPTION 'the path is kept by the database' USING ERRCODE = 'restrict_violation';
                END IF;
                IF length(NEW.path) > 1 + 33 * {DEPTH_MAX} THEN
                    RAISE EXCEPTION 'the hierarchy of % is deeper than {DEPTH_MAX}', TG_TABLE_NAME
                        USING ERRCODE = 'check_violation', CONSTRAINT = '{table_key}_depth';
                END IF;
                RETURN NEW;  -- carried along by the move of an ancestor, or not moved at all
            END IF;
            own := replace(NEW.id::text, '-', '') || '/';
            IF NEW.parent_id IS NULL THEN
                NEW.path := '/' || own;
            ELSE
                PERFORM {TREE_OF[table_key].sql()};
                EXECUTE format('SELECT path FROM %I WHERE id = $1', TG_TABLE_NAME) INTO above USING NEW.parent_id;
                IF above IS NULL THEN
                    RETURN NEW;  -- an unknown parent: the foreign key says so
                END IF;
                IF position('/' || own IN above) > 0 THEN
                    RAISE EXCEPTION 'a circle in the hierarchy of %', TG_TABLE_NAME
                        USING ERRCODE = 'check_violation', CONSTRAINT = '{table_key}_no_circle';
                END IF;
                NEW.path := above || own;
            END IF;
            IF length(NEW.path) > 1 + 33 * {DEPTH_MAX} THEN
                RAISE EXCEPTION 'the hierarchy of % is deeper than {DEPTH_MAX}', TG_TABLE_NAME
                    USING ERRCODE = 'check_violation', CONSTRAINT = '{table_key}_depth';
            END IF;
            IF TG_OP = 'UPDATE' THEN
                EXECUTE format(
                    'UPDATE %I SET path = $1 || substr(path, $2) WHERE path LIKE $3 AND id <> $4', TG_TABLE_NAME
                ) USING NEW.path, length(OLD.path) + 1, OLD.path || '%', NEW.id;
            END IF;
            RETURN NEW;
        """,
    )
