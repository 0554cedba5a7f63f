import pytest

from billing.kernel.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.urls("billing.kernel.tests.wire")]
JOBS = "/api/v1/enterprise-billing/jobs"


def test_a_created_object_is_shown_with_its_address_and_its_tag(api):
    answer = api().post(JOBS, {"kind": "report"})

    job = Job.objects.get()
    assert answer.status_code == 201
    assert answer["Location"] == f"http://testserver{JOBS}/{job.pk}"
    assert answer["ETag"] == '"1"'
    assert answer.json() == api().get(answer["Location"]).json()


def test_the_tree(api):
    answer = api().get(JOBS + "/tree?as_of=2026-01-31&depth=3&deep=true")
    assert answer.json() == {"as_of": "2026-01-31", "depth": "3", "deep": "True"}
