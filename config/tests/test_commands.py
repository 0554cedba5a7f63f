"""The operators' checks run from the command line and say so when all is well."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command


def said_by(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.mark.django_db
def test_verify_invariants_finds_nothing_in_an_empty_database():
    assert said_by("verify_invariants").splitlines()[-1] == "violations=0"
    document = json.loads(said_by("verify_invariants", "--json"))
    assert document["violations"] == 0
    assert document["findings"] != []


@pytest.mark.django_db
def test_verify_invariants_refuses_an_app_that_does_not_exist():
    with pytest.raises(CommandError, match="There is no app 'bookkeeping'"):
        said_by("verify_invariants", "--app", "bookkeeping")


@pytest.mark.django_db(transaction=True)  # it reads in a transaction of its own kind
def test_verify_ledger_finds_no_difference_in_empty_books():
    assert said_by("verify_ledger").splitlines()[-1] == "differences=0"
    document = json.loads(said_by("verify_ledger", "--json"))
    assert document["differences"] == 0
    assert document["checks"] != []


@pytest.mark.django_db
def test_rotate_secrets_has_nothing_to_do_where_nothing_is_stored():
    assert said_by("rotate_secrets", "--dry-run") == "rotated=0 current=0 unreadable=0 dry_run=True\n"
