import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from billing.kernel.api import idempotency
from billing.kernel.models import IdempotencyKey, Job
from billing.kernel.tests.races import start_rival
from billing.kernel.tests.wire import JobViewSet

pytestmark = [pytest.mark.django_db, pytest.mark.urls("billing.kernel.tests.wire")]
JOBS = "/api/v1/enterprise-billing/jobs"
ORDER = {"kind": "report", "total": 5}


def post(client, body=ORDER, *, key: str = "order-1", url: str = JOBS, **headers):
    return client.post(url, body, HTTP_IDEMPOTENCY_KEY=key, **headers)


def test_a_repetition_gets_the_first_answer_and_has_no_effect(api):
    first = post(api())
    again = post(api())

    assert Job.objects.count() == 1
    assert (first.status_code, first.has_header("Idempotent-Replayed")) == (201, False)
    assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")
    assert again.content == first.content
    for header in ("Location", "ETag", "Content-Type"):
        assert again[header] == first[header]
    assert again["X-Request-Id"] != first["X-Request-Id"]


def test_the_spelling_of_the_body_does_not_matter(api):
    post(api())
    body = b'{ "total":5,   "k\\u0069nd": "report" }'
    again = api().generic("POST", JOBS, body, content_type="application/json", HTTP_IDEMPOTENCY_KEY="order-1")
    assert again["Idempotent-Replayed"] == "true"
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("url", "body"),
    [(JOBS, {"kind": "report", "total": 6}), (JOBS + "?fields=id", ORDER), (JOBS, {"kind": "report"})],
)
def test_another_request_under_the_same_key_is_refused_and_has_no_effect(api, url, body):
    post(api())
    answer = post(api(), body, url=url)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    assert Job.objects.count() == 1


def test_keys_are_each_principals_own(api):
    post(api())
    other = post(api(), HTTP_X_SOMEBODY="2")
    assert not other.has_header("Idempotent-Replayed")
    assert Job.objects.count() == 2


@pytest.mark.parametrize("key", ["", " ", "a b", "a" * 256, "é", "a/b", "a\tb"])
def test_a_malformed_key_is_refused_and_has_no_effect(api, key):
    answer = post(api(), key=key)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-malformed")
    assert not Job.objects.exists()


def test_where_money_moves_a_key_is_required(api):
    job = Job.objects.create(kind="report", requested_by="user:1")
    answer = api().post(f"{JOBS}/{job.pk}/pay")
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-required")


def test_a_rules_refusal_is_the_answer_from_then_on(api):
    first = post(api(), {"kind": "refused"})
    again = post(api(), {"kind": "refused"})
    assert (first.status_code, again.status_code) == (409, 409)
    assert again["Idempotent-Replayed"] == "true"
    assert again["Content-Type"] == "application/problem+json"
    assert again.json() == first.json()
    assert not Job.objects.exists()


def test_a_malformed_request_is_not_remembered(api):
    assert post(api(), {"kind": 5}).status_code == 400
    assert not IdempotencyKey.objects.exists()
    assert post(api()).status_code == 201


def test_what_was_unavailable_may_be_tried_again(api):
    for _ in range(2):
        answer = post(api(), {"kind": "unavailable"})
        assert (answer.status_code, answer["Retry-After"]) == (503, "7")
        assert not answer.has_header("Idempotent-Replayed")
    assert not Job.objects.exists()
    assert IdempotencyKey.objects.get().status is None


def test_a_bug_leaves_nothing_behind_and_may_be_tried_again(api, monkeypatch):
    answer = post(api(raise_bugs=False), {"kind": "bug"})
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert b"secret" not in answer.content
    assert not Job.objects.exists()
    assert IdempotencyKey.objects.get().locked_until is None


def test_while_the_first_is_running_the_second_is_told_to_wait(api):
    post(api())
    Job.objects.all().delete()
    IdempotencyKey.objects.update(status=None, body="", locked_until=Now() + timedelta(seconds=30))

    answer = post(api())

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-in-flight")
    assert answer["Retry-After"] == "1"
    assert not Job.objects.exists()


def test_after_a_crash_the_key_can_be_used_again_once_its_lease_is_over(api):
    post(api())
    Job.objects.all().delete()
    IdempotencyKey.objects.update(status=None, body="", locked_until=Now() - timedelta(seconds=1))

    answer = post(api())

    assert (answer.status_code, Job.objects.count()) == (201, 1)
    assert not answer.has_header("Idempotent-Replayed")


def test_who_lost_the_lease_adds_no_second_effect(api, monkeypatch):
    taken = {}

    def lose_it(self, *args, **kwargs):
        Job.objects.create(kind="too late", requested_by="user:1")
        IdempotencyKey.objects.update(locked_until=Now() + timedelta(minutes=5))
        taken["by"] = "somebody else"
        return JobViewSet.reply(self, Job.objects.get(), created=True)

    monkeypatch.setattr(JobViewSet, "create", lose_it)
    answer = post(api())

    assert taken
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-in-flight")
    assert not Job.objects.exists()


def test_what_is_shown_once_is_not_stored(api, monkeypatch):
    monkeypatch.setattr(JobViewSet, "idempotency_masked", ("kind",))
    first, again = post(api()), post(api())
    assert (first.json()["kind"], again.json()["kind"]) == ("report", None)
    assert "report" not in IdempotencyKey.objects.get().body


def test_a_durable_service_may_run_outside_of_our_transaction(api, monkeypatch):
    monkeypatch.setattr(JobViewSet, "idempotency_separate_transaction", True)
    first, again = post(api()), post(api())
    assert (first.status_code, again["Idempotent-Replayed"], Job.objects.count()) == (201, "true", 1)


@pytest.mark.django_db(transaction=True)
def test_of_sixteen_at_once_one_has_an_effect(api):
    ready = Barrier(16)

    def send(_) -> tuple[int, str]:
        ready.wait(timeout=30)
        try:
            answer = post(api())
            return answer.status_code, answer.get("Idempotent-Replayed", "")
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=16) as crowd:
        answers = list(crowd.map(send, range(16)))

    assert Job.objects.count() == 1
    assert answers.count((201, "")) == 1
    assert set(answers) <= {(201, ""), (201, "true"), (409, "")}


@pytest.mark.django_db(transaction=True)
def test_of_two_that_find_an_expired_lease_one_takes_it_over(api):
    post(api())
    Job.objects.all().delete()
    IdempotencyKey.objects.update(status=None, body="", locked_until=Now() - timedelta(seconds=1))
    row = IdempotencyKey.objects.get()

    with transaction.atomic():
        assert idempotency._taken_over(row)
        rival = start_rival(lambda: post(api()))

    assert rival.result(timeout=5).json()["code"] == "idempotency-in-flight"
    assert not Job.objects.exists()


def test_amounts_that_look_alike_are_different_requests():
    class Request:
        method = "POST"

        def __init__(self, body):
            self.data = body

        def get_full_path(self):
            return JOBS

    number = json.loads('{"a": 1.0}', parse_float=Decimal)
    prints = {idempotency.fingerprint_of(Request(body)) for body in (number, {"a": "1.0"}, {"a": 1})}
    assert len(prints) == 3
