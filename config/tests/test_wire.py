"""The whole ring, with the real addresses, keys and sessions."""

import socket

import pytest
from rest_framework.test import APIClient

from billing.entities.tests.makers import make_entity, make_grant, make_key, make_user
from billing.kernel import task_queue
from billing.kernel.models import AuditEntry, AuditKind, Job, OutboxEvent

BASE = "/api/v1/enterprise-billing"
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "header", [None, "Bearer ebk_wrong_key", "Bearer", "Basic YTpi", "Bearer \u00e9", "Bearer a b"]
)
def test_who_is_not_known_is_told_how_to_be(api, header):
    extra = {} if header is None else {"HTTP_AUTHORIZATION": header}
    answer = api().get(f"{BASE}/events", **extra)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer.json()["code"] == "not-authenticated"
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_session_cannot_write_without_its_csrf_token():
    user = make_user()
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user, backend="billing.entities.backends.GrantBackend")
    answer = client.post(f"{BASE}/entities", {})
    assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")


def test_events_are_shown_within_reach_only(api):
    ours, theirs = make_entity(), make_entity()
    below = make_entity(parent=ours)
    seen = [OutboxEvent.objects.create(name="a.b", entity_id=e.pk, payload={}) for e in (ours, below)]
    hidden = OutboxEvent.objects.create(name="a.b", entity_id=theirs.pk, payload={})
    nobodys = OutboxEvent.objects.create(name="a.b", payload={})
    client = api(make_grant(role="FC", entity=ours).user)

    listed = [row["id"] for row in client.get(f"{BASE}/events?name=a.b").json()["results"]]

    assert listed == [str(event.pk) for event in reversed(seen)]
    assert client.get(f"{BASE}/events/{seen[0].pk}").status_code == 200
    for event in (hidden, nobodys):
        assert client.get(f"{BASE}/events/{event.pk}").status_code == 404


def test_the_audit_log_is_for_controllers_and_auditors_within_reach(api):
    ours, theirs = make_entity(), make_entity()
    for entity in (ours, theirs):
        AuditEntry.objects.create(
            kind=AuditKind.VERB,
            action="a.b",
            subject_type="x",
            subject_id="1",
            entity_id=entity.pk,
            actor="user:1",
        )
    for role, status in (("AU", 200), ("FC", 200), ("VW", 403), ("BO", 403), ("SY", 403)):
        answer = api(make_grant(role=role, entity=ours).user).get(f"{BASE}/audit-log?action=a.b")
        assert answer.status_code == status, role
        if status == 200:
            assert [row["entity_id"] for row in answer.json()["results"]] == [str(ours.pk)]


def test_a_job_is_found_by_who_asked_for_it_and_by_nobody_else(api):
    me, other = make_user(), make_user()
    job = Job.objects.create(kind="report", requested_by=f"user:{me.pk}")
    mine, theirs = api(me).get(f"{BASE}/jobs/{job.pk}"), api(other).get(f"{BASE}/jobs/{job.pk}")
    unknown = api(other).get(f"{BASE}/jobs/0197f3c2-8d5e-7a31-9b2c-4f60a1d2e3f4")
    assert (mine.status_code, mine.json()["state"]) == (200, "queued")
    own = {"request_id", "instance"}
    assert theirs.status_code == 404
    assert {k: v for k, v in theirs.json().items() if k not in own} == {
        k: v for k, v in unknown.json().items() if k not in own
    }


def test_keys_are_counted_each_for_itself(api, settings):
    settings.API_RATE_LIMIT = "1/minute"
    entity = make_entity()
    user = make_grant(role="SA", entity=entity).user
    first, second = (make_key(user=user, scopes=["events:read"])[1] for _ in range(2))
    statuses = [api(key=key).get(f"{BASE}/events").status_code for key in (first, first, second)]
    assert statuses == [200, 429, 200]


def test_guessing_keys_is_counted_by_address_whatever_the_guesser_claims(api, settings):
    settings.API_RATE_LIMIT = "2/minute"
    statuses = [
        api(key=f"ebk_guess_{i}").get(f"{BASE}/events", HTTP_X_FORWARDED_FOR=f"192.0.2.{i}").status_code
        for i in range(3)
    ]
    assert statuses == [401, 401, 429]


def test_what_is_not_allowed_is_counted_too(api, settings):
    settings.API_RATE_LIMIT = "1/minute"
    client = api(make_user())
    assert [client.get(f"{BASE}/events").status_code for _ in range(2)] == [403, 429]


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/nothing", f"{BASE}/events/", f"{BASE}/events/1", f"{BASE}/%00"]
)
def test_addresses_that_do_not_exist_are_problems(api, path):
    answer = api().get(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_an_address_outside_of_the_api_keeps_its_pages(client):
    answer = client.get("/nothing")
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert answer["X-Request-Id"]


def test_tests_reach_nothing_but_this_machine():
    with socket.socket() as outward, pytest.raises(OSError, match="may not connect"):
        outward.connect(("192.0.2.1", 80))


@pytest.mark.django_db(transaction=True)
def test_tests_record_what_would_be_queued(queued_jobs):
    task_queue.enqueue("kernel.sweep_outbox", at="once")
    assert queued_jobs == [("kernel.sweep_outbox", {"at": "once"})]
