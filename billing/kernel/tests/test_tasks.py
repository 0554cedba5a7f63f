"""Tasks are thin: they take ids and call one function. Here each is called the way the queue does."""

from datetime import timedelta

import pytest
from celery import current_app
from django.utils import timezone

from billing.kernel import tasks
from billing.kernel.models import AuditEntry, DeliveryState, EventDelivery, IdempotencyKey, Job, JobState
from billing.kernel.tests.makers import make_delivery, make_line

LONG_AGO = timedelta(days=40)


def test_the_names_under_which_work_is_queued_stay():
    names = {name for name in current_app.tasks if name.startswith("kernel.")}
    assert names == {
        "kernel.deliver_event",
        "kernel.sweep_outbox",
        "kernel.run_job",
        "kernel.sweep_jobs",
        "kernel.seal_audit",
        "kernel.purge_idempotency_keys",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("sweep", [False, True])
def test_events_are_delivered(sweep, subscribers):
    heard = []
    subscribers["thing.happened"] = {"test.reaction": heard.append}
    row = make_delivery()

    if sweep:
        tasks.sweep_outbox(unknown_argument_of_a_newer_release=1)
    else:
        tasks.deliver_event(delivery_id=str(row.pk), unknown_argument_of_a_newer_release=1)

    assert heard == [{"thing": "1"}]
    assert EventDelivery.objects.get().state == DeliveryState.DELIVERED


@pytest.mark.django_db
def test_a_job_is_run(handlers):
    handlers("test.work")(lambda claimed, progress: {"ok": True})
    row = Job.objects.create(kind="test.work", requested_by="user:1")

    tasks.run_job(job_id=str(row.pk))

    assert Job.objects.get().state == JobState.SUCCEEDED


@pytest.mark.django_db
def test_forgotten_jobs_are_swept(queued_jobs, django_capture_on_commit_callbacks):
    row = Job.objects.create(kind="test.work", requested_by="user:1", created_at=timezone.now() - LONG_AGO)

    with django_capture_on_commit_callbacks(execute=True):
        tasks.sweep_jobs()

    assert queued_jobs == [("kernel.run_job", {"job_id": str(row.pk)})]


@pytest.mark.django_db
def test_the_trail_is_sealed_to_its_end(monkeypatch):
    monkeypatch.setattr("billing.kernel.sealing.LINES_PER_SEAL_MAX", 2)
    for _ in range(5):
        make_line()

    tasks.seal_audit()

    assert not AuditEntry.objects.filter(seal__isnull=True).exists()
    assert AuditEntry.objects.order_by("-id").first().seal_id == 3


@pytest.mark.django_db
def test_old_keys_are_forgotten():
    for key, age in (("old", LONG_AGO), ("new", timedelta(0))):
        IdempotencyKey.objects.create(
            principal="user:1", key=key, route="/", fingerprint="", created_at=timezone.now() - age
        )

    tasks.purge_idempotency_keys()

    assert IdempotencyKey.objects.get().key == "new"
