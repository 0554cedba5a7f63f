"""Of every guarded kind: refused without approval, done once with it, also against raw SQL and past the guard."""

import pytest
from django.db import IntegrityError, connection, transaction

from approvals import kinds
from approvals.deeds import UNAPPROVED
from approvals.errors import InvolvedMayNotDecide
from approvals.models import ApprovalEffect
from approvals.reactions import file_request, require_approval_above_limits
from approvals.states import RequestState
from approvals.tests.acts import ACTS, AMOUNTS, CHANGING, REPEATED
from approvals.tests.makers import decide, make_approver
from billing.kernel import approval
from billing.kernel.approval import ApprovalRequired
from billing.kernel.invariant_checks import find_violations
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


@pytest.fixture(params=ACTS)
def act(request):
    return ACTS[request.param]()


def broken() -> set[str]:
    return {found.invariant for found in find_violations("approvals") if found.violations}


def test_every_kind_but_the_general_one_is_tested_here():
    assert set(ACTS) | {kinds.GENERAL} == set(kinds.EFFECTS)


def test_without_consent_nothing_happens(act):
    with pytest.raises(ApprovalRequired) as refusal:
        act.done_by(act.controller)
    assert not act.is_done()
    assert refusal.value.extra["kind"] == act.kind


def test_what_consent_is_asked_for_with_is_what_the_act_says_of_itself(act):
    with pytest.raises(ApprovalRequired) as refusal:
        act.done_by(act.controller)
    [said] = refusal.value.operations
    request = act.ask(act.controller)
    assert not act.is_done()
    assert (request.kind, request.subject_id, request.entity_id) == (
        act.kind,
        said.subject_id,
        said.entity_id,
    )
    assert (request.amount, request.currency, request.title) == (said.amount, said.currency, said.title)
    assert request.content["terms"] == said.terms


def test_the_last_consent_does_it_by_who_asked_and_once(act):
    request = act.ask(act.controller)
    assert decide(request, act.boss).state == RequestState.APPROVED
    assert act.is_done()
    assert ApprovalEffect.objects.get().request_id == request.pk
    assert_invariants_hold()


def test_who_asked_does_not_decide(act):
    request = act.ask(act.controller)
    with pytest.raises(InvolvedMayNotDecide):
        decide(request, act.controller)
    assert not act.is_done()


def test_the_same_again_is_the_same_request(act):
    assert act.ask(act.controller) == act.ask(act.controller)
    assert act.ask(make_approver(act.place, role="FC")) != act.ask(act.controller)


@pytest.mark.parametrize("act", CHANGING, indirect=True)
def test_what_became_another_act_meanwhile_is_not_done(act):
    request = act.ask(act.controller)
    act.change()
    as_if_committed()
    with pytest.raises(ApprovalRequired):
        decide(request, act.boss)
    request.refresh_from_db()
    assert (request.state, act.is_done()) == (RequestState.PENDING, False)
    anew = act.ask(act.controller)
    request.refresh_from_db()
    assert (request.state, request.digest != anew.digest) == (RequestState.SUPERSEDED, True)
    with pytest.raises(ApprovalRequired):
        act.done_by(act.controller)
    decide(anew, act.boss)
    assert act.is_done()


@pytest.mark.parametrize("act", REPEATED, indirect=True)
def test_a_consent_is_for_one_time(act):
    decide(act.ask(act.controller), act.boss)
    act.again()
    with pytest.raises(ApprovalRequired):
        act.done_by(act.controller)
    assert not act.is_done()
    decide(act.ask(act.controller), act.boss)
    assert act.is_done()
    assert broken() == set()


def refused_at_commit(act) -> None:
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        act.done_by(act.controller)
    assert refusal.value.__cause__.diag.constraint_name == act.constraint
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert not act.is_done()


def test_past_the_guard_the_database_refuses(act, monkeypatch):
    monkeypatch.setattr(approval, "GUARDS", [])
    refused_at_commit(act)


@pytest.mark.parametrize("act", REPEATED, indirect=True)
def test_past_the_guard_an_old_consent_is_none(act, monkeypatch):
    decide(act.ask(act.controller), act.boss)
    act.again()
    monkeypatch.setattr(approval, "GUARDS", [])
    refused_at_commit(act)


def test_checker_finds_what_came_past_both(act, monkeypatch):
    """Before the COMMIT that would refuse it."""
    monkeypatch.setattr(approval, "GUARDS", [])
    act.do(act.controller)
    assert len(broken()) == 1
    transaction.set_rollback(True)


def test_checker_takes_what_was_done_before_the_rule(act, monkeypatch):
    monkeypatch.setattr(approval, "GUARDS", [])
    act.do(act.controller)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE approval_rule_versions SET confirmed_at = now() + interval '1 hour'")
        cursor.execute("SET session_replication_role = origin")
    assert broken() == set()
    transaction.set_rollback(True)


@pytest.mark.parametrize("kind", AMOUNTS)
def test_up_to_the_limit_nobody_is_asked_and_a_cent_above_it_somebody_is(kind):
    act = ACTS[kind]("10000.00")
    act.done_by(act.controller)
    assert act.is_done()

    act = ACTS[kind]("10000.01")
    with pytest.raises(ApprovalRequired):
        act.done_by(act.controller)
    assert not act.is_done()


@pytest.mark.parametrize("what", ["pay-back", "reopening of a month"])
def test_checker_looks_lines_of_the_audit_trail_up_by_what_they_are_about(what):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {UNAPPROVED[what]}")
        plan = " ".join(line for (line,) in cursor.fetchall())
    assert "audit_by_subject" in plan
    assert "Scan on audit_entries" not in plan.replace("Bitmap Heap Scan", "")


def test_guard_and_asker_are_registered():
    assert require_approval_above_limits in approval.GUARDS
    assert file_request in approval.REQUESTERS
