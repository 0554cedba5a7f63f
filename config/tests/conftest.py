from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from psycopg import sql

from config.tests.granting import grant
from config.tests.samples import Company


@pytest.fixture(scope="module")
def companies(request, django_db_setup, django_db_blocker) -> Iterator[list[Company]]:
    """A company for each of the module's ROWS, made once for all of its tests: these only read."""
    with django_db_blocker.unblock():
        scene = transaction.atomic()
        scene._from_testcase = True  # as pytest-django's own: what must be outermost may be inside of it
        with scene:
            yield [Company(rows) for rows in request.module.ROWS]
            transaction.set_rollback(True)


@pytest.fixture
def role(transactional_db):
    """A login role that may do nothing yet, gone with everything it was granted when the test ends."""
    name = sql.Identifier(f"app_of_{connection.settings_dict['NAME']}")
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    yield name.as_string().strip('"')
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP OWNED BY {}").format(name))
        cursor.execute(sql.SQL("DROP ROLE {}").format(name))
        cursor.execute(
            "GRANT TEMPORARY ON DATABASE {} TO PUBLIC".format(
                connection.ops.quote_name(connection.settings_dict["NAME"])
            )
        )


@pytest.fixture
def app(role):
    """From here on the test's own connection is one of this role."""
    grant(role)
    owner = connection.settings_dict["USER"]
    connection.close()
    connection.settings_dict["USER"] = role
    yield role
    connection.close()
    connection.settings_dict["USER"] = owner
