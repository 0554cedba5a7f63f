import pytest
from django.db import connection

from billing.kernel.statement_timeout import no_statement_timeout


def timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_long_work_has_no_time_limit_and_others_have_theirs_again_after():
    before = timeout()

    with no_statement_timeout():
        assert timeout() == "0"

    assert timeout() == before != "0"


@pytest.mark.django_db
def test_a_failure_gives_the_limit_back_too():
    before = timeout()

    with pytest.raises(ZeroDivisionError), no_statement_timeout():
        raise ZeroDivisionError

    assert timeout() == before
