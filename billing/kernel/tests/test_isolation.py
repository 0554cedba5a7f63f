"""Another isolation level than READ COMMITTED is noticed before anything is served."""

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from psycopg import IsolationLevel

pytestmark = pytest.mark.django_db


def check() -> None:
    call_command("check", databases=["default"], tags=["database"])


def test_read_committed_passes():
    check()


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_another_default_of_the_server_or_role_is_refused(level):
    with connection.cursor() as cursor:
        cursor.execute(f"SET default_transaction_isolation = '{level}'")
    try:
        with pytest.raises(SystemCheckError, match=rf"kernel.E001\) Transactions are {level}"):
            check()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_isolation = 'read committed'")


def test_another_level_in_the_settings_is_refused(monkeypatch):
    monkeypatch.setitem(
        connection.settings_dict["OPTIONS"], "isolation_level", IsolationLevel.REPEATABLE_READ
    )
    with pytest.raises(SystemCheckError, match="Transactions are repeatable read"):
        check()
