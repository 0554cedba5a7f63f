from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from billing.kernel import idempotency_keys
from billing.kernel.idempotency_keys import claim_once, purge_idempotency_keys
from billing.kernel.models import IdempotencyKey
from billing.kernel.tests.races import start_rival

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def make_key(key: str, *, age: timedelta) -> None:
    IdempotencyKey.objects.create(
        principal="user:1", key=key, route="/", fingerprint="", created_at=NOW - age
    )


@pytest.mark.django_db
def test_the_first_claims_and_the_others_do_not():
    assert claim_once(principal="user:1", key="k", route="/") is True
    assert claim_once(principal="user:1", key="k", route="/other") is False
    assert claim_once(principal="user:2", key="k", route="/") is True
    assert IdempotencyKey.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_only_one_claims():
    with transaction.atomic():
        first = claim_once(principal="user:1", key="k", route="/")
        rival = start_rival(lambda: claim_once(principal="user:1", key="k", route="/"))

    assert (first, rival.result(timeout=5)) == (True, False)


@pytest.mark.django_db
def test_keys_are_remembered_for_thirty_days(monkeypatch):
    monkeypatch.setattr(idempotency_keys, "ROWS_PER_DELETE", 2)
    for number in range(5):
        make_key(f"old{number}", age=timedelta(days=30, seconds=1))
    make_key("edge", age=timedelta(days=30))
    make_key("new", age=timedelta(0))

    assert purge_idempotency_keys(as_of=NOW) == 5

    assert sorted(IdempotencyKey.objects.values_list("key", flat=True)) == ["edge", "new"]
    assert purge_idempotency_keys(as_of=NOW) == 0
