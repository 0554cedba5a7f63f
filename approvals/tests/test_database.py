"""The last line: what no service lets through, the database does not let through either."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from approvals import chain
from approvals.exporting import facts_of
from approvals.models import (
    ApprovalAction,
    ApprovalEffect,
    ApprovalLevel,
    ApprovalRequest,
    ApprovalRule,
    ApprovalRuleVersion,
    ApprovalVote,
)
from approvals.tests.makers import (
    asks,
    decide,
    make_approval_rule,
    make_approver,
    make_delegation,
    make_request,
)
from billing.entities.tests.makers import make_entity, make_robot, make_user
from billing.kernel.invariant_checks import find_violations

pytestmark = pytest.mark.django_db

TABLES = (ApprovalRequest, ApprovalLevel, ApprovalVote, ApprovalAction, ApprovalEffect)


@pytest.fixture
def entity():
    return make_entity()


@pytest.fixture
def a(entity):
    return make_approver(entity)


@pytest.fixture
def b(entity):
    return make_approver(entity)


@pytest.fixture
def request_(entity, a, b):
    """Levels: both of A and B; then B."""
    return make_request(entity, asks(a, b, mode="all"), asks(b))


def everything() -> list:
    return [sorted(map(str, model.objects.values_list())) for model in TABLES]


def refused(constraint: str, write) -> None:
    """By this rule, at the latest at COMMIT, and nothing is changed."""
    before = everything()
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        write()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    diagnosis = refusal.value.__cause__.diag
    assert constraint in {diagnosis.constraint_name, diagnosis.sqlstate}, diagnosis.message_primary
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert everything() == before


RESTRICTED = "23001"  # restrict_violation: by a trigger that knows no name of a constraint


def delete_from(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table}")


def act(request, person, action="approve", **overrides) -> ApprovalAction:
    """Past the services."""
    values = {
        "level": 1,
        "actor": f"user:{person.pk}",
        "person": person,
        "content_digest": request.digest,
        "comment": "x",
    } | overrides
    return ApprovalAction.objects.create(request=request, action=action, **values)


def vote(request, person, action, level=1, **overrides) -> ApprovalVote:
    level = request.levels.get(position=level)
    values = {"approver": person, "person": person} | overrides
    return ApprovalVote.objects.create(level=level, action=action, **values)


def test_the_helpers_write_what_the_database_takes(request_, a):
    vote(request_, a, act(request_, a))
    assert ApprovalVote.objects.count() == 1


def test_the_requester_decides_nothing(entity, request_, a):
    refused(
        "decision_not_of_the_involved",
        lambda: act(request_, request_.requester),
    )


def test_nor_through_a_delegation_nor_as_a_delegate_of_the_involved(entity, a):
    clerk = make_approver(entity, role="FC")
    request = make_request(entity, asks(a), by=clerk)
    make_delegation(a, clerk)
    refused("decision_not_of_the_involved", lambda: act(request, clerk, on_behalf_of=a))
    make_delegation(clerk, a)
    refused("decision_not_of_the_involved", lambda: act(request, a, on_behalf_of=clerk))


def test_nor_under_the_name_of_an_account_he_owns_or_of_another(request_, a):
    robot = make_robot(a, request_.entity)
    refused("decision_of_a_person", lambda: act(request_, a, actor=f"user:{robot.pk}"))
    for actor in (f"user:{request_.requester_id}", "command:x", "user:nobody"):
        refused("action_of_its_person", lambda name=actor: act(request_, a, actor=name))


def test_who_gains_is_barred_in_person(entity, a):
    """The beneficiary is a service account: its owner is barred."""
    robot = make_robot(a, entity)
    other = make_approver(entity)
    request = make_request(entity, asks(a, other), beneficiary_id=robot.pk)
    assert a.pk in request.barred
    refused("decision_not_of_the_involved", lambda: act(request, a))


def test_a_decision_is_over_what_was_shown(request_, a):
    refused("decision_over_what_was_shown", lambda: act(request_, a, content_digest="0" * 64))


def test_a_decision_is_on_the_pending_level_of_one_it_asks(request_, a, b):
    refused("decision_of_who_is_asked", lambda: act(request_, b, level=2))
    stranger = make_approver(request_.entity)
    refused("decision_of_who_is_asked", lambda: act(request_, stranger))


def test_a_delegate_needs_a_delegation_of_today(request_, a):
    c = make_approver(request_.entity)
    refused("decision_within_delegation", lambda: act(request_, c, on_behalf_of=a))
    tomorrow = timezone.now().date() + timedelta(days=1)
    make_delegation(a, c, starts_on=tomorrow, ends_on=tomorrow + timedelta(days=1))
    make_delegation(a, c, amount=Decimal("99.99"), currency="EUR")
    refused("decision_within_delegation", lambda: act(request_, c, on_behalf_of=a))
    make_delegation(a, c)
    with transaction.atomic():
        act(request_, c, on_behalf_of=a)


def test_one_decision_per_person_and_level(request_, a):
    act(request_, a)
    refused("one_decision_per_person_and_level", lambda: act(request_, a))
    refused("one_decision_per_person_and_level", lambda: act(request_, a, "reject"))


def test_a_decision_is_final_and_so_is_a_vote(request_, a):
    vote(request_, a, act(request_, a))
    for change in (
        lambda: ApprovalAction.objects.filter(action="approve").update(comment="no"),
        lambda: delete_from("approval_actions"),
        lambda: ApprovalVote.objects.update(person=make_user()),
        lambda: delete_from("approval_votes"),
    ):
        refused(RESTRICTED, change)


def test_a_vote_is_of_a_consent_of_the_same_person_to_the_same_request(request_, a, b):
    consent, other = act(request_, a), make_request(request_.entity)
    refused("vote_of_a_consent", lambda: vote(request_, b, consent))
    refused("vote_of_a_consent", lambda: vote(request_, a, request_.actions.get(action="request")))
    refused("vote_of_a_consent", lambda: vote(other, a, consent))
    refused("vote_on_the_pending_level", lambda: vote(request_, b, consent, level=2))


def test_one_vote_per_person_and_per_approver(request_, a, b):
    consent = act(request_, a)
    vote(request_, a, consent)
    refused("one_vote_per_approver_and_level", lambda: vote(request_, a, consent))
    make_delegation(b, a)
    refused(
        "one_decision_per_person_and_level",
        lambda: vote(request_, b, act(request_, a, on_behalf_of=b), person=a),
    )


def test_a_level_is_not_filled_by_saying_so(request_, a):
    vote(request_, a, act(request_, a))
    level = request_.levels.filter(position=1)
    refused("level_filled_by_votes", lambda: level.update(state="approved"))
    refused("level_rejected_by_somebody", lambda: level.update(state="rejected"))
    refused("one_pending_level_per_request", lambda: _open_second_as_if_first_were_gone(request_))
    refused(RESTRICTED, lambda: level.update(state="waiting"))
    refused(RESTRICTED, lambda: level.update(needed=1))


def _open_second_as_if_first_were_gone(request) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE approval_levels DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE approval_levels SET state = 'pending' WHERE request_id = %s AND position = 2",
            [request.pk],
        )


def test_levels_open_in_order(entity, a, b):
    request = make_request(entity, asks(a), asks(b))
    request.levels.filter(position=1).update(state="skipped")
    refused("levels_in_order", lambda: request.levels.filter(position=2).update(state="pending"))


def test_a_request_is_not_approved_by_saying_so(request_, a, b):
    pending = ApprovalRequest.objects.filter(pk=request_.pk)
    now = timezone.now()
    refused("approved_by_every_level", lambda: pending.update(state="approved", decided_at=now))
    refused("rejected_by_somebody", lambda: pending.update(state="rejected", decided_at=now))
    decide(request_, a)
    refused("approved_by_every_level", lambda: pending.update(state="approved", decided_at=now))


def test_a_request_without_its_levels_is_not_approved_either(request_):
    copy = ApprovalRequest.objects.get(pk=request_.pk)
    copy.pk, copy.subject_id = make_user().pk, make_user().pk
    copy.save(force_insert=True)
    made = ApprovalRequest.objects.filter(pk=copy.pk)
    refused("approved_by_every_level", lambda: made.update(state="approved", decided_at=timezone.now()))


def test_approved_means_carried_out(entity, a):
    request = make_request(entity, asks(a))
    vote(request, a, act(request, a))
    request.levels.update(state="approved")
    pending = ApprovalRequest.objects.filter(pk=request.pk)
    refused("approved_means_done", lambda: pending.update(state="approved", decided_at=timezone.now()))


def test_nothing_is_carried_out_without_an_approval_of_this_content_or_twice(request_, entity, a):
    refused(
        "effect_of_what_was_approved",
        lambda: ApprovalEffect.objects.create(request=request_, digest=request_.digest),
    )
    done = make_request(make_entity())
    [approver] = done.levels.get().approvers
    decide(done, type(a).objects.get(pk=approver))
    refused(
        "effect_of_what_was_approved", lambda: ApprovalEffect.objects.create(request=done, digest="0" * 64)
    )
    assert ApprovalEffect.objects.filter(request=done).count() == 1
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        ApprovalEffect.objects.create(request=done, digest=done.digest)
    assert refusal.value.__cause__.sqlstate == "23505"  # unique_violation


@pytest.mark.parametrize("state", ["canceled", "expired", "superseded", "pending"])
def test_what_is_over_is_over(entity, a, state):
    request = make_request(entity, asks(a))
    decide(request, a, "reject")
    over = ApprovalRequest.objects.filter(pk=request.pk)
    refused(RESTRICTED, lambda: over.update(state=state))
    refused("approved_by_every_level", lambda: over.update(state="approved"))
    refused("decision_while_pending", lambda: act(request, a))


def test_what_was_asked_for_does_not_change(request_):
    asked = ApprovalRequest.objects.filter(pk=request_.pk)
    for change in (
        {"amount": Decimal(1)},
        {"digest": "0" * 64},
        {"barred": [make_user().pk]},
        {"snapshot": {"levels": []}},
        {"content": {}},
        {"requester": make_user()},
    ):
        refused(RESTRICTED, lambda changed=change: asked.update(**changed))
    refused(RESTRICTED, lambda: delete_from("approval_levels"))
    refused(RESTRICTED, lambda: delete_from("approval_requests"))


def test_a_request_begins_pending_with_the_involved_barred(request_):
    def copied(**changes):
        copy = ApprovalRequest.objects.get(pk=request_.pk)
        copy.pk, copy.subject_id = make_user().pk, make_user().pk
        for name, value in changes.items():
            setattr(copy, name, value)
        copy.save(force_insert=True)

    somebody = make_user()
    refused("approval_begins_pending", lambda: copied(state="approved", decided_at=timezone.now()))
    refused("approval_bars_the_involved", lambda: copied(barred=[somebody.pk]))
    refused("approval_bars_the_involved", lambda: copied(requester=somebody, barred=[somebody.pk]))
    refused("approval_bars_the_involved", lambda: copied(beneficiary=somebody))
    refused("approval_own_currency_at_par", lambda: copied(rate=Decimal("0.5"), base_amount=Decimal(50)))


def test_a_level_asks_nobody_involved_and_no_account_and_nobody_twice(request_, a, b):
    level = request_.levels.filter(position=1)
    robot = make_robot(a, request_.entity)
    for approvers in ([a.pk, request_.requester_id], [a.pk, robot.pk], [a.pk, a.pk]):
        refused("level_asks_the_uninvolved", lambda those=approvers: level.update(approvers=those))
    refused("level_keeps_its_votes", lambda: level.update(approvers=[a.pk]))
    vote(request_, a, act(request_, a))
    other = make_approver(request_.entity)
    refused("level_keeps_its_votes", lambda: level.update(approvers=[other.pk, b.pk]))
    level.update(approvers=[a.pk, other.pk])


def test_no_level_is_added_to_what_is_decided(entity, a):
    request = make_request(entity, asks(a))
    decide(request, a, "reject")
    refused(
        "level_comes_with_its_request",
        lambda: ApprovalLevel.objects.create(
            request=request, position=2, mode="any", needed=1, approvers=[a.pk]
        ),
    )


def test_one_pending_request_per_subject(request_):
    copy = ApprovalRequest.objects.get(pk=request_.pk)
    copy.pk = make_user().pk
    refused("one_pending_request_per_subject", lambda: copy.save(force_insert=True))


def test_a_rule_takes_two_and_is_final(entity, a):
    version = make_approval_rule(entity, asks(a))
    same = {"confirmed_by": version.proposed_by, "proposed_by": version.proposed_by, "number": 2}
    kept = {"rule": version.rule, "levels": version.levels, "currency": "EUR", "confirmed_at": timezone.now()}
    refused(
        "rule_takes_two",
        lambda: ApprovalRuleVersion.objects.create(**kept, **same, state="ended", reason="x"),
    )
    refused(
        "rule_version_confirmed_iff_in_force",
        lambda: ApprovalRuleVersion.objects.create(
            rule=version.rule,
            levels=version.levels,
            currency="EUR",
            proposed_by=a,
            number=3,
            state="active",
            reason="x",
        ),
    )
    mine = ApprovalRuleVersion.objects.filter(pk=version.pk)
    for change in ({"levels": []}, {"above_amount": Decimal(1)}, {"state": "proposed"}):
        refused(RESTRICTED, lambda changed=change: mine.update(**changed))
    refused(RESTRICTED, lambda: ApprovalRule.objects.update(kind="other"))


def test_the_chain_is_made_by_the_database_and_is_what_python_computes(request_, a, b):
    decide(request_, a, comment="gut – 好 \x1e")
    forged = act(request_, b, number=99, digest="0" * 64, previous_digest="0" * 64, at="1999", comment="")
    forged.refresh_from_db()
    assert forged.number == 3
    actions = [facts_of(action) for action in request_.actions.order_by("number")]
    assert chain.first_fault(str(request_.pk), request_.digest, actions) == ""
    assert chain.content_digest(request_.content) == request_.digest


# What the triggers would have refused, and the check that finds it afterwards.
BENT = {
    "AP1 nobody involved has decided, for himself or through another": "UPDATE approval_requests SET barred = barred || ARRAY(SELECT person_id FROM approval_votes LIMIT 1)",
    "AP1 who asked and who gains are barred": "UPDATE approval_requests SET barred = '{}'",
    "AP2 a vote is of one it asks, by an approval of the same person to the same request": "UPDATE approval_levels SET approvers = ARRAY[gen_random_uuid()]",
    "AP3 a decision is over the content of its request": "UPDATE approval_actions SET content_digest = repeat('0', 64)",
    "AP4 an approved level has the votes it needs, of different people": "UPDATE approval_levels SET needed = 2, approvers = approvers || gen_random_uuid()",
    "AP4 levels are approved in their order, and one is pending while the request is": "UPDATE approval_levels SET state = 'skipped' WHERE position = 1",
    "AP5 approved is by all levels of the rule as frozen, and carried out once": "DELETE FROM approval_effects",
    "AP5 a rejected request was rejected by somebody": "UPDATE approval_requests SET state = 'rejected'",
    "AP6 a rule in force was confirmed by another person than who proposed it": "UPDATE users SET kind = 'service', owner_id = (SELECT confirmed_by_id FROM approval_rule_versions LIMIT 1) WHERE id = (SELECT proposed_by_id FROM approval_rule_versions LIMIT 1)",
    "AP7 actions are numbered from 1 without a gap, each continuing the one before": "UPDATE approval_actions SET previous_digest = repeat('0', 64) WHERE number = 2",
    "AM1 no mail about a request is without an outcome for an hour": "UPDATE approval_mails SET state = 'sending', sending_since = now() - interval '2 hours'",
    "AM2 a mail that asks for a decision is about a level that asks somebody": "UPDATE approval_mails SET level = 9",
}


def broken() -> set[str]:
    return {found.invariant for found in find_violations("approvals") if found.violations}


@pytest.mark.parametrize("invariant", BENT)
def test_checker_sees_what_the_triggers_would_have_refused(invariant, entity, a, b):
    request = make_request(entity, asks(a), asks(b))
    decide(request, a)
    decide(request, b)
    assert broken() == set()

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(BENT[invariant])
        cursor.execute("SET session_replication_role = origin")

    assert invariant in broken()


def test_every_invariant_is_bent_once():
    """Those of guarded acts in `test_acts`."""
    known = {found.invariant for found in find_violations("approvals")}
    assert {invariant for invariant in known if not invariant.startswith("AP8")} == set(BENT)
