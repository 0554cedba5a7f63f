"""The database session knows who is acting, through every way a SET can be undone."""

import pytest
from django.db import DatabaseError, connection, transaction

from billing.kernel.context import NOBODY, acting


def told() -> str:
    """What the session says, read without the cursor that would tell it."""
    row = connection.connection.execute("SELECT current_setting('app.context', true)").fetchone()
    return row[0] or ""


def touch() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


class Undone(Exception):
    pass


@pytest.mark.django_db(transaction=True)
def test_the_session_is_told_before_the_first_statement_and_once():
    with acting(actor="user:1", request_id="r"):
        touch()
        assert told() == '{"actor":"user:1","request_id":"r","ip":""}'
        with connection.execute_wrapper(lambda execute, *rest: execute(*rest)):
            touch()
        assert connection._told.actor == "user:1"
    touch()
    assert told() == NOBODY.as_json()


@pytest.mark.django_db(transaction=True)
def test_after_a_rollback_the_session_is_told_again():
    with acting(actor="user:1"):
        with pytest.raises(Undone), transaction.atomic():
            touch()
            raise Undone
        assert "user:1" not in told()  # PostgreSQL took it back with the transaction
        touch()
        assert "user:1" in told()


@pytest.mark.django_db(transaction=True)
def test_after_a_rollback_to_a_savepoint_the_session_is_told_again():
    with transaction.atomic():
        touch()
        with acting(actor="user:1"):
            with pytest.raises(Undone), transaction.atomic():
                touch()
                raise Undone
            touch()
            assert "user:1" in told()
        touch()
        assert told() == NOBODY.as_json()


@pytest.mark.django_db(transaction=True)
def test_a_context_that_ends_inside_a_failed_transaction_does_not_stop_its_rollback():
    with transaction.atomic():
        with (
            pytest.raises(DatabaseError, match="division by zero"),
            transaction.atomic(),
            acting(actor="user:1"),
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT 1 / 0")
        touch()
        assert told() == NOBODY.as_json()


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_is_told():
    with acting(actor="user:1"):
        touch()
        connection.close()
        touch()
        assert "user:1" in told()


@pytest.mark.django_db(transaction=True)
def test_a_server_side_cursor_is_told_too():
    with acting(actor="user:1"), transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute("SELECT current_setting('app.context', true)")
        assert "user:1" in cursor.fetchone()[0]


ONE_USER = (
    "INSERT INTO users (id, email, name, kind, password, is_active, language, time_zone, version)"
    " VALUES (gen_random_uuid(), gen_random_uuid() || '@example.com', 'Ada', 'person', '!', true, 'en', 'UTC', 1)"
)


def actor_of_the_last_line() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT actor FROM audit_entries ORDER BY id DESC LIMIT 1")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_the_one_who_acts_is_in_the_line_of_the_row():
    with acting(actor="user:1"), connection.cursor() as cursor:
        cursor.execute(ONE_USER)
    assert actor_of_the_last_line() == "user:1"


@pytest.mark.django_db
def test_raw_sql_of_nobody_is_written_down_under_its_database_role():
    with connection.cursor() as cursor:
        cursor.execute(ONE_USER)
        cursor.execute("SELECT session_user")
        role = cursor.fetchone()[0]
    assert actor_of_the_last_line() == f"unknown:{role}"


@pytest.mark.django_db
def test_a_session_that_never_heard_of_contexts_is_unknown_too():
    with connection.cursor() as cursor:
        connection.connection.execute("RESET app.context")
        cursor.execute(ONE_USER)
    assert actor_of_the_last_line().startswith("unknown:")
    connection._told = None
