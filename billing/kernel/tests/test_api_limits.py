import pytest
from limits.errors import StorageError

from billing.kernel.api import throttling

pytestmark = [pytest.mark.django_db, pytest.mark.urls("billing.kernel.tests.wire")]
ECHO = "/api/v1/enterprise-billing/echo"
JOBS = "/api/v1/enterprise-billing/jobs"


def test_the_fourth_of_three_a_minute_is_refused_and_told_when_to_come_back(api):
    answers = [api().post(ECHO, {}) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"echoview";q=3;w=60'}
    assert answers[3]["Content-Type"] == "application/problem+json"
    assert 1 <= int(answers[3]["Retry-After"]) <= 61


def test_each_user_has_their_own_count(api):
    for _ in range(4):
        api().post(ECHO, {})
    assert api().post(ECHO, {}, HTTP_X_SOMEBODY="2").status_code == 200


def test_a_views_own_limit_leaves_the_general_one_alone(api):
    for _ in range(4):
        api().post(ECHO, {})
    assert api().get(JOBS)["RateLimit-Policy"] == '"default";q=600;w=60'
    assert api().get(JOBS).status_code == 200


def test_a_limit_that_cannot_be_counted_stops_nobody_and_is_counted_here(api, monkeypatch, caplog):
    class Down:
        def hit(self, *args):
            raise StorageError(ConnectionError("gone"))

    monkeypatch.setattr(throttling, "shared", Down)
    assert [api().post(ECHO, {}).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert "does not answer" in caplog.text


def test_a_storage_that_is_not_there_is_the_same_as_one_that_does_not_answer(api, settings, tmp_path):
    settings.RATE_LIMIT_STORAGE = f"redis+unix://{tmp_path}/nothing.sock"
    throttling.shared.cache_clear()
    assert api().post(ECHO, {}).status_code == 200
