"""Reminders before and after the due day, and somebody else who may decide once the approvers are late."""

import io
from datetime import date, timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import services
from approvals.core.due import Stage, stage_of
from approvals.errors import InvolvedMayNotDecide, NotAskedToDecide
from approvals.exporting import proof_of
from approvals.models import ApprovalAction, ApprovalDelegation
from approvals.proof import check
from approvals.services.reminders import Chased, unchased
from approvals.tests.makers import asks, decide, make_approval_rule, make_approver, make_request
from billing.entities.services import revoke_grant
from billing.entities.tests.makers import make_department, make_entity
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db
DUE, EXPIRES = date(2026, 3, 10), date(2026, 3, 20)


@pytest.fixture
def entity():
    return make_entity()


@pytest.fixture
def boss(entity):
    return make_approver(entity)


def chase(as_of) -> Chased:
    return services.remind_approvers(actor="task:x", as_of=as_of)


def late_request(entity, *levels, **overrides):
    """Asked for eight days ago: three days after its due day."""
    return make_request(entity, *levels, at=timezone.now() - timedelta(days=8), **overrides)


def today():
    return timezone.now().date()


def chased(request) -> list[tuple]:
    actions = request.actions.filter(action__in=["remind", "escalate"]).order_by("number")
    return list(actions.values_list("action", "level", "detail"))


@pytest.mark.parametrize(
    ("as_of", "stage"),
    [
        (date(2026, 3, 8), None),
        (date(2026, 3, 9), Stage.SOON),
        (date(2026, 3, 10), Stage.SOON),
        (date(2026, 3, 11), Stage.LATE),
        (date(2026, 3, 18), Stage.LATE),
        (date(2026, 3, 19), Stage.LAST),
        (date(2026, 3, 20), None),
    ],
)
def test_the_stages_of_waiting(as_of, stage):
    assert stage_of(due_on=DUE, expires_on=EXPIRES, as_of=as_of) == stage


@pytest.mark.parametrize(
    ("due_days", "expires_days"), [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 9), (5, 30)]
)
def test_what_the_query_finds_is_what_the_stages_say_on_every_day(entity, boss, due_days, expires_days):
    make_approval_rule(entity, asks(boss), is_fallback=True, due_days=due_days, expires_days=expires_days)
    request = make_request(entity)
    first = request.created_at.date() - timedelta(days=2)
    days = [first + timedelta(days=number) for number in range(expires_days + 5)]
    assert days[-1] > request.expires_on

    for day in days:
        stage = stage_of(due_on=request.due_on, expires_on=request.expires_on, as_of=day)
        assert list(unchased(as_of=day).values_list("stage", flat=True)) == ([stage] if stage else [])
    for day in days:
        is_found = unchased(as_of=day).exists()
        assert (chase(day) != Chased()) == is_found
        assert not unchased(as_of=day).exists()


def test_each_stage_is_told_once_per_level(entity, boss):
    other = make_approver(entity)
    request = make_request(entity, asks(boss), asks(other))

    assert chase(request.due_on - timedelta(days=2)) == Chased()
    for _ in range(2):
        chase(request.due_on - timedelta(days=1))
        chase(request.due_on)
    assert chased(request) == [("remind", 1, "due soon")]
    decide(request, boss)
    assert chase(request.due_on) == Chased(reminded=1)
    assert chase(request.due_on) == Chased()
    chase(request.expires_on - timedelta(days=1))
    assert chase(request.expires_on) == Chased()

    assert chased(request) == [
        ("remind", 1, "due soon"),
        ("remind", 2, "due soon"),
        ("remind", 2, "expires"),
        ("escalate", 2, f"to {boss.pk} for {other.pk}"),
    ]
    assert_invariants_hold()


def test_what_is_decided_is_not_chased(entity, boss):
    request = late_request(entity, asks(boss))
    decide(request, boss)

    assert chase(today()) == Chased()
    assert chased(request) == []


