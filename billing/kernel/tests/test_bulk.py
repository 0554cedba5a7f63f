from datetime import UTC, datetime
from uuid import uuid4

import pytest

from billing.kernel.bulk import update_rows
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
