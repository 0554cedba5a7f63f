"""The watch over lock order sees what it is there for."""

import pytest
from django.db import connection, transaction

from billing.kernel.models import Job, OutboxEvent
from billing.kernel.tests.locking import LocksOutOfOrder, lock_order
from billing.kernel.tests.makers import make_delivery

pytestmark = pytest.mark.django_db
ORDER = ("outbox_deliveries", "jobs")


def make_job() -> Job:
    return Job.objects.create(kind="test", requested_by="user:1")


def watched():
    return lock_order(ORDER)


def test_the_order_may_be_kept_and_locks_repeated():
    delivery, jobs = make_delivery(), [make_job(), make_job()]
    with watched() as watch, transaction.atomic():
        type(delivery).objects.locked().get(pk=delivery.pk)
        list(Job.objects.locked())
        type(delivery).objects.locked().get(pk=delivery.pk)
        type(delivery).objects.filter(pk=delivery.pk).update(attempts=1)
        Job.objects.update(total=1)
        Job.objects.filter(pk=jobs[0].pk).delete()
    assert watch.taken == ["outbox_deliveries", "jobs"]


def test_a_table_locked_after_a_later_one_is_found():
    delivery, job = make_delivery(), make_job()
    with (
        watched(),
        pytest.raises(LocksOutOfOrder, match="outbox_deliveries after jobs"),
        transaction.atomic(),
    ):
        Job.objects.locked().get(pk=job.pk)
        type(delivery).objects.locked().get(pk=delivery.pk)


def test_so_is_a_plain_update_of_one():
    delivery, job = make_delivery(), make_job()
    with (
        watched(),
        pytest.raises(LocksOutOfOrder, match="outbox_deliveries after jobs"),
        transaction.atomic(),
    ):
        Job.objects.filter(pk=job.pk).update(total=1)
        delivery.attempts = 1
        delivery.save(update_fields=["attempts"])


def test_in_another_transaction_it_may_be_first():
    delivery, job = make_delivery(), make_job()
    with watched():
        with transaction.atomic():
            Job.objects.locked().get(pk=job.pk)
        with transaction.atomic():
            type(delivery).objects.locked().get(pk=delivery.pk)


@pytest.mark.parametrize(
    "take",
    [
        lambda: list(Job.objects.all().locked().order_by()),
        lambda: list(Job.objects.locked().order_by("-pk")),
        lambda: Job.objects.update(total=1),
        lambda: [
            Job.objects.locked().get(pk=pk) for pk in Job.objects.order_by("-pk").values_list("pk", flat=True)
        ],
    ],
    ids=["no order", "another order", "update", "one by one"],
)
def test_rows_of_one_table_out_of_order_are_found(take):
    make_job(), make_job()
    with watched(), pytest.raises(LocksOutOfOrder), transaction.atomic():
        take()


def test_rows_made_by_the_transaction_itself_are_no_locks():
    job = make_job()
    with watched() as watch, transaction.atomic():
        Job.objects.locked().get(pk=job.pk)
        delivery = make_delivery()
        type(delivery).objects.filter(pk=delivery.pk).update(attempts=1)
    assert watch.taken == ["jobs"]


def test_what_an_insert_locks_can_be_told():
    job = make_job()
    with (
        lock_order(ORDER, by_insert={"outbox_events": "outbox_deliveries"}),
        pytest.raises(LocksOutOfOrder, match="outbox_deliveries after jobs"),
        transaction.atomic(),
    ):
        Job.objects.locked().get(pk=job.pk)
        OutboxEvent.objects.create(name="thing.happened", payload={})
    assert not connection.needs_rollback
