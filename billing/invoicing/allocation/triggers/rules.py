"""Rules of allocation that hold for everyone, also for raw SQL."""

import pgtrigger

# Versions (v) whose targets do not say where everything goes; also an invariant (checker).
UNSOUND = """
    SELECT v.id FROM allocation_rule_versions v
    LEFT JOIN allocation_targets t ON t.rule_version_id = v.id
    WHERE {which}
    GROUP BY v.id, v.currency
    HAVING count(t.id) = 0
        OR coalesce(sum(t.percent), 0) > 100
        OR count(*) FILTER (WHERE t.kind = 'remainder') > 1
        OR (count(*) FILTER (WHERE t.kind = 'remainder') = 0
            AND (coalesce(sum(t.percent), 0) < 100 OR bool_or(t.kind = 'fixed')))
        OR bool_or(t.kind = 'fixed' AND t.currency <> v.currency)
"""


def targets_sum_up(table: str, *, version: str) -> pgtrigger.Trigger:
    """At COMMIT: percentages come to at most 100, and what they leave has one target that takes it."""
    return pgtrigger.Trigger(
        name="targets_sum_up",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        timing=pgtrigger.Deferred,
        declare=[("changed", "uuid")],
        func=f"""
            changed := CASE TG_OP WHEN 'DELETE' THEN OLD.{version} ELSE NEW.{version} END;
            IF EXISTS ({UNSOUND.format(which="v.id = changed")}) THEN
                RAISE EXCEPTION '%: the targets of version % do not say where everything goes', TG_TABLE_NAME, changed
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'allocation_targets_sum_up';
            END IF;
            RETURN NULL;
        """,
    )


def targets_of_drafts_only() -> pgtrigger.Trigger:
    """Targets come, change and go only while their version is a draft."""
    return pgtrigger.Trigger(
        name="targets_of_drafts_only",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        declare=[("version_state", "text")],
        func="""
            SELECT state INTO version_state FROM allocation_rule_versions
             WHERE id = CASE TG_OP WHEN 'DELETE' THEN OLD.rule_version_id ELSE NEW.rule_version_id END FOR NO KEY UPDATE;
            IF version_state <> 'draft' OR (TG_OP = 'UPDATE' AND OLD.rule_version_id <> NEW.rule_version_id) THEN
                RAISE EXCEPTION 'targets of an activated rule are final' USING ERRCODE = 'restrict_violation';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )


def ends_noted() -> pgtrigger.Trigger:
    """When the end of an activated version was set, which only comes nearer: what was allocated by it before that stays right."""
    return pgtrigger.Trigger(
        name="ends_noted",
        when=pgtrigger.Before,
        operation=pgtrigger.Update,
        func="""
            IF OLD.state <> 'draft' AND (NEW.ends_on IS DISTINCT FROM OLD.ends_on OR NEW.state <> OLD.state) THEN
                IF NEW.ends_on > OLD.ends_on OR (NEW.ends_on IS NULL AND OLD.ends_on IS NOT NULL) THEN
                    RAISE EXCEPTION 'an activated rule only ends earlier' USING ERRCODE = 'restrict_violation';
                END IF;
                NEW.end_noted_at := clock_timestamp();
            END IF;
            RETURN NEW;
        """,
    )
