"""The rules that hold for raw SQL too, each tried on a table that really carries it."""

import json
import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from billing.kernel.context import acting
from billing.kernel.models import AuditEntry, Job, OutboxEvent
from billing.kernel.tests.makers import make_delivery, make_line

pytestmark = pytest.mark.django_db

RESTRICTED = "23001"  # restrict_violation


def sql(statement: str, *values: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def refused(statement: str, *values: object) -> str:
    """The message of the trigger that refuses; nothing has changed."""
    with pytest.raises(DatabaseError) as refusal, transaction.atomic():
        sql(statement, *values)
    assert refusal.value.__cause__.sqlstate == RESTRICTED
    return str(refusal.value).splitlines()[0]


def make_entity(**columns: object) -> uuid.UUID:
    """By raw SQL: the kernel knows no entity."""
    key = uuid.uuid4()
    row = {
        "id": key,
        "path": "",
        "code": f"E{key.hex[:8]}",
        "name": "Acme",
        "legal_name": "",
        "state": "draft",
        "is_seller": False,
        "is_customer": True,
        "consolidation": "standalone",
        "currency": "EUR",
        "country": "DE",
        "tax_id": "",
        "email": "",
        "address": "{}",
        "time_zone": "UTC",
        "language": "en",
        "payment_terms_days": 30,
        "fiscal_year_starts_in": 1,
        "external_reference": "",
        "metadata": "{}",
        "version": 1,
    } | columns
    marks = ", ".join(["%s"] * len(row))
    sql(f"INSERT INTO billing_entities ({', '.join(row)}) VALUES ({marks})", *row.values())
    return key


def trail_of(key: object) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(subject_id=str(key)).order_by("id"))


# --- append_only


@pytest.mark.parametrize(
    "statement",
    ["UPDATE outbox_events SET name = 'x'", "DELETE FROM outbox_events", "TRUNCATE outbox_events CASCADE"],
)
def test_a_fact_is_never_changed_deleted_or_truncated(statement):
    OutboxEvent.objects.create(name="thing.happened", payload={})

    assert "outbox_events" in refused(statement)

    assert OutboxEvent.objects.get().name == "thing.happened"


# --- touched


def test_every_update_raises_the_version_and_the_date_also_by_sql():
    row = make_delivery()
    before = sql("SELECT version, updated_at FROM outbox_deliveries")[0]

    sql("UPDATE outbox_deliveries SET last_error = 'x', version = 77, updated_at = '2000-01-01'")
    sql("UPDATE outbox_deliveries SET last_error = 'y'")

    version, updated_at = sql("SELECT version, updated_at FROM outbox_deliveries WHERE id = %s", row.pk)[0]
    assert (before[0], version) == (1, 3)
    assert updated_at > before[1]


def test_saving_what_was_read_long_ago_does_not_turn_the_version_back():
    row = make_delivery()
    sql("UPDATE outbox_deliveries SET last_error = 'x'")

    row.save()

    assert sql("SELECT version FROM outbox_deliveries") == [(3,)]


# --- moves_only

JOB_STATES = ("queued", "running", "succeeded", "failed")
LEGAL = {
    ("queued", "running"),
    ("running", "queued"),
    ("running", "succeeded"),
    ("queued", "failed"),
    ("running", "failed"),
}


@pytest.mark.parametrize("old", JOB_STATES)
@pytest.mark.parametrize("new", JOB_STATES)
def test_a_state_makes_the_moves_of_its_table_and_no_other(old, new):
    row = Job.objects.create(kind="x", requested_by="user:1", state=old)
    change = "UPDATE jobs SET state = %s WHERE id = %s"

    if old == new or (old, new) in LEGAL:
        sql(change, new, row.pk)
        assert sql("SELECT state FROM jobs") == [(new,)]
    else:
        assert refused(change, new, row.pk) == f"jobs: no move from {old} to {new}"
        assert sql("SELECT state FROM jobs") == [(old,)]


def test_a_state_that_is_unknown_is_refused_by_the_check():
    with pytest.raises(DatabaseError, match="job_state_known"), transaction.atomic():
        Job.objects.create(kind="x", requested_by="user:1", state="dreaming")


# --- frozen, never deleted, never truncated


