"""Is it alive, is it ready, and how is it doing: asked by machines, several times a minute."""

import ipaddress
import logging
import secrets
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.views.decorators.http import require_safe
from kombu import Connection
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from billing.kernel import isolation

logger = logging.getLogger(__name__)
BROKER_PATIENCE_SECONDS = 1
OUTBOX_LAG_SECONDS_MAX = 300
FIGURES = """
    SELECT 'outbox_deliveries', state, count(*) FROM outbox_deliveries WHERE state <> 'delivered' GROUP BY state
    UNION ALL SELECT 'jobs', state, count(*) FROM jobs GROUP BY state
    UNION ALL SELECT 'audit_unsealed', '', count(*) FROM audit_entries WHERE seal IS NULL
    UNION ALL SELECT 'outbox_oldest_seconds', '', {lag}
    UNION ALL SELECT 'deadlocks', '', deadlocks FROM pg_stat_database WHERE datname = current_database()
"""
LAG = """coalesce(extract(epoch FROM clock_timestamp() -
    (SELECT min(due_at) FROM outbox_deliveries WHERE state = 'pending' AND due_at < clock_timestamp())), 0)::bigint"""


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """The process answers. Nothing else is asked, so that a slow database gets nobody killed."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """503 while requests would fail. Without the broker they do not: changes are kept, and told later."""
    database = _outcome(_database)
    checks = {
        "database": database,
        "isolation": _outcome(isolation.outcome) if database == "ok" else "unknown",
        "migrations": _outcome(_migrations) if database == "ok" else "unknown",
        "broker": _outcome(_broker),
        "outbox": _outcome(_outbox) if database == "ok" else "unknown",
    }
    able = checks["database"] == checks["isolation"] == checks["migrations"] == "ok"
    well = all(outcome == "ok" for outcome in checks.values())
    status = "ok" if well else "degraded" if able else "unavailable"
    return JsonResponse({"status": status, "checks": checks}, status=200 if able else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus figures, from the database: the same whichever process is asked."""
    if not _may_measure(request):
        return HttpResponseForbidden("Send METRICS_TOKEN as a bearer token.", content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(Figures())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Figures:
    """What an operator is woken for: things that should be empty, and how old the oldest of them is."""

    def describe(self):
        return []

    def collect(self):
        families = {
            "outbox_deliveries": ("Events owed to subscribers, by state.", ["state"]),
            "jobs": ("Long work, by state.", ["state"]),
            "audit_unsealed": ("Lines of the audit trail not sealed yet.", []),
            "deadlocks": ("Transactions the database has broken off since its statistics began.", []),
            "outbox_oldest_seconds": ("How long the most overdue delivery has been due.", []),
        }
        gauges = {
            name: GaugeMetricFamily(f"billing_{name}", text, labels=labels)
            for name, (text, labels) in families.items()
        }
        with connection.cursor() as cursor:
            cursor.execute(FIGURES.format(lag=LAG))
            for name, state, number in cursor.fetchall():
                gauges[name].add_metric([state] if families[name][1] else [], number)
        return gauges.values()


def _may_measure(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return secrets.compare_digest(given.encode(), settings.METRICS_TOKEN.encode())
    if "X-Forwarded-For" in request.headers:
        return False  # the proxy is on this machine, who asks it is not
    address = request.META.get("REMOTE_ADDR", "")
    try:
        return not address or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _outcome(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:
        logger.warning("%s failed: %s", check.__name__.strip("_"), error)
        return "unavailable"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "pending" if pending else "ok"


def _broker() -> str:
    patience = {"socket_timeout": BROKER_PATIENCE_SECONDS, "socket_connect_timeout": BROKER_PATIENCE_SECONDS}
    with Connection(settings.CELERY_BROKER_URL, transport_options=patience) as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_PATIENCE_SECONDS)
    return "ok"


def _outbox() -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {LAG}")
        return "ok" if cursor.fetchone()[0] <= OUTBOX_LAG_SECONDS_MAX else "late"
