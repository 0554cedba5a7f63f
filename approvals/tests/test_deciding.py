"""Decisions over levels: who may, what they do, and what they leave undone."""

from datetime import timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from django.utils import timezone

from approvals import services
from approvals.errors import (
    BeyondLimit,
    ContentChanged,
    DecidedBefore,
    InvolvedMayNotDecide,
    NotAskedToDecide,
    RequestNotPending,
)
from approvals.kinds import EFFECTS, effect
from approvals.models import ApprovalAction, ApprovalEffect, ApprovalLevel, ApprovalVote
from approvals.states import LevelState, RequestState
from approvals.tests.makers import (
    asks,
    asks_role,
    decide,
    make_approval_rule,
    make_approver,
    make_delegation,
    make_request,
    request_terms,
)
from billing.entities.services import revoke_grant
from billing.entities.tests.makers import make_entity, make_grant, make_robot, make_user
from billing.kernel.errors import DomainError, Invalid
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


class Refused(DomainError):
    code = "refused-by-the-act"


@pytest.fixture
def entity():
    return make_entity()


@pytest.fixture
def a(entity):
    return make_approver(entity)


@pytest.fixture
def b(entity):
    return make_approver(entity)


def states(request) -> list[str]:
    return list(request.levels.order_by("position").values_list("state", flat=True))


def everything() -> tuple:
    """All that a refusal must leave alone."""
    return tuple(
        sorted(map(str, model.objects.values_list()))
        for model in (ApprovalLevel, ApprovalVote, ApprovalAction, ApprovalEffect, AuditEntry, OutboxEvent)
    )


def refused(error, call) -> None:
    before = everything()
    with pytest.raises(error):
        call()
    assert everything() == before


def test_one_consent_is_enough_for_any(entity, a, b):
    request = make_request(entity, asks(a, b))

    decided = decide(request, a)

    assert decided.state == RequestState.APPROVED
    assert states(request) == ["approved"]
    assert request.effect.digest == request.digest
    assert (
        OutboxEvent.objects.filter(name="approval.approved", payload__request_id=str(request.pk)).count() == 1
    )
    assert_invariants_hold()


def test_levels_a_a_b_a(entity, a, b):
    """The example of the specification: the first approval of A fills two levels, the fourth still asks A."""
    request = make_request(entity, asks(a), asks(a), asks(b), asks(a))

    decide(request, a)
    assert states(request) == ["approved", "approved", "pending", "waiting"]
    refused(NotAskedToDecide, lambda: decide(request, a))
    decide(request, b)
    assert states(request) == ["approved", "approved", "approved", "pending"]
    request.refresh_from_db()
    assert request.state == RequestState.PENDING
    decide(request, a)

    request.refresh_from_db()
    assert request.state == RequestState.APPROVED
    assert [(v.level.position, v.person_id) for v in ApprovalVote.objects.order_by("level__position")] == [
        (1, a.pk),
        (2, a.pk),
        (3, b.pk),
        (4, a.pk),
    ]
    assert_invariants_hold()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_all_of_three_in_any_order(entity, order):
    people = [make_approver(entity) for _ in range(3)]
    request = make_request(entity, asks(*people, mode="all"))

    for nth, who in enumerate(order, start=1):
        assert decide(request, people[who]).state == ("approved" if nth == 3 else "pending")
    assert_invariants_hold()


def test_a_quorum_counts_different_people(entity, a, b):
    c = make_approver(entity)
    request = make_request(entity, asks(a, b, c, mode="quorum", quorum=2))

    assert decide(request, a).state == RequestState.PENDING
    refused(DecidedBefore, lambda: decide(request, a))
    assert decide(request, c).state == RequestState.APPROVED
    refused(RequestNotPending, lambda: decide(request, b))


def test_a_rejection_ends_it_and_says_why(entity, a, b):
    request = make_request(entity, asks(a), asks(b))

    refused(Invalid, lambda: decide(request, a, "reject", comment=" "))
    assert decide(request, a, "reject", comment="too dear").state == RequestState.REJECTED

    assert states(request) == [LevelState.REJECTED, LevelState.SKIPPED]
    assert not ApprovalEffect.objects.exists()
    assert OutboxEvent.objects.filter(name="approval.rejected").count() == 1
    refused(RequestNotPending, lambda: decide(request, b))
    assert_invariants_hold()


def test_levels_come_in_order(entity, a, b):
    request = make_request(entity, asks(a), asks(b))
    refused(NotAskedToDecide, lambda: decide(request, b))


