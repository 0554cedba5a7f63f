"""Migrations: none missing, none in conflict, and every one can be undone and done again."""

import os
from datetime import UTC, datetime
from decimal import Decimal

import pgtrigger
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from billing.invoicing.models import Invoice
from billing.invoicing.tests.makers import make_invoice
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.usage.models import UsageEvent
from billing.usage.tests.makers import make_customer, make_meter, make_usage_event


def test_no_change_of_a_model_lacks_its_migration():
    loader = MigrationLoader(None, ignore_no_migrations=True)
    missing = MigrationAutodetector(loader.project_state(), ProjectState.from_apps(apps)).changes(
        loader.graph
    )
    assert missing == {}


def test_no_two_migrations_claim_the_same_place():
    assert MigrationLoader(None, ignore_no_migrations=True).detect_conflicts() == {}


@pytest.fixture
def scratch(transactional_db):
    """A copy of the (migrated) test database, in the place of the default one."""
    name = f"scratch_{os.getpid()}"
    usual = connections["default"]
    usual.close()  # PostgreSQL copies no database that is in use
    with usual._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {usual.settings_dict['NAME']}")
    copy = type(usual)({**usual.settings_dict, "NAME": name}, "default")
    connections["default"] = copy
    try:
        yield copy
    finally:
        copy.close()
        connections["default"] = usual
        with usual._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


def everything_in(database) -> list[str]:
    """What the database holds, by kind and name: apart from Django's own list of migrations, from partitions (they
    come and go with their table), and from the bodies of triggers, which the trigger library leaves behind when a
    table goes."""
    with database.cursor() as cursor:
        cursor.execute("""
            WITH partition AS (
                SELECT oid FROM pg_class WHERE relispartition
                UNION ALL
                SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relispartition
            )
            SELECT 'relation ' || relname FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'django_migrations%'
               AND oid NOT IN (TABLE partition)
            UNION ALL
            SELECT 'function ' || proname FROM pg_proc
             WHERE pronamespace = 'public'::regnamespace AND proname !~ '^_?pgtrigger_'
            UNION ALL
            SELECT 'constraint ' || conname FROM pg_constraint
             WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'django_migrations%'
               AND conrelid NOT IN (TABLE partition)
            UNION ALL
            SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid NOT IN (TABLE partition)
            UNION ALL
            SELECT 'type ' || t.typname FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem
             WHERE t.typnamespace = 'public'::regnamespace AND t.typname NOT LIKE '%django_migrations%'
               AND coalesce(nullif(t.typrelid, 0), e.typrelid, 0) NOT IN (TABLE partition)
            ORDER BY 1""")
        return [row for (row,) in cursor.fetchall()]


@pytest.mark.slow
def test_every_migration_can_be_undone_and_done_again(scratch):
    assert connection.settings_dict["NAME"] == scratch.settings_dict["NAME"]
    before = everything_in(scratch)
    assert any(row.startswith("trigger ") for row in before)

    with scratch.cursor() as cursor:  # Django's own first columns were too narrow for today's names
        cursor.execute("TRUNCATE auth_permission CASCADE")
    executor = MigrationExecutor(scratch)
    newest = executor.loader.graph.leaf_nodes()
    executor.migrate([(app, None) for app, _ in newest])
    assert everything_in(scratch) == []

    MigrationExecutor(scratch).migrate(newest)
    assert everything_in(scratch) == before


@pytest.mark.slow
def test_events_survive_becoming_partitioned_and_back(scratch):
    meter = make_meter()
    customer = make_customer(meter)
    for month in (7, 8, 9):
        make_usage_event(
            meter=meter,
            entity=customer,
            occurred_at=datetime(2024, month, 5, tzinfo=UTC),
            quantity=Decimal(month),
        )
    events = set(UsageEvent.objects.values_list("id", "quantity", "billed_on", "fingerprint"))
    plain = [("usage", "0001_initial"), ("invoicing", "0004_number_series_are_called_so")]

    MigrationExecutor(scratch).migrate(plain)
    with scratch.cursor() as cursor:
        cursor.execute("SELECT id, quantity, billed_on, fingerprint FROM usage_events")
        assert set(cursor.fetchall()) == events
        cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'usage_events'::regclass")
        assert cursor.fetchone() == (0,)
    executor = MigrationExecutor(scratch)
    executor.migrate(executor.loader.graph.leaf_nodes())

    assert set(UsageEvent.objects.values_list("id", "quantity", "billed_on", "fingerprint")) == events
    assert_invariants_hold()


@pytest.mark.django_db
def test_no_session_can_switch_a_trigger_off():
    call_command("migrate", verbosity=0)
    invoice = make_invoice()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('pgtrigger.ignore', %s, true)",
            ["{" + ",".join(t.get_pgid(model) for model, t in pgtrigger.registered()) + "}"],
        )

    with pytest.raises(IntegrityError, match="is final"), transaction.atomic():
        Invoice.objects.filter(pk=invoice.pk).update(net_amount=1, total_amount=20)

    invoice.refresh_from_db()
    assert invoice.net_amount == 100
