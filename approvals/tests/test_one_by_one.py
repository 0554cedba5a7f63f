"""Nightly work on many requests: one that fails, or that somebody is at, holds up no other."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from approvals import services
from approvals.models import ApprovalAction, ApprovalRequest
from approvals.services import closing, reminders
from approvals.services.actions import locked_request, record_action
from approvals.services.reminders import Chased, unchased
from approvals.states import RequestState
from approvals.tests.makers import make_request
from billing.entities.tests.makers import make_entity
from billing.kernel.tests.invariants import assert_invariants_hold


@pytest.fixture
def requests() -> list[ApprovalRequest]:
    entity = make_entity()
    return [make_request(entity) for _ in range(3)]


def fails_for(monkeypatch, module, wrong: ApprovalRequest) -> None:
    """Once it has written something, by a statement that the database refuses."""

    def record(request, **given):
        action = record_action(request, **given)
        if request.pk == wrong.pk:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE approval_requests SET amount = -1 WHERE id = %s", [request.pk])
        return action

    monkeypatch.setattr(module, "record_action", record)


def states(requests: list[ApprovalRequest]) -> list[str]:
    found = ApprovalRequest.objects.in_bulk([request.pk for request in requests])
    return [found[request.pk].state for request in requests]


@pytest.mark.django_db
def test_a_request_that_cannot_be_ended_holds_up_no_other_and_is_tried_again(requests, monkeypatch):
    _, wrong, _ = requests
    day = wrong.expires_on
    fails_for(monkeypatch, closing, wrong)

    done = services.expire_requests(actor="task:x", as_of=day)

    assert (done.expired, set(done.failed)) == (2, {wrong.pk})
    assert states(requests) == [RequestState.EXPIRED, RequestState.PENDING, RequestState.EXPIRED]
    assert not ApprovalAction.objects.filter(request=wrong, action="expire").exists()
    out, said = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="1 request"):
        call_command("expire_approvals", as_of=day, stdout=out, stderr=said)
    assert out.getvalue() == f"expired=0 failed=1 as_of={day}\n"
    assert said.getvalue().startswith(f"{wrong.pk}: ")

    monkeypatch.undo()
    assert services.expire_requests(actor="task:x", as_of=day).expired == 1
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_request_that_cannot_be_chased_holds_up_no_other_and_is_tried_again(requests, monkeypatch):
    _, wrong, _ = requests
    day = wrong.due_on
    fails_for(monkeypatch, reminders, wrong)

    done = services.remind_approvers(actor="task:x", as_of=day)

    assert (done.reminded, set(done.failed)) == (2, {wrong.pk})
    assert [request.pk for request in unchased(as_of=day)] == [wrong.pk]
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 request"):
        call_command("remind_approvers", as_of=day, stdout=out, stderr=io.StringIO())
    assert out.getvalue() == f"reminded=0 escalated=0 failed=1 as_of={day}\n"

    monkeypatch.undo()
    assert services.remind_approvers(actor="task:x", as_of=day) == Chased(reminded=1)


@pytest.mark.django_db(transaction=True)
def test_who_is_deciding_is_not_waited_for_and_holds_up_no_other(requests):
    busy, *others = requests
    day = busy.expires_on + timedelta(days=1)

    def expire():
        try:
            return services.expire_requests(actor="task:x", as_of=day)
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        locked_request(busy.pk)
        done = pool.submit(expire).result(timeout=5)
        assert (done.expired, done.failed) == (2, {})
    assert states([busy, *others]) == [RequestState.PENDING, RequestState.EXPIRED, RequestState.EXPIRED]

    assert services.expire_requests(actor="task:x", as_of=day).expired == 1


@pytest.mark.django_db(transaction=True)
def test_each_is_ended_in_a_transaction_of_its_own(requests, monkeypatch):
    """The third dies with the process: the first two are over."""
    ended = []

    def dies(request, **given):
        if len(ended) == 2:
            raise KeyboardInterrupt
        ended.append(request.pk)
        return record_action(request, **given)

    monkeypatch.setattr(closing, "record_action", dies)
    with pytest.raises(KeyboardInterrupt):
        services.expire_requests(actor="task:x", as_of=requests[0].expires_on)
    assert ended == [request.pk for request in requests[:2]]
    assert states(requests) == [RequestState.EXPIRED, RequestState.EXPIRED, RequestState.PENDING]
