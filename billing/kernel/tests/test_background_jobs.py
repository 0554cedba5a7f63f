from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.kernel import background_jobs
from billing.kernel.background_jobs import run_job, start_job, sweep_jobs
from billing.kernel.context import current
from billing.kernel.errors import Conflict, Unavailable
from billing.kernel.models import Job, JobState

QUEUED, RUNNING, SUCCEEDED, FAILED = JobState
LONG_AGO = timedelta(hours=2)


def make_job(**overrides) -> Job:
    return Job.objects.create(**{"kind": "test.work", "requested_by": "user:1"} | overrides)


def fresh(row: Job) -> Job:
    return Job.objects.get(pk=row.pk)


@pytest.mark.django_db(transaction=True)
def test_a_started_job_is_stored_and_rings_after_the_commit(handlers, queued_jobs):
    handlers("test.work")(lambda claimed, progress: None)

    with transaction.atomic():
        started = start_job(kind="test.work", parameters={"on": timezone.localdate()}, requested_by="user:1")
        assert queued_jobs == []

    assert queued_jobs == [("kernel.run_job", {"job_id": str(started.pk)})]
    row = fresh(started)
    assert (row.state, row.attempts, row.requested_by) == (QUEUED, 0, "user:1")
    assert row.parameters == {"on": timezone.localdate().isoformat()}


@pytest.mark.django_db
def test_nobody_starts_a_job_that_nothing_does(handlers, queued_jobs):
    with pytest.raises(AssertionError):
        start_job(kind="test.unknown", parameters={}, requested_by="user:1")

    assert not Job.objects.exists()


@pytest.mark.django_db
def test_a_job_runs_once_for_the_one_who_asked_and_keeps_its_result(handlers):
    seen = []

    @handlers("test.work")
    def work(claimed, progress):
        seen.append((current().actor, current().request_id, claimed.state))
        progress(1, 2)
        seen.append((fresh(claimed).done, fresh(claimed).total))
        progress(2, 2)
        return {"rows": 2}

    row = make_job()

    assert run_job(job_id=row.pk) is True
    assert run_job(job_id=row.pk) is False

    assert seen == [("user:1", f"job:{row.pk}", RUNNING), (1, 2)]
    done = fresh(row)
    assert (done.state, done.done, done.total, done.attempts) == (SUCCEEDED, 2, 2, 1)
    assert (done.result, done.error, done.leased_until) == ({"rows": 2}, None, None)
    assert done.finished_at is not None


@pytest.mark.django_db
def test_a_refusal_is_the_jobs_error(handlers):
    def refuse(claimed, progress):
        raise Conflict("The file was imported before.")

    handlers("test.work")(refuse)
    row = make_job()

    assert run_job(job_id=row.pk) is False

    assert fresh(row).state == FAILED
    assert fresh(row).error == {"code": "conflict", "detail": "The file was imported before."}


@pytest.mark.django_db
def test_a_bug_is_logged_and_tells_the_caller_nothing(handlers, caplog):
    def broken(claimed, progress):
        raise KeyError("secret column")

    handlers("test.work")(broken)
    row = make_job()

    run_job(job_id=row.pk)

    assert fresh(row).state == FAILED
    assert fresh(row).error["code"] == "internal"
    assert "secret" not in str(fresh(row).error)
    assert "secret column" in caplog.text


@pytest.mark.django_db
def test_what_is_unavailable_is_tried_again_later_until_the_attempts_are_spent(handlers):
    def down(claimed, progress):
        raise Unavailable("The ERP is down.", retry_after=60)

    handlers("test.work")(down)
    row = make_job()

    run_job(job_id=row.pk)
    waiting = fresh(row)
    assert (waiting.state, waiting.attempts, waiting.error["code"]) == (QUEUED, 1, "unavailable")
    assert run_job(job_id=row.pk) is False
    assert fresh(row).attempts == 1  # not before its time

    Job.objects.filter(pk=row.pk).update(attempts=4, leased_until=timezone.now() - LONG_AGO)
    run_job(job_id=row.pk)
    assert (fresh(row).state, fresh(row).attempts) == (FAILED, 5)


@pytest.mark.django_db
def test_a_job_under_a_living_lease_is_not_taken_over(handlers):
    handlers("test.work")(lambda claimed, progress: {})
    row = make_job(state=RUNNING, attempts=1, leased_until=timezone.now() + timedelta(minutes=1))

    assert run_job(job_id=row.pk) is False

    assert (fresh(row).state, fresh(row).attempts) == (RUNNING, 1)


