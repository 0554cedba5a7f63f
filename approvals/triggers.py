"""What holds of decisions for everyone, also for raw SQL. Whatever depends on a request locks it first: decisions
over one request come one after the other."""

import pgtrigger

from approvals.chain import FACTS
from approvals.deeds import Deed
from billing.kernel.advisory_locks import APPROVAL_LIMITS


def _refuse(constraint: str, what: str, *values: str) -> str:
    said = "".join(f", {value}" for value in values)
    return f"RAISE EXCEPTION '{what}'{said} USING ERRCODE = 'check_violation', CONSTRAINT = '{constraint}';"


def asked_by_the_involved() -> pgtrigger.Trigger:
    """A request begins pending; who asks is the person behind the account, and is barred like who gains."""
    return pgtrigger.Trigger(
        name="asked_by_the_involved",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func=f"""
            IF NEW.state <> 'pending' THEN
                {_refuse("approval_begins_pending", "a request begins pending")}
            END IF;
            IF NEW.requester_id IS DISTINCT FROM (SELECT coalesce(owner_id, id) FROM users WHERE id = NEW.requested_by_id)
               OR NOT NEW.requester_id = ANY (NEW.barred)
               OR (NEW.beneficiary_id IS NOT NULL AND NOT coalesce(
                     (SELECT coalesce(owner_id, id) FROM users WHERE id = NEW.beneficiary_id) = ANY (NEW.barred), false))
            THEN
                {_refuse("approval_bars_the_involved", "requester and beneficiary of a request are barred")}
            END IF;
            RETURN NEW;
        """,
    )


def decided_by_its_levels() -> pgtrigger.Trigger:
    """Approved: as many levels as the frozen rule has, each filled. Rejected: by a rejection on record."""
    return pgtrigger.Trigger(
        name="decided_by_its_levels",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf("state"),
        func=f"""
            IF NEW.state = 'approved' AND OLD.state <> 'approved' AND (
                   (SELECT count(*) FROM approval_levels WHERE request_id = NEW.id AND state = 'approved')
                       <> jsonb_array_length(NEW.snapshot -> 'levels')
                   OR EXISTS (SELECT FROM approval_levels WHERE request_id = NEW.id AND state <> 'approved'))
            THEN
                {_refuse("approved_by_every_level", "request % is not approved by its levels", "NEW.id")}
            END IF;
            IF NEW.state = 'rejected' AND OLD.state <> 'rejected' AND NOT EXISTS (
                SELECT FROM approval_actions WHERE request_id = NEW.id AND action = 'reject')
            THEN
                {_refuse("rejected_by_somebody", "nobody rejected request %", "NEW.id")}
            END IF;
            RETURN NEW;
        """,
    )


def effect_with_approval() -> pgtrigger.Trigger:
    """At COMMIT: what is approved is carried out, in the same transaction."""
    return pgtrigger.Trigger(
        name="effect_with_approval",
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf("state"),
        timing=pgtrigger.Deferred,
        func=f"""
            IF NEW.state = 'approved' AND NOT EXISTS (SELECT FROM approval_effects WHERE request_id = NEW.id) THEN
                {_refuse("approved_means_done", "request % was approved without its effect", "NEW.id")}
            END IF;
            RETURN NULL;
        """,
    )


def effect_of_an_approval() -> pgtrigger.Trigger:
    """Nothing is carried out that is not approved, or that differs from what was."""
    return pgtrigger.Trigger(
        name="effect_of_an_approval",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[("request", "approval_requests%ROWTYPE")],
        func=f"""
            SELECT * INTO request FROM approval_requests WHERE id = NEW.request_id FOR NO KEY UPDATE;
            IF request.state <> 'approved' OR request.digest <> NEW.digest THEN
                {_refuse("effect_of_what_was_approved", "request % is not approved with this content", "NEW.request_id")}
            END IF;
            RETURN NEW;
        """,
    )


def asks_the_uninvolved() -> pgtrigger.Trigger:
    """A level asks different people, none of them barred or a service account. An exchange keeps their number, and
    those who have voted; a level that is over asks nobody else."""
    return pgtrigger.Trigger(
        name="asks_the_uninvolved",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.UpdateOf("approvers"),
        declare=[("request", "approval_requests%ROWTYPE")],
        func=f"""
            SELECT * INTO request FROM approval_requests WHERE id = NEW.request_id FOR NO KEY UPDATE;
            IF NEW.approvers && request.barred
               OR (SELECT count(*) FROM users WHERE id = ANY (NEW.approvers) AND kind = 'person') <> cardinality(NEW.approvers)
            THEN
                {_refuse("level_asks_the_uninvolved", "level % asks whom it may not", "NEW.position")}
            END IF;
            IF TG_OP = 'INSERT' THEN
                IF request.state <> 'pending' OR NEW.state NOT IN ('waiting', 'pending')
                   OR (NEW.state = 'pending') <> (NEW.position = 1)
                THEN
                    {_refuse("level_comes_with_its_request", "level % does not begin so", "NEW.position")}
                END IF;
            ELSIF NEW.approvers <> OLD.approvers AND (
                OLD.state NOT IN ('waiting', 'pending') OR cardinality(NEW.approvers) <> cardinality(OLD.approvers)
                OR EXISTS (SELECT FROM approval_votes WHERE level_id = NEW.id AND NOT approver_id = ANY (NEW.approvers)))
            THEN
                {_refuse("level_keeps_its_votes", "the approvers of level % are not exchanged so", "NEW.position")}
            END IF;
            RETURN NEW;
        """,
    )


