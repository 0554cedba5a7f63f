import pytest

from billing.kernel import events, jobs, longwork


@pytest.fixture
def rung(monkeypatch):
    """The bells rung for the workers: (task, arguments), in order."""
    calls: list[tuple[str, dict]] = []

    class Broker:
        def send_task(self, name, kwargs):
            calls.append((name, kwargs))

    monkeypatch.setattr(jobs, "current_app", Broker())
    return calls


@pytest.fixture
def subscribers(monkeypatch):
    """An empty register of reactions, for this test only."""
    register: dict[str, dict] = {}
    monkeypatch.setattr(events, "SUBSCRIBERS", register)
    monkeypatch.setattr("billing.kernel.delivery.SUBSCRIBERS", register)
    return register


@pytest.fixture
def handlers(monkeypatch):
    """An empty register of long work, for this test only."""
    register: dict[str, object] = {}
    monkeypatch.setattr(longwork, "HANDLERS", register)
    return register