def test_whoever_is_not_asked_does_not_decide(entity, a):
    request = make_request(entity, asks(a))
    for person in (make_approver(entity), make_user()):
        refused(NotAskedToDecide, lambda who=person: decide(request, who))


def test_what_was_shown_is_what_is_approved(entity, a):
    request = make_request(entity, asks(a))
    refused(ContentChanged, lambda: decide(request, a, digest="0" * 64))


def test_the_requester_never_decides_also_not_among_others_of_his_role(entity):
    """A controller asks; the rule asks every controller."""
    boss = make_approver(entity, role="FC")
    make_approver(entity, role="FC")
    request = make_request(entity, asks_role("FC"), by=boss)

    assert boss.pk not in request.levels.get().approvers
    refused(InvolvedMayNotDecide, lambda: decide(request, boss))


def test_neither_does_the_owner_of_the_account_that_asked(entity, a):
    robot = make_robot(a, entity)
    other = make_approver(entity)
    request = make_request(entity, asks_role("AP"), by=robot)

    assert (request.requested_by, request.requester) == (robot, a)
    assert request.levels.get().approvers == [other.pk]
    refused(InvolvedMayNotDecide, lambda: decide(request, a))


def test_nor_who_gains_nor_who_edited(entity, a, b):
    c = make_approver(entity)
    request = make_request(entity, asks_role("AP"), beneficiary_id=a.pk, editors=[b.pk])

    assert request.levels.get().approvers == [c.pk]
    for involved in (a, b):
        refused(InvolvedMayNotDecide, lambda who=involved: decide(request, who))
    assert decide(request, c).state == RequestState.APPROVED


def test_a_service_account_decides_nothing(entity, a):
    robot = make_robot(a, entity)
    robot.key_scopes = frozenset({"approvals:write", "approvals:read"})
    request = make_request(entity, asks(a))
    refused(NotAskedToDecide, lambda: decide(request, robot))


def test_who_lost_the_role_decides_nothing_and_his_past_consent_stays(entity, a, b):
    request = make_request(entity, asks(a), asks(b))
    decide(request, a)
    for person in (a, b):
        revoke_grant(actor="command:x", grant_id=person.grants.get().pk, reason="left")

    refused(NotAskedToDecide, lambda: decide(request, b))
    assert states(request) == ["approved", "pending"]


def test_the_limit_is_the_one_of_the_moment(entity):
    """Within 100.00 EUR when it was asked, 99.99 now."""
    limited = make_approver(entity, limits={"EUR": "100"})
    request = make_request(entity, asks(limited), amount="100.00")
    revoke_grant(actor="command:x", grant_id=limited.grants.get().pk, reason="less")
    make_grant(role="AP", entity=entity, user=limited, limits={"EUR": "99.99"})

    refused(BeyondLimit, lambda: decide(request, limited))


def test_it_has_expired_on_its_last_day(entity, a):
    request = make_request(entity, asks(a))
    late = timezone.now() + timedelta(days=30)
    refused(RequestNotPending, lambda: decide(request, a, at=late))
    assert decide(request, a, at=late - timedelta(days=1)).state == RequestState.APPROVED


def test_the_effect_runs_once_with_the_last_consent_and_its_refusal_takes_the_consent_back(
    entity, a, b, monkeypatch
):
    monkeypatch.setitem(EFFECTS, "test.act", None)
    del EFFECTS["test.act"]
    ran = []

    @effect("test.act")
    def act(request):
        ran.append(request.content["terms"])
        if len(ran) == 1:
            raise Refused("not today")
        return {"number": "1"}

    request = make_request(entity, asks(a), asks(b), kind="test.act", terms={"do": "it"})
    decide(request, a)
    assert ran == []
    before = everything()
    with pytest.raises(Refused):
        decide(request, b)
    assert everything() == before
    assert states(request) == ["approved", "pending"]

    assert decide(request, b).state == RequestState.APPROVED
    assert ran == [{"do": "it"}, {"do": "it"}]
    assert ApprovalEffect.objects.get().outcome == {"number": "1"}


def test_a_delegate_decides_in_the_place_of_the_approver_and_both_may(entity, a, b):
    c = make_approver(entity)
    make_delegation(a, c)
    request = make_request(entity, asks(a, b, mode="all"))

    decide(request, c)
    action = ApprovalAction.objects.get(action="approve")
    assert (action.person, action.on_behalf_of) == (c, a)
    refused(DecidedBefore, lambda: decide(request, a))
    assert decide(request, b).state == RequestState.APPROVED
    decide(make_request(entity), a)
    assert ApprovalVote.objects.filter(approver=a).count() == 2
    assert_invariants_hold()