def test_a_late_request_may_be_decided_by_the_nearest_manager_too(entity, boss):
    """Not by one who is barred, nor by one with a smaller limit: the next above them."""
    top, small, asking = (
        make_approver(entity),
        make_approver(entity, limits={"EUR": "50"}),
        make_approver(entity, role="FC"),
    )
    highest = make_department(entity=entity, manager=top)
    middle = make_department(entity=entity, parent=highest, manager=small)
    lowest = make_department(entity=entity, parent=middle, manager=asking)
    request = late_request(entity, asks(boss), by=asking, department_id=lowest.pk)
    with pytest.raises(NotAskedToDecide):
        decide(request, top)

    assert chase(today()) == Chased(reminded=1, escalated=1)
    assert chase(today()) == Chased()

    assert chased(request) == [("remind", 1, "overdue"), ("escalate", 1, f"to {top.pk} for {boss.pk}")]
    with pytest.raises(InvolvedMayNotDecide):
        decide(request, asking)
    with pytest.raises(NotAskedToDecide):
        decide(request, small)
    assert decide(request, top).state == "approved"
    approval = request.actions.get(action="approve")
    assert (approval.person, approval.on_behalf_of) == (top, boss)
    request.refresh_from_db()
    assert check(proof_of(request))["request"]["state"] == "approved"
    assert_invariants_hold()


def test_without_a_manager_one_of_the_fallback_rule_stands_in(entity, boss):
    request = late_request(entity, asks(boss), kind="general")
    clerk = request.requested_by
    other = make_approver(entity)
    make_approval_rule(entity, asks(boss, clerk, other), kind="", is_fallback=True)

    chase(today())

    assert chased(request)[-1] == ("escalate", 1, f"to {other.pk} for {boss.pk}")
    assert decide(request, boss).state == "approved"  # who was late may still decide


def test_with_nobody_to_stand_in_the_chain_says_so(entity, boss):
    request = late_request(entity, asks(boss))

    chase(today())

    assert chased(request)[-1] == ("escalate", 1, "to nobody")
    assert not ApprovalDelegation.objects.exists()


def test_a_stand_in_is_one_person_however_many_are_late(entity):
    one, two, other = (make_approver(entity) for _ in range(3))
    request = late_request(entity, asks(one, two, mode="all"))
    make_approval_rule(entity, asks(other), kind="", is_fallback=True)

    chase(today())
    decide(request, other)
    request.refresh_from_db()

    assert request.state == "pending"
    assert ApprovalDelegation.objects.count() == 2
    assert decide(request, two).state == "approved"


def test_who_left_is_stood_in_for_by_nobody(entity):
    limited = make_approver(entity, limits={"EUR": "500"})
    other = make_approver(entity)
    request = late_request(entity, asks(limited), amount="400.00")
    make_approval_rule(entity, asks(other), kind="", is_fallback=True)
    grant = limited.grants.get()
    chase(today())
    revoke_grant(actor="command:test", grant_id=grant.pk, reason="left")

    with pytest.raises(NotAskedToDecide):
        decide(request, other)
    request.refresh_from_db()
    assert request.state == "pending"


def test_the_database_takes_no_second_reminder_or_escalation(entity, boss):
    request = late_request(entity, asks(boss))
    chase(today())

    for action in request.actions.filter(action__in=["remind", "escalate"]):
        action.pk = None
        with pytest.raises(IntegrityError, match="one_"), transaction.atomic():
            ApprovalAction.objects.create(
                request=request,
                action=action.action,
                level=1,
                detail=action.detail,
                actor="task:x",
                content_digest=request.digest,
            )
    assert len(chased(request)) == 2


def test_the_command_says_first_and_then_does_once(entity, boss):
    request = late_request(entity, asks(boss))

    def run(*options):
        out = io.StringIO()
        call_command("remind_approvers", *options, stdout=out)
        return out.getvalue()

    assert f"{request.pk} {request} due on {request.due_on}: overdue" in run("--dry-run")
    assert chased(request) == []
    assert "reminded=1 escalated=1" in run()
    assert "reminded=0 escalated=0" in run("--as-of", str(today()))
