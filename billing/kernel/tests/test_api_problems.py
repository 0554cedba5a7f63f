import logging

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import ProtectedError

from billing.kernel import audit
from billing.kernel.api.problems import problem_of
from billing.kernel.models import AuditEntry, IdempotencyKey, Job, OutboxEvent
from billing.kernel.tests.races import start_rival
from billing.kernel.tests.wire import JobViewSet

pytestmark = [pytest.mark.django_db, pytest.mark.urls("billing.kernel.tests.wire")]
JOBS = "/api/v1/enterprise-billing/jobs"


def refused(statement: str) -> tuple[dict, dict]:
    with pytest.raises(DatabaseError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    return problem_of(refusal.value)


def raised(state: str) -> tuple[dict, dict]:
    return refused(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")


def test_a_broken_check_is_422_with_its_name():
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        Job.objects.create(kind="a", requested_by="b", done=5, total=1)
    body, _ = problem_of(refusal.value)
    assert (body["status"], body["constraint"]) == (422, "job_progress_within_total")


def test_a_broken_unique_rule_is_409_with_its_name():
    row = {"principal": "a", "key": "b", "route": "c", "fingerprint": "d"}
    IdempotencyKey.objects.create(**row)
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        IdempotencyKey.objects.create(**row)
    body, _ = problem_of(refusal.value)
    assert (body["status"], body["code"]) == (409, "conflict")
    assert body["constraint"] == "one_write_per_principal_and_key"


def test_what_a_trigger_forbids_is_409():
    event = OutboxEvent.objects.create(name="a", payload={})
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        OutboxEvent.objects.filter(pk=event.pk).update(name="b")
    assert problem_of(refusal.value)[0]["status"] == 409


@pytest.mark.parametrize(
    ("state", "status", "code", "retry_after"),
    [
        ("23505", 409, "conflict", None),
        ("23P01", 409, "conflict", None),
        ("23001", 409, "conflict", None),
        ("23503", 422, "rule-violated", None),
        ("23514", 422, "rule-violated", None),
        ("55P03", 409, "busy", "1"),
        ("40P01", 503, "transaction-conflict", "1"),
        ("40001", 503, "transaction-conflict", "1"),
        ("57014", 503, "too-slow", "5"),
        ("25006", 503, "read-only", "30"),
        ("53100", 503, "unavailable", "30"),
        ("57P01", 503, "unavailable", "5"),
        ("53300", 503, "unavailable", "5"),
        ("22003", 400, "invalid-request", None),
    ],
)
def test_each_refusal_of_the_database_has_its_answer(state, status, code, retry_after):
    body, headers = raised(state)
    assert (body["status"], body["code"], headers.get("Retry-After")) == (status, code, retry_after)


@pytest.mark.parametrize("state", ["42501", "42P01", "23502"])
def test_our_own_mistakes_are_not_dressed_up(state):
    with pytest.raises(DatabaseError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")
    assert problem_of(refusal.value) is None


def test_the_database_really_refuses_to_write_while_read_only():
    body, headers = refused("SET LOCAL transaction_read_only = on; DELETE FROM jobs")
    assert (body["code"], headers) == ("read-only", {"Retry-After": "30"})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OperationalError("server closed the connection"), 503),
        (InterfaceError("connection already closed"), 503),
        (ProtectedError("used", set()), 409),
        (PermissionDenied("internal words"), 403),
        (RequestDataTooBig("internal words"), 413),
        (SuspiciousOperation("internal words"), 400),
        (RecursionError(), 400),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), 400),
    ],
)
def test_what_else_a_request_can_cause_is_a_problem(error, status):
    body, _ = problem_of(error)
    assert body["status"] == status
    assert "internal words" not in str(body)


@pytest.mark.django_db(transaction=True)
def test_who_waits_too_long_for_a_lock_again_and_again_is_told_to_come_back(api):
    job = Job.objects.create(kind="report", requested_by="user:1")

    def change():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        return api().patch(f"{JOBS}/{job.pk}", {"kind": "other"}, HTTP_IF_MATCH='"1"')

    with transaction.atomic():
        Job.objects.locked().get(pk=job.pk)
        answer = start_rival(change).result(timeout=5)

    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (
        503,
        "transaction-conflict",
        "1",
    )
    job.refresh_from_db()
    assert job.kind == "report"


def test_a_bug_is_a_bare_500_and_the_log_has_the_request(api, caplog):
    with caplog.at_level(logging.ERROR):
        answer = api(raise_bugs=False).post(JOBS, {"kind": "bug"}, HTTP_X_REQUEST_ID="trace-1")
    assert answer.status_code == 500
    assert answer.json()["request_id"] == "trace-1"
    assert "secret" not in answer.content.decode()
    assert "request trace-1 failed" in caplog.text
    assert not Job.objects.exists()


@pytest.mark.parametrize("debug", [True, False])
def test_an_unknown_address_is_a_problem_also_in_development(api, settings, debug):
    settings.DEBUG = debug
    answer = api().get("/api/v1/nothing")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_a_request_id_is_echoed_if_it_is_one_and_made_otherwise(api):
    assert api().get(JOBS, HTTP_X_REQUEST_ID="a.B_c:1-2")["X-Request-Id"] == "a.B_c:1-2"
    for bad in ("", "a b", "a" * 65, "a\r\nb", "é", "<script>"):
        made = api().get(JOBS, HTTP_X_REQUEST_ID=bad)["X-Request-Id"]
        assert len(made) == 36
        assert made != bad


def test_the_request_is_named_in_the_audit_trail(api, monkeypatch):
    def create(self, request):
        job = Job.objects.create(kind="a", requested_by=self.actor)
        audit.record(actor=self.actor, action="job.made", subject=job)
        return self.reply(job, created=True)

    monkeypatch.setattr(JobViewSet, "create", create)
    api().post(JOBS, {}, HTTP_X_REQUEST_ID="trace-2", REMOTE_ADDR="192.0.2.7")
    line = AuditEntry.objects.get(kind="verb")
    assert (line.request_id, line.ip) == ("trace-2", "192.0.2.7")
