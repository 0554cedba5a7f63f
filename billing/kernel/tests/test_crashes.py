"""Workers killed with SIGKILL before each of their statements in turn: nothing is lost, nothing happens twice."""

from datetime import timedelta
from itertools import count

import pytest
from django.db import transaction
from django.utils import timezone

from billing.kernel.background_jobs import run_job
from billing.kernel.delivery import deliver_event
from billing.kernel.idempotency_keys import claim_once
from billing.kernel.models import AuditEntry, DeliveryState, EventDelivery, Job, JobState, OutboxEvent
from billing.kernel.sealing import seal_audit, verify_audit
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.makers import make_delivery, make_line
from billing.kernel.tests.processes import in_a_child

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

EARLIER = timedelta(seconds=1)


def leave_a_mark(payload: dict) -> None:
    OutboxEvent.objects.create(name="mark.left", payload=payload)


def marks(number: object) -> int:
    return OutboxEvent.objects.filter(name="mark.left", payload={"number": str(number)}).count()


def test_a_delivery_outlives_its_worker(subscribers):
    subscribers["thing.happened"] = {"test.reaction": leave_a_mark}
    for statement in count(1):
        event = OutboxEvent.objects.create(name="thing.happened", payload={"number": str(statement)})
        row = make_delivery(event=event)

        finished = in_a_child(
            lambda row=row: deliver_event(delivery_id=row.pk), killed_after_statements=statement
        )

        row.refresh_from_db()
        assert finished is (row.state == DeliveryState.DELIVERED)
        assert marks(statement) == (1 if finished else 0)
        if finished:
            break
        if row.attempts:
            assert deliver_event(delivery_id=row.pk) is False  # the lease is still the dead worker's
        EventDelivery.objects.filter(pk=row.pk).update(due_at=timezone.now() - EARLIER)
        assert deliver_event(delivery_id=row.pk) is True
        assert marks(statement) == 1
    assert statement > 5  # it was killed at work, not only before


def test_a_job_outlives_its_worker(handlers):
    def work(claimed, progress):
        progress(1, 2)
        with transaction.atomic():
            if claim_once(principal=str(claimed.pk), key="mark", route=""):
                leave_a_mark({"number": str(claimed.pk)})
        return {"done": True}

    handlers("test.work")(work)
    for statement in count(1):
        row = Job.objects.create(kind="test.work", requested_by="user:1")

        finished = in_a_child(lambda row=row: run_job(job_id=row.pk), killed_after_statements=statement)

        row.refresh_from_db()
        assert finished is (row.state == JobState.SUCCEEDED)
        if finished:
            break
        if row.attempts:
            assert run_job(job_id=row.pk) is False
        Job.objects.filter(pk=row.pk, state=JobState.RUNNING).update(leased_until=timezone.now() - EARLIER)
        assert run_job(job_id=row.pk) is True
        assert marks(row.pk) == 1
    assert statement > 5


def test_a_seal_is_whole_or_not_there():
    for statement in count(1):
        make_line()
        before = verify_audit().entries

        finished = in_a_child(seal_audit, killed_after_statements=statement)

        sealed = AuditEntry.objects.filter(seal__isnull=False).count()
        assert sealed == (before + 1 if finished else before)
        assert verify_audit().broken is None
        if finished:
            break
        seal_audit()
    assert statement > 4
    assert verify_audit().unsealed == 0
    assert_invariants_hold()
