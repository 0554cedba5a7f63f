"""What every test may count on: nothing leaves this machine, and no worker is started behind its back."""

import ipaddress
import socket

import pytest
import time_machine
from celery import Celery
from django.core.management.commands import flush
from rest_framework.test import APIClient

from billing.kernel.api import throttling

_connect = socket.socket.connect


def _connect_nearby(self: socket.socket, address):
    if self.family != socket.AF_UNIX:
        try:
            nearby = ipaddress.ip_address(address[0]).is_loopback
        except ValueError:
            nearby = address[0] == "localhost"
        if not nearby:
            raise OSError(f"tests may not connect to {address[0]}")
    return _connect(self, address)


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Unix sockets and the loopback address only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _connect_nearby)
        yield


@pytest.fixture(autouse=True)
def queued_jobs(monkeypatch) -> list[tuple[str, dict]]:
    """The tasks asked for, as (name, arguments), in order: recorded, never sent."""
    asked: list[tuple[str, dict]] = []

    def record(self, name, args=None, kwargs=None, **options):
        asked.append((name, kwargs or {}))

    monkeypatch.setattr(Celery, "send_task", record)
    return asked


@pytest.fixture(autouse=True, scope="session")
def _flush_leaves_permissions():
    """Emptying the tables after a test that commits keeps content types and permissions (see
    config.pgbackend.testing), so they need not be made again hundreds of times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "emit_post_migrate_signal", lambda *args, **kwargs: None)
        yield


@pytest.fixture(autouse=True)
def _fresh_rate_limits():
    throttling.shared.cache_clear()
    throttling.own.cache_clear()


@pytest.fixture
def api():
    """`api(user)` or `api(key="ebk_…")` is a client that is signed in so; `api()` is nobody.

    Bugs are raised in the test; `api(user, raise_bugs=False)` sees the answer a client would.
    """

    def client(user=None, *, key: str = "", raise_bugs: bool = True) -> APIClient:
        made = APIClient(raise_request_exception=raise_bugs)
        if user is not None:
            made.force_authenticate(user)
        if key:
            made.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
        return made

    return client


@pytest.fixture
def freeze():
    """`freeze("2026-01-31T12:00:00Z")` stops the clock there; calling it again moves it."""
    stopped: list = []

    def stop(moment):
        while stopped:
            stopped.pop().stop()
        stopped.append(time_machine.travel(moment, tick=False))
        return stopped[0].start()

    yield stop
    while stopped:
        stopped.pop().stop()
