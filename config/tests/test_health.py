from decimal import Decimal

import pytest
from django.db import OperationalError, connection

from billing.kernel.models import EventDelivery, Job, OutboxEvent
from config import health


def test_health_asks_nobody(client):
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_when_everything_is(client):
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert set(answer.json()["checks"].values()) == {"ok"}


@pytest.mark.django_db
def test_not_ready_without_the_database(client, monkeypatch):
    def gone():
        raise OperationalError("password authentication failed for user 'billing'")

    monkeypatch.setattr(health, "_database", gone)
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert "password" not in answer.content.decode()


@pytest.mark.django_db
def test_not_ready_with_pending_migrations(client, monkeypatch):
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda self, targets: ["0002"])
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["checks"]["migrations"]) == (503, "pending")


@pytest.mark.django_db
def test_not_ready_under_another_isolation_level(client):
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'repeatable read'")
    try:
        answer = client.get("/ready")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_isolation = 'read committed'")
    assert (answer.status_code, answer.json()["checks"]["isolation"]) == (503, "wrong")


@pytest.mark.django_db
def test_degraded_but_ready_without_the_broker(client, settings, tmp_path):
    settings.CELERY_BROKER_URL = f"redis+socket://{tmp_path}/nothing.sock"
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["checks"]["broker"] == "unavailable"


def owed(**overrides) -> EventDelivery:
    event = OutboxEvent.objects.create(name="thing.happened", payload={})
    return EventDelivery.objects.create(event=event, subscriber="test", **overrides)


@pytest.mark.django_db
def test_degraded_when_deliveries_are_late(client):
    owed(due_at="2020-01-01T00:00:00Z")
    answer = client.get("/ready")
    assert (answer.status_code, answer.json()["checks"]["outbox"]) == (200, "late")


@pytest.mark.django_db
def test_metrics_count_what_waits_and_what_is_stuck(client):
    owed(due_at="2020-01-01T00:00:00Z")
    owed(state="dead")
    Job.objects.create(kind="report", requested_by="user:1")

    lines = client.get("/metrics").content.decode().splitlines()

    assert 'billing_outbox_deliveries{state="pending"} 1.0' in lines
    assert 'billing_outbox_deliveries{state="dead"} 1.0' in lines
    assert 'billing_jobs{state="queued"} 1.0' in lines
    assert "billing_audit_unsealed 0.0" in lines
    assert any(line.startswith("billing_deadlocks ") for line in lines)
    oldest = next(line for line in lines if line.startswith("billing_outbox_oldest_seconds "))
    assert Decimal(oldest.split()[1]) > 180_000_000


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("token", "sent", "status"),
    [
        ("", {"REMOTE_ADDR": "192.0.2.1"}, 403),
        ("", {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.1"}, 403),
        ("", {"REMOTE_ADDR": "::1"}, 200),
        ("secret", {"REMOTE_ADDR": "127.0.0.1"}, 403),
        ("secret", {"HTTP_AUTHORIZATION": "Bearer secrets"}, 403),
        ("secret", {"HTTP_AUTHORIZATION": "Bearer secret", "REMOTE_ADDR": "192.0.2.1"}, 200),
    ],
)
def test_metrics_are_not_for_everyone(client, settings, token, sent, status):
    settings.METRICS_TOKEN = token
    assert client.get("/metrics", **sent).status_code == status
