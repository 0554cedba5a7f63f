from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import DataError, transaction

from billing.kernel.bulk import insert_rows, update_rows
from billing.kernel.models import EventDelivery, Job
from billing.kernel.tests.makers import make_delivery

pytestmark = pytest.mark.django_db


def make_job() -> Job:
    return Job.objects.create(kind="test.job", requested_by="user:1", parameters={"before": 1}, total=9)


def test_every_kind_of_column_is_stored_as_bulk_update_would():
    jobs = [make_job(), make_job()]
    for number, job in enumerate(jobs):
        job.parameters, job.error = {"n": [number, None, "ü"]}, None if number else {"code": "x"}
        job.entity_id, job.done, job.total = uuid4(), number, None
        job.leased_until = datetime(2026, 1, 1 + number, tzinfo=UTC)

    update_rows(jobs, ["parameters", "error", "entity_id", "done", "total", "leased_until"])

    for job in jobs:
        stored = Job.objects.get(pk=job.pk)
        for name in ("parameters", "error", "entity_id", "done", "total", "leased_until"):
            assert getattr(stored, name) == getattr(job, name), name


def test_a_foreign_key_is_stored():
    first, second = make_delivery(), make_delivery()
    first.event, first.subscriber = second.event, "another"

    update_rows([first], ["event", "subscriber"])

    assert EventDelivery.objects.get(pk=first.pk).event_id == second.event_id


def test_it_is_one_statement_and_touches_no_other_row(django_assert_num_queries):
    first, second = make_job(), make_job()
    first.done = second.done = 5

    with django_assert_num_queries(1):
        update_rows([first], ["done"])
    with django_assert_num_queries(0):
        update_rows([], ["done"])

    assert Job.objects.get(pk=first.pk).done == 5
    assert Job.objects.get(pk=second.pk).done == 0


def test_new_rows_are_stored_as_bulk_create_would_and_the_database_fills_in_the_rest(
    django_assert_num_queries,
):
    jobs = [
        Job(
            kind="test.job",
            requested_by="user:1",
            parameters={"n": [n, None, 'ü"\\']},
            entity_id=uuid4(),
            done=n,
        )
        for n in range(2)
    ]

    with django_assert_num_queries(1):
        insert_rows(jobs)
    with django_assert_num_queries(0):
        insert_rows([])

    for job in jobs:
        stored = Job.objects.get(pk=job.pk)
        for name in ("kind", "parameters", "entity_id", "done", "total", "error", "leased_until", "state"):
            assert getattr(stored, name) == getattr(job, name), name
        assert stored.created_at is not None
        assert stored.version == 1


def test_what_is_too_long_is_refused_and_not_cut():
    with pytest.raises(DataError), transaction.atomic():
        insert_rows([Job(kind="x" * 65, requested_by="user:1")])
    job = make_job()
    job.kind = "x" * 65
    with pytest.raises(DataError), transaction.atomic():
        update_rows([job], ["kind"])

    assert list(Job.objects.values_list("kind", flat=True)) == ["test.job"]