@pytest.mark.django_db
def test_a_job_whose_worker_died_is_taken_over_and_at_last_called_poison(handlers):
    handlers("test.work")(lambda claimed, progress: {"ok": True})
    over = timezone.now() - timedelta(seconds=1)
    row = make_job(state=RUNNING, attempts=background_jobs.ATTEMPTS_MAX - 1, leased_until=over)
    poison = make_job(state=RUNNING, attempts=background_jobs.ATTEMPTS_MAX, leased_until=over)

    assert run_job(job_id=row.pk) is True
    assert run_job(job_id=poison.pk) is False

    assert (fresh(row).state, fresh(row).attempts) == (SUCCEEDED, 5)
    assert (fresh(poison).state, fresh(poison).error["code"]) == (FAILED, "poison")


@pytest.mark.django_db
def test_a_kind_nobody_knows_any_more_fails(handlers):
    row = make_job()

    assert run_job(job_id=row.pk) is False

    assert (fresh(row).state, fresh(row).error["code"]) == (FAILED, "unknown-kind")


@pytest.mark.django_db
def test_progress_renews_the_lease(handlers):
    leases = []

    @handlers("test.work")
    def work(claimed, progress):
        Job.objects.filter(pk=claimed.pk).update(leased_until=timezone.now() - LONG_AGO)
        progress(1)
        leases.append(fresh(claimed).leased_until - timezone.now())

    run_job(job_id=make_job().pk)

    assert timedelta(minutes=4) < leases[0] <= timedelta(minutes=5)


@pytest.mark.django_db
def test_a_worker_that_lost_its_job_stops_and_writes_nothing(handlers):
    went_on = []

    @handlers("test.work")
    def work(claimed, progress):
        Job.objects.filter(pk=claimed.pk).update(attempts=2)  # as a second worker's claim does
        progress(1)
        went_on.append(1)

    row = make_job()

    assert run_job(job_id=row.pk) is False

    assert went_on == []
    assert (fresh(row).state, fresh(row).done, fresh(row).error) == (RUNNING, 0, None)


@pytest.mark.django_db
def test_a_result_that_comes_after_a_takeover_is_dropped(handlers):
    @handlers("test.work")
    def work(claimed, progress):
        Job.objects.filter(pk=claimed.pk).update(attempts=2)
        return {"late": True}

    row = make_job()

    assert run_job(job_id=row.pk) is False

    assert (fresh(row).state, fresh(row).result) == (RUNNING, {})


@pytest.mark.django_db
def test_progress_is_refused_inside_the_handlers_own_transaction(handlers, caplog):
    @handlers("test.work")
    def work(claimed, progress):
        with transaction.atomic():
            progress(1)

    row = make_job()
    run_job(job_id=row.pk)

    assert fresh(row).error["code"] == "internal"
    assert "durable" in caplog.text


@pytest.mark.django_db
def test_the_sweep_rings_for_what_nobody_noticed_and_for_dead_workers(
    queued_jobs, django_capture_on_commit_callbacks
):
    now = timezone.now()
    forgotten = make_job(created_at=now - LONG_AGO)
    orphaned = make_job(
        created_at=now - LONG_AGO / 2, state=RUNNING, attempts=1, leased_until=now - timedelta(minutes=1)
    )
    make_job()  # just started: its own bell is on the way
    make_job(created_at=now - LONG_AGO, state=RUNNING, attempts=1, leased_until=now + timedelta(minutes=1))
    make_job(created_at=now - LONG_AGO, state=FAILED, finished_at=now)
    make_job(created_at=now - LONG_AGO, leased_until=now + timedelta(minutes=1))  # put off

    with django_capture_on_commit_callbacks(execute=True):
        assert sweep_jobs() == 2

    assert [arguments["job_id"] for _, arguments in queued_jobs] == [str(forgotten.pk), str(orphaned.pk)]


@pytest.mark.django_db
def test_more_than_all_is_never_done():
    row = make_job()

    with pytest.raises(IntegrityError, match="job_progress_within_total"), transaction.atomic():
        Job.objects.filter(pk=row.pk).update(done=3, total=2)

    assert fresh(row).done == 0