def test_a_frozen_row_lets_only_the_excepted_column_through():
    line = make_line()

    assert refused("UPDATE audit_entries SET reason = 'x'") == f"audit_entries {line.pk} is final"
    assert refused("DELETE FROM audit_entries") == f"audit_entries {line.pk} is final"
    sql("UPDATE audit_entries SET reason = reason")  # changes nothing

    sql("INSERT INTO audit_seals (number, entry_count, previous_digest, digest) VALUES (1, 1, '', '')")
    sql("UPDATE audit_entries SET seal = 1")
    assert refused("UPDATE audit_entries SET seal = NULL") == f"audit_entries {line.pk} is final"


@pytest.mark.parametrize("table", ["outbox_deliveries", "billing_entities"])
def test_some_rows_are_never_deleted(table):
    make_delivery()
    make_entity()

    assert refused(f"DELETE FROM {table}") == f"{table} rows are never deleted"

    assert sql(f"SELECT count(*) FROM {table}") == [(1,)]


@pytest.mark.parametrize("table", ["outbox_events", "audit_entries", "audit_seals", "billing_entities"])
def test_some_tables_are_never_truncated(table):
    assert "truncated" in refused(f"TRUNCATE {table} CASCADE")


# --- audited


def test_every_new_row_is_written_down_with_who_and_from_where():
    with acting(actor="command:seed", request_id="req-1", ip="192.0.2.1"):
        key = make_entity(name="Acme")

    [line] = trail_of(key)
    assert (line.kind, line.action, line.subject_type) == ("row", "insert", "billing_entities")
    assert (line.actor, line.request_id, line.ip) == ("command:seed", "req-1", "192.0.2.1")
    assert (line.entity_id, line.before) == (key, None)
    assert (line.after["name"], line.after["id"]) == ("Acme", str(key))


def test_a_changed_row_tells_only_what_changed():
    key = make_entity(name="Acme")
    sql("UPDATE billing_entities SET name = 'Apex', metadata = '{\"a\": 1}' WHERE id = %s", key)

    line = trail_of(key)[-1]
    assert line.action == "update"
    assert line.before == {"name": "Acme", "metadata": {}}
    assert line.after == {"name": "Apex", "metadata": {"a": 1}}


def test_an_update_that_changes_nothing_leaves_no_line():
    key = make_entity()
    sql("UPDATE billing_entities SET name = name WHERE id = %s", key)
    assert [line.action for line in trail_of(key)] == ["insert"]


def test_a_change_to_and_from_nothing_is_a_change():
    key = make_entity()
    parent = make_entity()
    sql("UPDATE billing_entities SET parent_id = %s WHERE id = %s", parent, key)
    assert trail_of(key)[-1].before["parent_id"] is None
    assert trail_of(key)[-1].after["parent_id"] == str(parent)


def test_a_bulk_change_leaves_one_line_for_each_row():
    keys = [make_entity() for _ in range(5)]
    sql("UPDATE billing_entities SET name = 'All'")
    assert [trail_of(key)[-1].after for key in keys] == [{"name": "All"}] * 5


def test_a_deleted_row_is_kept_in_the_trail():
    entity, parent = make_entity(), make_entity()
    key = uuid.uuid4()
    sql(
        "INSERT INTO entity_relations (id, entity_id, parent_id, starts_on, version)"
        " VALUES (%s, %s, %s, '2026-01-01', 1)",
        key,
        entity,
        parent,
    )
    sql("DELETE FROM entity_relations WHERE id = %s", key)

    insert, delete = trail_of(key)
    assert (insert.action, delete.action) == ("insert", "delete")
    assert (delete.entity_id, delete.after) == (entity, None)
    assert delete.before["starts_on"] == "2026-01-01"


def make_user(**columns: object) -> uuid.UUID:
    key = uuid.uuid4()
    row = {
        "id": key,
        "email": f"{key.hex}@example.com",
        "name": "Ada",
        "kind": "person",
        "password": "hash-1",
        "is_active": True,
        "language": "en",
        "time_zone": "UTC",
        "version": 1,
    } | columns
    sql(f"INSERT INTO users ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", *row.values())
    return key


def test_a_secret_column_is_in_no_line():
    key = make_user()
    sql("UPDATE users SET name = 'Eve', password = 'hash-2' WHERE id = %s", key)

    for line in trail_of(key):
        assert "hash-" not in json.dumps([line.before, line.after])
    assert trail_of(key)[-1].after == {"name": "Eve"}


def test_a_change_and_its_line_are_undone_together():
    key = make_entity(name="Acme")
    with pytest.raises(RuntimeError), transaction.atomic():
        sql("UPDATE billing_entities SET name = 'Apex' WHERE id = %s", key)
        raise RuntimeError
    assert [line.action for line in trail_of(key)] == ["insert"]
