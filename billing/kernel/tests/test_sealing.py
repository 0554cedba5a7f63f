"""The chain over the audit trail, and every way to tamper with it as the owner of the database could."""

import json
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from billing.kernel.models import AuditEntry, AuditSeal
from billing.kernel.sealing import GENESIS, seal_audit, verify_audit
from billing.kernel.tests.makers import make_line
from billing.kernel.tests.races import start_rival


@contextmanager
def triggers_off():
    """What an owner of the database can do, and an application role cannot."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what was done so far is in order
        cursor.execute("SET session_replication_role = replica")
        yield cursor
        cursor.execute("SET session_replication_role = origin")


def sealed_trail(*sizes: int) -> list[list[AuditEntry]]:
    """One seal over each group of lines."""
    groups = []
    for size in sizes:
        groups.append([make_line() for _ in range(size)])
        seal_audit()
    return groups


def broken() -> tuple[int, int | None, str]:
    found = verify_audit().broken
    return found and (found.seal, found.entry, found.reason)


@pytest.mark.django_db
def test_an_empty_trail_needs_no_seal():
    assert seal_audit() is None
    verdict = verify_audit()
    assert (verdict.seals, verdict.entries, verdict.head, verdict.broken) == (0, 0, GENESIS, None)


@pytest.mark.django_db
def test_seals_form_a_chain_and_cover_every_line_once():
    lines = [make_line() for _ in range(5)]

    seals = [seal_audit(limit=2), seal_audit(limit=2), seal_audit(limit=2)]

    assert seal_audit() is None
    assert [(seal.number, seal.entry_count) for seal in seals] == [(1, 2), (2, 2), (3, 1)]
    assert seals[0].previous_digest == GENESIS
    assert [seal.previous_digest for seal in seals[1:]] == [seal.digest for seal in seals[:-1]]
    assert list(AuditEntry.objects.order_by("id").values_list("seal_id", flat=True)) == [1, 1, 2, 2, 3]
    verdict = verify_audit()
    assert (verdict.seals, verdict.entries, verdict.unsealed) == (3, len(lines), 0)
    assert (verdict.head, verdict.broken) == (seals[2].digest, None)


@pytest.mark.django_db
def test_a_line_that_commits_late_with_a_lower_number_goes_into_the_next_seal():
    first = make_line()
    make_line()
    with triggers_off():  # the number was taken long ago, the line becomes visible only now
        AuditEntry.objects.filter(pk=first.pk).update(id=first.pk + 1000)
    seal_audit()
    late = make_line(id=first.pk)

    assert seal_audit().entry_count == 1

    late.refresh_from_db()
    assert late.seal_id == 2
    assert broken() is None


@pytest.mark.django_db
def test_what_is_not_sealed_yet_is_counted_and_not_called_broken():
    sealed_trail(2)
    make_line()

    verdict = verify_audit()

    assert (verdict.seals, verdict.entries, verdict.unsealed, verdict.broken) == (1, 2, 1, None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "'2020-01-01T00:00:00Z'"),
        ("kind", "'row'"),
        ("action", "'thing.undone'"),
        ("subject_type", "'others'"),
        ("subject_id", "'0'"),
        ("entity_id", "'00000000-0000-0000-0000-000000000001'"),
        ("actor", "'user:2'"),
        ("request_id", "'r'"),
        ("ip", "'10.0.0.1'"),
        ("reason", "'none'"),
        ("before", "'{}'"),
        ("after", "'{\"total\": 1}'"),
        ("detail", '\'{"amount": "10.01"}\''),
        ("id", "id + 100"),
    ],
)
def test_a_changed_column_of_a_sealed_line_is_found(column, value):
    _, second, _ = sealed_trail(2, 2, 2)

    with triggers_off() as cursor:
        cursor.execute(f"UPDATE audit_entries SET {column} = {value} WHERE id = %s", [second[1].pk])

    seal, _, reason = broken()
    assert seal == 2
    assert reason.endswith("are not those that were sealed")


@pytest.mark.django_db
def test_a_change_beyond_the_digits_of_a_float_is_found():
    with connection.cursor() as cursor:
        line = make_line()
        with triggers_off():
            cursor.execute(
                "UPDATE audit_entries SET after = '{\"total\": 123456789012345.6789}' WHERE id = %s",
                [line.pk],
            )
    seal_audit()
    assert broken() is None

    with triggers_off() as cursor:
        cursor.execute(
            "UPDATE audit_entries SET after = '{\"total\": 123456789012345.6788}' WHERE id = %s", [line.pk]
        )

    assert broken()[0] == 1


@pytest.mark.django_db
def test_a_deleted_line_is_found():
    _, second, _ = sealed_trail(2, 3, 2)

    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_entries WHERE id = %s", [second[0].pk])

    assert broken() == (2, None, "the seal covers 3 lines, 2 are there")


@pytest.mark.django_db
def test_a_line_forged_into_an_old_seal_is_found():
    sealed_trail(2, 2)

    make_line(seal_id=1, action="never.happened")  # an INSERT is all the application role may do

    assert broken() == (1, None, "the seal covers 2 lines, 3 are there")


@pytest.mark.django_db
def test_a_line_replaced_by_another_is_found():
    first, _ = sealed_trail(2, 2)
    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_entries WHERE id = %s", [first[0].pk])

    make_line(id=first[0].pk, seal_id=1)

    assert broken() == (1, None, f"the lines up to {first[1].pk} are not those that were sealed")


@pytest.mark.django_db
@pytest.mark.parametrize(("deleted", "line_is_named"), [(1, False), (2, False), (3, True)])
def test_a_deleted_seal_is_found_also_the_last(deleted, line_is_named):
    groups = sealed_trail(1, 1, 1)

    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_seals WHERE number = %s", [deleted])

    line = groups[2][0].pk if line_is_named else None
    assert broken() == (deleted, line, "the seal is missing")


@pytest.mark.django_db
def test_lines_that_changed_places_are_found():
    first, _ = sealed_trail(2, 2)
    one, other = (line.pk for line in first)

    with triggers_off() as cursor:
        for old, new in ((one, -1), (other, one), (-1, other)):
            cursor.execute("UPDATE audit_entries SET id = %s WHERE id = %s", [new, old])

    assert broken()[0] == 1


@pytest.mark.django_db
def test_seals_that_changed_places_are_found():
    sealed_trail(1, 1, 1)

    with triggers_off() as cursor:
        for old, new in ((2, 0), (3, 2), (0, 3)):
            cursor.execute("UPDATE audit_seals SET number = %s WHERE number = %s", [new, old])

    assert broken() == (2, None, "the seal does not continue the one before it")


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["digest", "previous_digest"])
def test_a_changed_seal_is_found(column):
    sealed_trail(1, 1)

    with triggers_off() as cursor:
        cursor.execute(f"UPDATE audit_seals SET {column} = %s WHERE number = 2", ["f" * 64])

    assert broken()[0] == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor = 'nobody'",
        "UPDATE audit_entries SET seal = NULL",
        "UPDATE audit_entries SET seal = 1",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "UPDATE audit_seals SET entry_count = 1",
        "DELETE FROM audit_seals",
        "TRUNCATE audit_seals CASCADE",
    ],
)
def test_the_tables_refuse_all_of_this_while_their_triggers_stand(statement):
    sealed_trail(1, 1)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert broken() is None
    assert AuditEntry.objects.count() == AuditSeal.objects.count() == 2


@pytest.mark.django_db
def test_an_unsealed_line_only_takes_a_seal():
    sealed_trail(1)
    line = make_line()

    with pytest.raises(DatabaseError, match="is final"), transaction.atomic():
        AuditEntry.objects.filter(pk=line.pk).update(reason="better")
    AuditEntry.objects.filter(pk=line.pk).update(seal_id=1)  # filling it is allowed, once

    line.refresh_from_db()
    assert (line.reason, line.seal_id) == ("", 1)


@pytest.mark.django_db(transaction=True)
def test_there_is_one_sealer_at_a_time():
    make_line()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE gate (id int)")
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE gate")
            assert seal_audit().number == 1

            def second_sealer():
                answer = seal_audit()
                with connection.cursor() as cursor:
                    cursor.execute("SELECT count(*) FROM gate")  # so that start_rival can see it wait
                return answer

            rival = start_rival(second_sealer)
        assert rival.result(timeout=5) is None
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE gate")
    assert AuditSeal.objects.count() == 1


@pytest.mark.django_db
def test_verification_is_bounded_whatever_the_number_of_lines(django_assert_num_queries):
    sealed_trail(3)
    with django_assert_num_queries(4):  # seals, lines of the one seal, unsealed, orphans
        verify_audit()


@pytest.mark.django_db
def test_the_commands_seal_and_verify():
    for _ in range(3):
        make_line()
    out = StringIO()

    call_command("seal_audit", stdout=out)
    call_command("verify_audit", stdout=out)

    head = AuditSeal.objects.get().digest
    assert out.getvalue().splitlines() == [
        f"seal 1: 3 lines, head {head}",
        "seals=1 lines=3",
        f"seals=1 lines=3 unsealed=0 head={head}",
    ]


@pytest.mark.django_db
def test_the_command_names_the_first_broken_place_and_fails():
    _, second = sealed_trail(1, 2)
    with triggers_off() as cursor:
        cursor.execute("UPDATE audit_entries SET actor = 'x' WHERE id = %s", [second[0].pk])
    out = StringIO()

    with pytest.raises(CommandError, match="broken at seal 2: the lines up to"):
        call_command("verify_audit", "--json", stdout=out)

    document = json.loads(out.getvalue())
    assert (document["seals"], document["broken"]["seal"]) == (1, 2)


@pytest.mark.django_db
def test_a_head_kept_elsewhere_shows_that_the_end_was_cut_off():
    _, second = sealed_trail(1, 1)
    head = AuditSeal.objects.get(number=2).digest
    call_command("verify_audit", "--expect", head, stdout=StringIO())
    with triggers_off() as cursor:
        cursor.execute("DELETE FROM audit_entries WHERE id = %s", [second[0].pk])
        cursor.execute("DELETE FROM audit_seals WHERE number = 2")
    assert broken() is None  # by itself the trail cannot know what followed

    with pytest.raises(CommandError, match="the end of the trail is missing"):
        call_command("verify_audit", "--expect", head, stdout=StringIO())