def filled_by_its_votes() -> pgtrigger.Trigger:
    """A level is approved by its votes, rejected by a rejection, and opened once those before it are approved."""
    return pgtrigger.Trigger(
        name="filled_by_its_votes",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf("state"),
        func=f"""
            IF NEW.state = OLD.state THEN RETURN NEW; END IF;
            PERFORM FROM approval_requests WHERE id = NEW.request_id FOR NO KEY UPDATE;
            IF NEW.state = 'approved'
               AND (SELECT count(*) FROM approval_votes WHERE level_id = NEW.id) < NEW.needed
            THEN
                {_refuse("level_filled_by_votes", "level % lacks votes", "NEW.position")}
            END IF;
            IF NEW.state = 'rejected' AND NOT EXISTS (
                SELECT FROM approval_actions
                WHERE request_id = NEW.request_id AND action = 'reject' AND level = NEW.position)
            THEN
                {_refuse("level_rejected_by_somebody", "nobody rejected level %", "NEW.position")}
            END IF;
            IF NEW.state = 'pending' AND EXISTS (
                SELECT FROM approval_levels
                WHERE request_id = NEW.request_id AND position < NEW.position AND state <> 'approved')
            THEN
                {_refuse("levels_in_order", "level % is not next", "NEW.position")}
            END IF;
            RETURN NEW;
        """,
    )


def decision_by_who_is_asked() -> pgtrigger.Trigger:
    """An action's person is the one behind its actor. A decision is a person's own, not of the barred, through nobody;
    on the pending level, by one it asks or his delegate of this day, over what was shown.

    A BEFORE trigger of a lower name than `chained`: PostgreSQL fires them in the order of their names.
    """
    return pgtrigger.Trigger(
        name="by_who_is_asked",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[
            ("request", "approval_requests%ROWTYPE"),
            ("asked", "approval_levels%ROWTYPE"),
            ("account", "users%ROWTYPE"),
        ],
        func=f"""
            SELECT * INTO request FROM approval_requests WHERE id = NEW.request_id FOR NO KEY UPDATE;
            SELECT * INTO account FROM users
              WHERE id = CASE WHEN NEW.actor ~ '^user:[0-9a-f-]{{36}}$' THEN substr(NEW.actor, 6)::uuid END;
            IF NEW.person_id IS DISTINCT FROM coalesce(account.owner_id, account.id) THEN
                {_refuse("action_of_its_person", "% does not answer for %", "NEW.person_id", "NEW.actor")}
            END IF;
            IF NEW.action NOT IN ('approve', 'reject') THEN RETURN NEW; END IF;
            IF request.state <> 'pending' THEN
                {_refuse("decision_while_pending", "request % is %", "request.id", "request.state")}
            END IF;
            IF account.kind IS DISTINCT FROM 'person' OR NOT account.is_active THEN
                {_refuse("decision_of_a_person", "% decides nothing", "NEW.actor")}
            END IF;
            IF NEW.person_id = ANY (request.barred) OR coalesce(NEW.on_behalf_of_id = ANY (request.barred), false) THEN
                {_refuse("decision_not_of_the_involved", "% is involved in request %", "NEW.person_id", "request.id")}
            END IF;
            IF NEW.content_digest <> request.digest THEN
                {_refuse("decision_over_what_was_shown", "request % is not what was shown", "request.id")}
            END IF;
            SELECT * INTO asked FROM approval_levels WHERE request_id = request.id AND state = 'pending';
            IF NEW.level IS DISTINCT FROM asked.position
               OR NOT coalesce(NEW.on_behalf_of_id, NEW.person_id) = ANY (asked.approvers)
            THEN
                {_refuse("decision_of_who_is_asked", "% is not asked by level %", "NEW.person_id", "NEW.level")}
            END IF;
            IF NEW.on_behalf_of_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM approval_delegations d
                WHERE d.delegator_id = NEW.on_behalf_of_id AND d.delegate_id = NEW.person_id AND d.revoked_at IS NULL
                  AND (now() AT TIME ZONE 'UTC')::date >= d.starts_on AND (now() AT TIME ZONE 'UTC')::date < d.ends_on
                  AND (cardinality(d.kinds) = 0 OR request.kind = ANY (d.kinds))
                  AND (d.request_id IS NULL OR d.request_id = request.id)
                  AND (d.amount IS NULL OR (d.currency = request.currency AND request.amount <= d.amount)))
            THEN
                {_refuse("decision_within_delegation", "% does not stand for %", "NEW.person_id", "NEW.on_behalf_of_id")}
            END IF;
            RETURN NEW;
        """,
    )


