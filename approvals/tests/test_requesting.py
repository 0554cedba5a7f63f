"""Requesting approval: the rule that holds, whom it asks, and what becomes of an older request."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from approvals import services
from approvals.errors import (
    DelegationRefused,
    InvolvedMayNotDecide,
    NoApprover,
    NoRule,
    NotAskedToDecide,
    RequestNotPending,
)
from approvals.models import ApprovalAction, ApprovalLevel, ApprovalRequest
from approvals.states import LevelState, RequestState
from approvals.tests.makers import (
    asks,
    asks_role,
    decide,
    make_approval_rule,
    make_approver,
    make_request,
    request_terms,
)
from billing.entities.tests.makers import make_department, make_entity, make_grant, make_user
from billing.invoicing.tests.consolidation_makers import make_exchange_rate
from billing.kernel.errors import Invalid, NotAllowed
from billing.kernel.ids import uuid7
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def entity():
    return make_entity()


@pytest.fixture
def boss(entity):
    return make_approver(entity)


def rule_of(request) -> str:
    return request.snapshot["name"]


@pytest.mark.parametrize(("amount", "rule"), [("10000.00", "rest"), ("10000.01", "over ten thousand")])
def test_over_ten_thousand(entity, boss, amount, rule):
    make_approval_rule(entity, asks(boss), name="rest", is_fallback=True)
    make_approval_rule(entity, asks(boss), name="over ten thousand", above_amount="10000")

    assert rule_of(make_request(entity, amount=amount)) == rule


def test_another_currency_by_the_rate_that_is_kept(entity, boss):
    """9,300.00 USD at 1.0753 are 10,000.29 EUR."""
    make_approval_rule(entity, asks(boss), name="rest", is_fallback=True)
    make_approval_rule(entity, asks(boss), name="over ten thousand", above_amount="10000")
    make_exchange_rate(rate="1.0753")

    request = make_request(entity, amount="9300.00", currency="USD")

    assert (request.base_amount, request.base_currency) == (Decimal("10000.29"), "EUR")
    assert request.rate == Decimal("1.0753")
    assert rule_of(request) == "over ten thousand"
    assert request.content["rate"] == "1.0753"


def test_without_a_rate_the_strictest_band_holds(entity, boss):
    make_approval_rule(entity, asks(boss), name="small", up_to_amount="10000")
    make_approval_rule(entity, asks(boss), name="large", above_amount="10000")

    request = make_request(entity, amount="1.00", currency="USD")

    assert rule_of(request) == "large"
    assert (request.rate, request.base_amount, request.matched_amount) == (None, None, None)


def test_ten_small_ones_are_one_large_one(entity, boss):
    """10 × 999 against a rule over 1,000: all but the first fall under it."""
    make_approval_rule(entity, asks(boss), name="rest", is_fallback=True)
    make_approval_rule(entity, asks(boss), name="over a thousand", above_amount="1000")
    by = make_grant(role="BO", entity=entity).user

    requests = [make_request(entity, amount="999.00", by=by) for _ in range(10)]

    assert [rule_of(request) for request in requests] == ["rest"] + ["over a thousand"] * 9
    assert [request.matched_amount for request in requests] == [Decimal(999) * nth for nth in range(1, 11)]
    assert rule_of(make_request(entity, amount="999.00")) == "rest"  # somebody else
    later = request_terms(entity, amount="999.00", by=by, at=timezone.now() + timedelta(hours=25))
    assert rule_of(services.request_approval(**later)) == "rest"


def test_what_was_rejected_or_canceled_is_not_counted(entity, boss):
    make_approval_rule(entity, asks(boss), is_fallback=True)
    by = make_grant(role="BO", entity=entity).user
    decide(make_request(entity, amount="999.00", by=by), boss, "reject")

    assert make_request(entity, amount="1.00", by=by).matched_amount == Decimal("1.00")


def test_the_group_s_rules_hold_below_and_the_nearest_first(entity, boss):
    child = make_entity(parent=entity)
    make_approval_rule(entity, asks(boss), name="group")
    assert rule_of(make_request(child)) == "group"
    make_approval_rule(child, asks(boss), name="own")
    assert rule_of(make_request(child)) == "own"
    assert rule_of(make_request(entity)) == "group"


def test_no_rule_and_no_approver_are_told_and_nothing_is_kept(entity):
    terms = request_terms(entity)
    with pytest.raises(NoRule):
        services.request_approval(**terms)
    make_approval_rule(entity, asks_role("AP"), is_fallback=True)
    with pytest.raises(NoApprover):
        services.request_approval(**terms)
    assert not ApprovalRequest.objects.exists()


def test_who_may_not_decide_the_amount_is_not_asked(entity):
    small, large = (make_approver(entity, limits={"EUR": limit}) for limit in ("99.99", "100"))
    make_approval_rule(entity, asks_role("AP"), is_fallback=True)

    assert make_request(entity, amount="100.00").levels.get().approvers == [large.pk]
    assert set(make_request(entity, amount="99.99").levels.get().approvers) == {small.pk, large.pk}


def test_of_all_one_who_may_not_decide_any_more_stops_it(entity, boss):
    left = make_user()
    make_approval_rule(entity, asks(boss, left, mode="all"), is_fallback=True)
    with pytest.raises(NoApprover):
        services.request_approval(**request_terms(entity))


def test_a_level_that_would_ask_only_the_requester_stops_it(entity):
    alone = make_approver(entity, role="FC")
    make_approval_rule(entity, asks_role("FC"), is_fallback=True)
    with pytest.raises(NoApprover):
        services.request_approval(**request_terms(entity, by=alone))


def test_the_manager_of_the_department_and_the_first_one_upwards_whose_limit_covers_it(entity):
    small, large = (make_approver(entity, limits={"EUR": limit}) for limit in ("1000", "50000"))
    above = make_department(entity=entity, manager=large)
    below = make_department(entity=entity, parent=above, manager=small)
    level = {"mode": "any", "approvers": [{"kind": "manager_chain"}]}
    direct = {"mode": "any", "approvers": [{"kind": "department_manager"}]}
    make_approval_rule(entity, level, is_fallback=True)

    def asked(amount):
        return make_request(entity, amount=amount, department_id=below.pk).levels.first().approvers

    assert asked("1000.00") == [small.pk]
    assert asked("1000.01") == [large.pk]
    with pytest.raises(NoApprover):
        asked("50000.01")
    make_approval_rule(entity, direct, priority=1)
    assert asked("1.00") == [small.pk]
    with pytest.raises(NoApprover):
        asked("1000.01")


def test_the_same_content_again_is_the_same_request(entity, boss):
    make_approval_rule(entity, asks(boss), is_fallback=True)
    terms = request_terms(entity)
    assert services.request_approval(**terms) == services.request_approval(**terms)
    assert ApprovalAction.objects.count() == 1


def test_other_content_supersedes_and_the_consents_so_far_do_not_count(entity, boss):
    """The amount is changed after the first level agreed."""
    second = make_approver(entity)
    make_approval_rule(entity, asks(boss), asks(second), is_fallback=True)
    first = make_request(entity, amount="100.00")
    decide(first, boss)

    changed = make_request(entity, amount="200.00", subject_id=first.subject_id)

    first.refresh_from_db()
    assert first.state == RequestState.SUPERSEDED
    assert list(first.levels.order_by("position").values_list("state", flat=True)) == ["approved", "skipped"]
    assert set(changed.levels.values_list("state", flat=True)) == {LevelState.PENDING, LevelState.WAITING}
    with pytest.raises(RequestNotPending):
        decide(first, second)
    assert decide(changed, boss).state == RequestState.PENDING
    assert decide(changed, second).state == RequestState.APPROVED
    assert_invariants_hold()


def test_who_asked_before_does_not_decide_after_somebody_else_changed_it(entity):
    clerk = make_approver(entity, role="FC")
    boss = make_approver(entity, role="FC")
    make_approval_rule(entity, asks_role("FC"), is_fallback=True)
    first = make_request(entity, by=clerk)

    changed = make_request(entity, subject_id=first.subject_id, amount="5.00")

    assert clerk.pk in changed.barred
    assert changed.levels.get().approvers == [boss.pk]


def test_a_canceled_request_asks_nobody_and_only_who_asked_cancels(entity, boss):
    request = make_request(entity, asks(boss))
    with pytest.raises(NotAskedToDecide):
        services.cancel_request(actor=f"user:{boss.pk}", request_id=request.pk, comment="no")
    services.cancel_request(actor=f"user:{request.requester_id}", request_id=request.pk, comment="not needed")

    request.refresh_from_db()
    assert (request.state, request.levels.get().state) == (RequestState.CANCELED, LevelState.SKIPPED)
    with pytest.raises(RequestNotPending):
        decide(request, boss)
    assert_invariants_hold()


def test_expired_requests_are_ended_once(entity, boss):
    requests = [make_request(entity, asks(boss)), make_request(entity)]
    day = requests[0].expires_on

    assert services.expire_requests(actor="task:x", as_of=day - timedelta(days=1)).expired == 0
    assert services.expire_requests(actor="task:x", as_of=day).expired == 2
    assert services.expire_requests(actor="task:x", as_of=day).expired == 0
    assert set(ApprovalRequest.objects.values_list("state", flat=True)) == {RequestState.EXPIRED}
    assert ApprovalAction.objects.filter(action="expire", person=None, actor="task:x").count() == 2
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"kind": "unheard-of"}, Invalid),
        ({"amount": "-0.01"}, Invalid),
        ({"amount": "1.001"}, Invalid),
        ({"actor": "command:x"}, NotAllowed),
    ],
)
def test_what_cannot_be_asked_for(entity, boss, wrong, error):
    make_approval_rule(entity, asks(boss), is_fallback=True)
    with pytest.raises(error):
        services.request_approval(**request_terms(entity, **wrong))
    assert not ApprovalRequest.objects.exists()


def test_a_simulation_says_who_would_be_asked_and_keeps_nothing(entity, boss):
    second = make_approver(entity)
    make_approval_rule(entity, asks(boss), asks(boss, second, mode="all"), above_amount="20000", name="large")
    terms = request_terms(entity, amount="21000")
    asked = {name: terms[name] for name in ("actor", "kind", "entity_id", "amount", "currency", "at")}

    route = services.preview_route(**asked)

    assert route.version.rule.name == "large"
    assert [(level.needed, {user.pk for user in level.people}) for level in route.levels] == [
        (1, {boss.pk}),
        (2, {boss.pk, second.pk}),
    ]
    assert not ApprovalRequest.objects.exists()
    assert not ApprovalLevel.objects.exists()


def test_an_approver_who_left_is_exchanged(entity, boss):
    other, outsider, clerk = make_approver(entity), make_user(), make_approver(entity, role="FC")
    request = make_request(entity, asks(boss), asks(boss))
    move = {"actor": f"user:{clerk.pk}", "request_id": request.pk, "from_id": boss.pk, "comment": "left"}
    for wrong, error in (
        (outsider, NoApprover),
        (request.requester, InvolvedMayNotDecide),
        (clerk, DelegationRefused),
    ):
        with pytest.raises(error):
            services.reassign_request(**move, to_id=wrong.pk)

    services.reassign_request(**move, to_id=other.pk)

    assert [level.approvers for level in request.levels.all()] == [[other.pk]] * 2
    with pytest.raises(NotAskedToDecide):
        decide(request, boss)
    assert decide(request, other).state == RequestState.APPROVED
    assert_invariants_hold()


def test_one_request_is_delegated_and_commented(entity, boss):
    other = make_approver(entity)
    request, another = make_request(entity, asks(boss)), make_request(entity)
    services.comment_on_request(actor=f"user:{other.pk}", request_id=request.pk, comment="Is it budgeted?")
    services.delegate_request(
        actor=f"user:{boss.pk}", request_id=request.pk, to_id=other.pk, at=timezone.now(), comment="away"
    )

    with pytest.raises(NotAskedToDecide):
        decide(another, other)
    assert decide(request, other).state == RequestState.APPROVED
    said = list(request.actions.order_by("number").values_list("action", flat=True))
    assert said == ["request", "comment", "delegate", "approve"]


def test_a_subject_of_another_entity_is_another_subject(entity, boss):
    subject = uuid7()
    make_approval_rule(entity, asks(boss), is_fallback=True)
    mine = make_request(entity, subject_id=subject)
    make_request(make_entity(), subject_id=subject)
    mine.refresh_from_db()
    assert mine.state == RequestState.PENDING
