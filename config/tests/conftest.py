from collections.abc import Iterator

import pytest
from django.db import transaction

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
