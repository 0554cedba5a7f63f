"""Deadlocks and lock timeouts between two real connections, made certain; and how often is tried again."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.db import OperationalError, connection, transaction

from billing.kernel import retrying as kernel_retrying
from billing.kernel.background_jobs import run_job
from billing.kernel.errors import TransactionConflict
from billing.kernel.models import IdempotencyKey, Job, JobState, OutboxEvent
from billing.kernel.retrying import RETRIES_MAX, retrying
from billing.kernel.tests.races import start_rival
from billing.kernel.tests.wire import JobViewSet

committing = pytest.mark.django_db(transaction=True)
wire = pytest.mark.urls("billing.kernel.tests.wire")
JOBS = "/api/v1/enterprise-billing/jobs"


def make_job(**overrides) -> Job:
    return Job.objects.create(**{"kind": "test", "requested_by": "user:1"} | overrides)


def lock(job: Job) -> None:
    Job.objects.locked().get(pk=job.pk)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def fail(state: str) -> None:
    """What PostgreSQL says when it breaks a transaction off."""
    execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")


def always(state: str) -> tuple[list[int], object]:
    calls: list[int] = []

    @retrying
    @transaction.atomic
    def work() -> None:
        calls.append(1)
        OutboxEvent.objects.create(name="half.done", payload={})
        fail(state)

    return calls, work


@committing
def test_who_loses_a_deadlock_does_his_work_again():
    one, other = make_job(), make_job()
    rivals = []

    @transaction.atomic
    def in_the_opposite_order() -> None:
        execute("SET LOCAL deadlock_timeout = '1min'")  # so that it is always we who find out
        lock(other)
        lock(one)
        Job.objects.filter(pk=one.pk).update(total=7)

    @retrying
    @transaction.atomic
    def change() -> None:
        execute("SET LOCAL deadlock_timeout = '10ms'")
        lock(one)
        OutboxEvent.objects.create(name="thing.changed", payload={})
        if not rivals:
            rivals.append(start_rival(in_the_opposite_order))
        lock(other)
        Job.objects.filter(pk=other.pk).update(total=Job.objects.get(pk=one.pk).total)

    change()
    rivals[0].result(timeout=5)

    other.refresh_from_db()
    assert other.total == 7  # the second try has read what the rival committed
    assert OutboxEvent.objects.count() == 1


@committing
def test_who_waited_too_long_for_a_lock_tries_again():
    job, held, let_go, tries = make_job(), Event(), Event(), []

    def hold() -> None:
        try:
            with transaction.atomic():
                lock(job)
                held.set()
                assert let_go.wait(timeout=10)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        holder = pool.submit(hold)
        assert held.wait(timeout=10)

        @retrying
        @transaction.atomic
        def change() -> None:
            if tries:
                let_go.set()
                holder.result(timeout=5)
            tries.append(1)
            execute("SET LOCAL lock_timeout = '20ms'")
            lock(job)
            Job.objects.filter(pk=job.pk).update(total=7)

        change()

    job.refresh_from_db()
    assert (job.total, len(tries)) == (7, 2)


@committing
@pytest.mark.parametrize("state", ["40P01", "40001", "55P03"])
def test_after_the_last_try_nothing_is_left_and_the_caller_may_come_again(state):
    calls, work = always(state)

    with pytest.raises(TransactionConflict) as refusal:
        work()

    assert len(calls) == 1 + RETRIES_MAX == 4
    assert (refusal.value.status, refusal.value.code, refusal.value.retry_after) == (
        503,
        "transaction-conflict",
        1,
    )
    assert not OutboxEvent.objects.exists()


@committing
def test_who_has_waited_for_long_is_not_made_to_wait_on(monkeypatch):
    monkeypatch.setattr(kernel_retrying, "RETRY_SECONDS_MAX", -1)
    calls, work = always("55P03")
    with pytest.raises(TransactionConflict):
        work()
    assert len(calls) == 1


@committing
@pytest.mark.parametrize("state", ["57014", "25006", "53100", "23505"])
def test_other_refusals_are_not_tried_again(state):
    calls, work = always(state)
    with pytest.raises(Exception, match="no") as error:
        work()
    assert not isinstance(error.value, TransactionConflict)
    assert len(calls) == 1


@committing
def test_inside_of_another_transaction_the_error_goes_on_to_who_began_it():
    calls, work = always("40P01")
    with pytest.raises(OperationalError), transaction.atomic():
        work()
    assert len(calls) == 1
    assert not OutboxEvent.objects.exists()


def deadlocked(monkeypatch, method: str, *, times: int) -> list[int]:
    """Let the handler lose that many deadlocks after its work is done."""
    lost: list[int] = []
    handler = getattr(JobViewSet, method)

    def handle(self, request, *args, **kwargs):
        response = handler(self, request, *args, **kwargs)
        if len(lost) < times:
            lost.append(1)
            fail("40P01")
        return response

    handle.kwargs = getattr(handler, "kwargs", {})
    monkeypatch.setattr(JobViewSet, method, handle)
    return lost


@committing
@wire
@pytest.mark.parametrize("headers", [{}, {"HTTP_IDEMPOTENCY_KEY": "order-1"}])
def test_a_request_that_loses_a_deadlock_has_its_effect_once(api, monkeypatch, headers):
    lost = deadlocked(monkeypatch, "create", times=2)
    answer = api().post(JOBS, {"kind": "report"}, **headers)
    assert (answer.status_code, len(lost), Job.objects.count()) == (201, 2, 1)


@committing
@wire
def test_a_change_that_loses_a_deadlock_has_its_effect_once(api, monkeypatch):
    job = make_job()
    lost = deadlocked(monkeypatch, "partial_update", times=1)
    answer = api().patch(f"{JOBS}/{job.pk}", {"kind": "other"}, HTTP_IF_MATCH=f'"{job.version}"')
    assert (answer.status_code, len(lost)) == (200, 1)
    job.refresh_from_db()
    assert (job.kind, job.version) == ("other", 2)


@committing
@wire
def test_a_request_that_keeps_losing_is_told_when_to_come_again_and_may(api, monkeypatch):
    lost = deadlocked(monkeypatch, "create", times=4)

    refused = api().post(JOBS, {"kind": "report"}, HTTP_IDEMPOTENCY_KEY="order-1")

    assert (refused.status_code, refused["Retry-After"], refused.json()["code"]) == (
        503,
        "1",
        "transaction-conflict",
    )
    assert len(lost) == 4
    assert not Job.objects.exists()
    row = IdempotencyKey.objects.get()
    assert (row.status, row.locked_until) == (None, None)
    again = api().post(JOBS, {"kind": "report"}, HTTP_IDEMPOTENCY_KEY="order-1")
    assert (again.status_code, Job.objects.count()) == (201, 1)


@committing
@pytest.mark.parametrize(
    ("state", "expected", "code"),
    [("40P01", JobState.QUEUED, "transaction-conflict"), ("57014", JobState.FAILED, "internal")],
)
def test_a_job_whose_own_transaction_lost_goes_back_into_the_queue(handlers, state, expected, code):
    handlers("test")(lambda claimed, progress: fail(state))
    job = make_job()

    assert run_job(job_id=job.pk) is False

    job.refresh_from_db()
    assert (job.state, job.error["code"]) == (expected, code)
