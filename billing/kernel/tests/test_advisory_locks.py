import re

import pytest
from django.db import connection, transaction

from billing.kernel import advisory_locks
from billing.kernel.advisory_locks import AdvisoryLock
from billing.kernel.tests.races import start_rival

LOCK = AdvisoryLock(name="test", guards="A test.")
ALL = [
    *(lock for lock in vars(advisory_locks).values() if isinstance(lock, AdvisoryLock)),
    *advisory_locks.TREE_OF.values(),
]


def test_every_lock_has_a_name_of_its_own():
    names = [lock.name for lock in ALL]
    assert len(names) == len(set(names)) == 11
    assert all(re.fullmatch(r"[a-z ]+", lock.name) and lock.guards for lock in ALL)


def test_the_sql_names_the_key():
    assert LOCK.sql() == "pg_advisory_xact_lock(hashtextextended('test', 0))"
    assert LOCK.sql("NEW.id", shared=True) == (
        "pg_advisory_xact_lock_shared(hashtextextended('test ' || NEW.id::text, 0))"
    )


@pytest.mark.django_db(transaction=True)
def test_others_wait_for_the_same_key_only():
    def take(key):
        with transaction.atomic():
            LOCK.take_for([key])
            return key

    with transaction.atomic():
        LOCK.take_for(["b", "a"])
        with pytest.raises(AssertionError, match="never blocked"):
            start_rival(lambda: take("c"), timeout_seconds=1)
        waiting = start_rival(lambda: take("a"))
    assert waiting.result(timeout=5) == "a"


@pytest.mark.django_db(transaction=True)
def test_sharing_excludes_only_whoever_takes_it_alone():
    def take(shared):
        with transaction.atomic():
            LOCK.take(shared=shared)

    with transaction.atomic():
        LOCK.take(shared=True)
        with pytest.raises(AssertionError, match="never blocked"):
            start_rival(lambda: take(True), timeout_seconds=1)
        waiting = start_rival(lambda: take(False))
    waiting.result(timeout=5)


@pytest.mark.django_db(transaction=True)
def test_trying_does_not_wait():
    answers = []

    def rival():
        with transaction.atomic():
            answers.append(LOCK.try_take())
        connection.close()

    with transaction.atomic():
        assert LOCK.try_take()
        with pytest.raises(AssertionError, match="never blocked"):
            start_rival(rival, timeout_seconds=1)
    assert answers == [False]
