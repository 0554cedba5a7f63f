import pytest

from billing.kernel import events, longwork


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
