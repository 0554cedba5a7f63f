"""Approvers who left: what waits for them is found, told to controllers, and handed over to others."""

import io
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from approvals import services
from approvals.errors import InvolvedMayNotDecide, NoApprover
from approvals.models import ApprovalMail, ApprovalRequest
from approvals.stuck_levels import stuck_levels
from approvals.tests.makers import asks, decide, make_approver, make_request
from billing.access.services import deactivate_user
from billing.entities.services import revoke_grant
from billing.entities.tests.makers import make_entity, make_grant
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def entity():
    return make_entity()


def leaves(user, *, how="account"):
    if how == "account":
        deactivate_user(actor="command:x", user_id=user.pk, reason="left")
    else:
        revoke_grant(actor="command:x", grant_id=user.grants.get().pk, reason="left")


def stuck() -> list[tuple]:
    return [(level.request, level.position) for level in stuck_levels(ApprovalRequest.objects.all())]


@pytest.mark.parametrize("how", ["account", "role"])
def test_a_level_is_stuck_once_too_few_may_still_decide(entity, how):
    one, two, three = (make_approver(entity) for _ in range(3))
    request = make_request(entity, asks(one), asks(one, two, three, mode="quorum", quorum=2))
    assert stuck() == []

    leaves(three, how=how)
    assert stuck() == []
    leaves(two, how=how)
    assert stuck() == [(request, 2)]


def test_who_agreed_before_he_left_counts(entity):
    one, two = make_approver(entity), make_approver(entity)
    request = make_request(entity, asks(one, two, mode="all"))
    decide(request, one)

    leaves(one)
    assert stuck() == []
    leaves(two)
    assert stuck() == [(request, 1)]


def test_controllers_with_no_part_in_it_are_told_once_per_stage(entity):
    leaver, controller = make_approver(entity), make_grant(role="FC", entity=entity).user
    asking = make_grant(role="FC", entity=entity).user
    make_grant(role="FC", entity=make_entity())
    request = make_request(entity, asks(leaver), by=asking)
    leaves(leaver)

    for _ in range(2):
        services.remind_approvers(actor="task:x", as_of=request.due_on)

    assert ApprovalMail.objects.get(occasion="stuck").person == controller
    assert not ApprovalMail.objects.filter(occasion="reminder").exists()


def hand_over(leaver, other, actor="command:x"):
    return services.reassign_requests_of(actor=actor, from_id=leaver.pk, to_id=other.pk, comment="left")


def test_what_waits_for_a_leaver_is_handed_over_but_never_to_the_barred(entity):
    leaver, other, asking = make_approver(entity), make_approver(entity), make_approver(entity, role="FC")
    first = make_request(entity, asks(leaver), by=asking)
    second, done = make_request(entity), make_request(entity)
    decide(done, leaver)
    leaves(leaver)

    refused = hand_over(leaver, asking)
    assert [type(item.refusal) for item in refused] == [InvolvedMayNotDecide, type(None)]
    handed = hand_over(leaver, other)

    assert [item.request for item in handed] == [first]
    assert first.levels.get().approvers == [other.pk]
    assert second.levels.get().approvers == [asking.pk]
    assert done.levels.get().approvers == [leaver.pk]
    assert decide(first, other).state == "approved"
    assert_invariants_hold()


def test_one_who_may_not_decide_takes_over_nothing(entity):
    leaver, small = make_approver(entity), make_approver(entity, limits={"EUR": "50"})
    request = make_request(entity, asks(leaver))

    [item] = hand_over(leaver, small)

    assert isinstance(item.refusal, NoApprover)
    assert request.levels.get().approvers == [leaver.pk]
    assert not request.actions.filter(action="reassign").exists()


def test_the_command_hands_over_and_names_what_stays(entity):
    leaver, other, asking = make_approver(entity), make_approver(entity), make_approver(entity, role="FC")
    first = make_request(entity, asks(leaver), by=asking)
    make_request(entity)

    def run(to, *options):
        out, err = io.StringIO(), io.StringIO()
        arguments = ("--from", leaver.email, "--to", to, "--reason", "left", *options)
        try:
            call_command("reassign_approvals", *arguments, stdout=out, stderr=err)
        finally:
            said.append(out.getvalue() + err.getvalue())

    said = []
    run(other.email, "--dry-run")
    with pytest.raises(CommandError, match="somebody else"):
        run(asking.email)
    run(other.email)
    with pytest.raises(CommandError, match="no user"):
        run("nobody@example.com")

    assert "waiting=2" in said[0]
    assert "handed_over=1 refused=1" in said[1]
    assert str(first.pk) in said[1]
    assert "handed_over=1 refused=0" in said[2]


def test_a_controller_finds_and_hands_over_in_the_console(entity):
    leaver, other, controller = make_approver(entity), make_approver(entity), make_approver(entity, role="FC")
    request = make_request(entity, asks(leaver))
    leaves(leaver)
    browser, pages = Client(), "admin:approvals_stuckrequest"
    browser.force_login(controller, backend="billing.entities.backends.GrantBackend")
    assert request.title in browser.get(reverse(f"{pages}_changelist")).content.decode()

    browser.post(
        reverse(f"{pages}_action_reassign", args=[request.pk]),
        {
            "confirm": "1",
            "once": uuid4().hex,
            "from_email": leaver.email,
            "to_email": other.email,
            "comment": "left",
        },
    )

    assert request.levels.get().approvers == [other.pk]
    assert not browser.get(reverse(f"{pages}_changelist")).context["cl"].result_list
    browser.force_login(other, backend="billing.entities.backends.GrantBackend")
    assert browser.get(reverse(f"{pages}_changelist")).status_code == 403