def test_one_delegate_of_two_is_one_person(entity, a, b):
    c = make_approver(entity)
    make_delegation(a, c)
    make_delegation(b, c)
    request = make_request(entity, asks(a, b, mode="all"))

    decide(request, c)
    refused(DecidedBefore, lambda: decide(request, c))
    assert states(request) == ["pending"]


def test_the_requester_decides_through_no_delegation(entity, a):
    """A controller asks, and the approver has delegated to him."""
    boss = make_approver(entity, role="FC")
    make_delegation(a, boss)
    request = make_request(entity, asks(a), by=boss)
    refused(InvolvedMayNotDecide, lambda: decide(request, boss))


@pytest.mark.parametrize(
    "limits",
    [
        {"kinds": ["other"]},
        {"amount": Decimal("99.99"), "currency": "EUR"},
        {"amount": Decimal(1000), "currency": "USD"},
        {"starts_on": timezone.now().date() + timedelta(days=1)},
    ],
)
def test_a_delegation_holds_for_its_kinds_amounts_and_days(entity, a, limits, monkeypatch):
    monkeypatch.setitem(EFFECTS, "other", lambda request: {})
    c = make_approver(entity)
    make_delegation(a, c, **limits)
    request = make_request(entity, asks(a), amount="100.00")
    refused(NotAskedToDecide, lambda: decide(request, c))


def test_a_revoked_delegation_is_over_and_a_delegate_passes_nothing_on(entity, a, b):
    c = make_approver(entity)
    delegation = make_delegation(a, b)
    make_delegation(b, c)
    request = make_request(entity, asks(a))

    refused(NotAskedToDecide, lambda: decide(request, c))
    services.revoke_delegation(actor=f"user:{a.pk}", delegation_id=delegation.pk)
    refused(NotAskedToDecide, lambda: decide(request, b))


def test_a_delegate_without_a_role_or_of_one_who_lost_his_decides_nothing(entity, a, b):
    make_delegation(a, b)
    request = make_request(entity, asks(a))
    revoke_grant(actor="command:x", grant_id=a.grants.get().pk, reason="left")
    refused(NotAskedToDecide, lambda: decide(request, b))


def test_bulk_is_single_decisions_each_with_its_own_answer(entity, a):
    make_approval_rule(entity, asks(a), is_fallback=True)
    fine, changed = (make_request(entity) for _ in range(2))
    foreign = make_request(make_entity())
    items = [(foreign.pk, foreign.digest), (fine.pk, fine.digest), (changed.pk, "0" * 64)]

    results = services.bulk_approve(actor=f"user:{a.pk}", items=items, at=timezone.now())

    assert [result.request_id for result in results] == [request_id for request_id, _ in items]
    assert [type(result.refusal) for result in results] == [NotAskedToDecide, type(None), ContentChanged]
    assert results[1].request.state == RequestState.APPROVED
    for left in (foreign, changed):
        left.refresh_from_db()
        assert left.state == RequestState.PENDING


def test_bulk_takes_a_hundred_each_once(entity, a):
    request = make_request(entity, asks(a))
    item = (request.pk, request.digest)
    for items in ([], [item] * 2, [(make_user().pk, "")] * 101):
        refused(
            Invalid,
            lambda many=items: services.bulk_approve(actor=f"user:{a.pk}", items=many, at=timezone.now()),
        )


def test_a_rule_that_changes_does_not_touch_what_is_in_flight(entity, a, b):
    request = make_request(entity, asks(a), asks(b))
    version = request.rule_version
    type(version).objects.filter(pk=version.pk).update(state="ended", ended_at=timezone.now())
    make_approval_rule(entity, asks(a), name="looser")

    assert decide(request, a).state == RequestState.PENDING
    assert decide(request, b).state == RequestState.APPROVED
    assert make_request(entity, by=request.requester).levels.count() == 1


def test_terms_of_a_request_by_name(entity, a):
    """Its content says all that a rule or an approver looks at."""
    request = make_request(entity, asks(a), amount="21000.50", gl_code="6400", fields={"region": "EMEA"})
    assert request.content | {"subject": "", "title": "", "entity": "", "requester": ""} == {
        "kind": "general",
        "subject": "",
        "title": "",
        "entity": "",
        "department": None,
        "gl_code": "6400",
        "amount": "21000.50",
        "currency": "EUR",
        "rate": "1",
        "base_currency": "EUR",
        "fields": {"region": "EMEA"},
        "beneficiary": None,
        "requester": "",
        "terms": {"supplier": "ACME"},
    }
    assert request_terms(entity)["terms"] == request.content["terms"]
