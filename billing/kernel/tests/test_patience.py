import pytest
from django.db import connection

from billing.kernel.patience import patient


def timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_long_work_has_no_time_limit_and_others_have_theirs_again_after():
    before = timeout()

    with patient():
        assert timeout() == "0"

    assert timeout() == before != "0"


@pytest.mark.django_db
def test_a_failure_gives_the_limit_back_too():
    before = timeout()

    with pytest.raises(ZeroDivisionError), patient():
        raise ZeroDivisionError

    assert timeout() == before
