import pytest

from billing.kernel import events
from billing.kernel.hooks import background_job


@pytest.fixture
def subscribers(monkeypatch):
    """An empty register of reactions, for this test only."""
    register: dict[str, dict] = {}
    monkeypatch.setattr(events, "SUBSCRIBERS", register)
    monkeypatch.setattr("billing.kernel.delivery.SUBSCRIBERS", register)
    return register


@pytest.fixture
def handlers():
    """The hook of background jobs without any handler, for this test only."""
    with background_job.only():
        yield background_job