def waits_for_acts(
    operation: pgtrigger.Operation, *, condition: pgtrigger.Condition | None = None
) -> pgtrigger.Trigger:
    """What changes a limit waits for the acts under way that were held against it, and they for it: the rules and
    rates that the guard saw are those of the triggers at COMMIT."""
    return pgtrigger.Trigger(
        name="waits_for_acts",
        when=pgtrigger.Before,
        operation=operation,
        condition=condition,
        func=f"PERFORM {APPROVAL_LIMITS.sql()}; RETURN NEW;",
    )


def done_with_consent(
    name: str, deed: Deed, *, operation: pgtrigger.Operation, when: str = "true"
) -> pgtrigger.Trigger:
    """At COMMIT: a deed above a limit is the effect of an approval of its amount. `when` (SQL) a row is one."""
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.After,
        operation=operation,
        timing=pgtrigger.Deferred,
        func=f"""
            IF NOT ({when}) THEN RETURN NULL; END IF;
            IF EXISTS ({deed.unapproved()}) THEN
                {_refuse(name, f"{deed.kind} of % was not approved", "NEW.id")}
            END IF;
            RETURN NULL;
        """,
    )


def _hashed(text: str) -> str:
    return f"encode(sha256(convert_to({text}, 'UTF8')), 'hex')"


_COLUMNS = {
    "request": "NEW.request_id::text",
    "number": "NEW.number::text",
    "action": "NEW.action",
    "level": "coalesce(NEW.level::text, '')",
    "actor": "NEW.actor",
    "person": "coalesce(NEW.person_id::text, '')",
    "on_behalf_of": "coalesce(NEW.on_behalf_of_id::text, '')",
    "content_digest": "NEW.content_digest",
    "at": "NEW.at",
    "detail": _hashed("NEW.detail"),
    "comment": _hashed("NEW.comment"),
}


def chained() -> pgtrigger.Trigger:
    """Number, instant and digests of an action are given here, whoever inserts it: as `chain.link` computes them."""
    facts = " || chr(31) || ".join(("NEW.previous_digest", *(_COLUMNS[name] for name in FACTS)))
    return pgtrigger.Trigger(
        name="chained",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[("last", "approval_actions%ROWTYPE"), ("content", "text")],
        func=f"""
            SELECT digest INTO content FROM approval_requests WHERE id = NEW.request_id FOR NO KEY UPDATE;
            SELECT * INTO last FROM approval_actions WHERE request_id = NEW.request_id ORDER BY number DESC LIMIT 1;
            NEW.number := coalesce(last.number, 0) + 1;
            NEW.at := to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
            NEW.previous_digest := coalesce(last.digest, {_hashed("NEW.request_id::text || chr(31) || content")});
            NEW.digest := {_hashed(facts)};
            RETURN NEW;
        """,
    )


def vote_of_a_decision() -> pgtrigger.Trigger:
    """A vote is that of a consent to this request, on the level that is pending, of one it asks. On a level after the
    one that was decided it is there only if it was on the level before."""
    return pgtrigger.Trigger(
        name="vote_of_a_decision",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        declare=[
            ("asked", "approval_levels%ROWTYPE"),
            ("said", "approval_actions%ROWTYPE"),
        ],
        func=f"""
            PERFORM FROM approval_requests r JOIN approval_levels l ON l.request_id = r.id
              WHERE l.id = NEW.level_id FOR NO KEY UPDATE OF r;
            SELECT * INTO asked FROM approval_levels WHERE id = NEW.level_id;
            SELECT * INTO said FROM approval_actions WHERE id = NEW.action_id;
            IF asked.state <> 'pending' OR NOT NEW.approver_id = ANY (asked.approvers) THEN
                {_refuse("vote_on_the_pending_level", "level % does not ask %", "asked.position", "NEW.approver_id")}
            END IF;
            IF said.action <> 'approve' OR said.request_id <> asked.request_id OR said.person_id <> NEW.person_id
               OR coalesce(said.on_behalf_of_id, said.person_id) <> NEW.approver_id
               OR said.level > asked.position
               OR (said.level < asked.position AND NOT EXISTS (
                     SELECT FROM approval_votes v JOIN approval_levels l ON l.id = v.level_id
                     WHERE v.action_id = said.id AND l.request_id = asked.request_id AND l.position = asked.position - 1))
            THEN
                {_refuse("vote_of_a_consent", "no consent is behind the vote of %", "NEW.approver_id")}
            END IF;
            RETURN NEW;
        """,
    )
