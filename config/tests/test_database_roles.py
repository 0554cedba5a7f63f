"""The second role: the whole job works with it, and what triggers forbid it may not even try."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from django.core.management import CommandError
from django.db import DatabaseError, ProgrammingError, connection, transaction
from psycopg import sql

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.models import CostAllocation, Invoice, InvoiceLine
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import AS_OF, make_draft, make_invoice, make_seller, make_sold_meter
from billing.kernel.idempotency_keys import claim_once, purge_idempotency_keys
from billing.kernel.models import AuditEntry, IdempotencyKey, OutboxEvent
from billing.kernel.sealing import seal_audit, verify_audit
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger import services as ledger
from billing.ledger.models import AccountBalance, AccountingPeriod, JournalEntry
from billing.payments import services as payments
from billing.usage.tests.makers import make_quota, make_usage_event
from config import database_roles
from config.tests.granting import grant

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

REFUSED = "42501"  # insufficient_privilege


def tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        return sorted(name for (name,) in cursor.fetchall())


def state_of(statement: str) -> str | None:
    """The SQLSTATE a statement is refused with."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except DatabaseError as error:
        return error.__cause__.sqlstate
    return None


def test_the_main_job_works_as_the_app(app):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, session_user")
        assert cursor.fetchone() == (app, app)
    seller = make_seller()
    customer, meter = make_entity(parent=seller), make_sold_meter(seller)
    quota = make_quota(meter=meter, entity=customer, limit_quantity=Decimal(1000))
    paid = make_invoice(seller=seller, customer=customer, meter=meter, quantity="400")
    voided = make_invoice(seller=seller, customer=make_entity(parent=seller), meter=meter, quantity="40")

    invoicing.allocate_cost(
        actor="user:1",
        department_id=make_department(entity=customer).pk,
        line_id=InvoiceLine.objects.get(invoice=paid).pk,
        amount=Decimal("30.00"),
        reason="theirs",
        posted_on=AS_OF,
    )
    payment = payments.record_payment(
        actor="user:1",
        seller_id=seller.pk,
        customer_id=customer.pk,
        amount=Decimal("150.00"),
        currency="EUR",
        received_on=AS_OF,
        method="bank_transfer",
        reference="wire",
        as_of=AS_OF,
    )
    invoicing.void_invoice(actor="user:1", invoice_id=voided.pk, voided_on=AS_OF, reason="wrong")
    draft = make_draft(seller=seller, meter=meter)
    for _again in range(2):  # a draft that is made anew is deleted first
        invoicing.draft_invoices(
            actor="user:1", seller_id=seller.pk, customer_ids=[draft.customer_id], as_of=AS_OF
        )
    ledger.reverse_entry(
        entry_id=JournalEntry.objects.get(source=f"payment:{payment.pk}").pk,
        actor="user:1",
        posted_on=AS_OF,
        reason="bounced",
    )
    claim_once(principal="user:1", key="once", route="")
    assert purge_idempotency_keys(as_of=datetime.fromisoformat("2099-01-01T00:00:00Z")) == 1
    month = AccountingPeriod.objects.get()
    ledger.begin_closing_period(period_id=month.pk, actor="user:1")
    ledger.close_period(period_id=month.pk, actor="user:2")
    seal_audit()

    assert set(Invoice.objects.values_list("state", flat=True)) == {
        InvoiceState.PAID,
        InvoiceState.VOID,
        InvoiceState.DRAFT,
    }
    assert quota.counters.get().used_quantity == 400
    assert (verify_audit().broken, verify_audit().unsealed) == (None, 0)
    assert AccountBalance.objects.exists()


APPEND_ONLY = sorted(
    table for table, granted in database_roles.privileges().items() if granted == {"SELECT", "INSERT"}
)


def test_what_is_append_only_is_what_one_expects():
    assert set(APPEND_ONLY) == {
        "approval_actions",
        "approval_effects",
        "approval_votes",
        "audit_entries",
        "audit_seals",
        "consolidated_documents",
        "consolidated_totals",
        "cost_allocations",
        "credit_applications",
        "credit_note_documents",
        "credit_note_lines",
        "credit_note_taxes",
        "dunning_amounts",
        "dunning_notices",
        "dunning_steps",
        "exchange_rates",
        "discount_amounts",
        "discount_products",
        "invoice_documents",
        "journal_entries",
        "journal_lines",
        "license_terms",
        "outbox_events",
        "payment_applications",
        "plan_items",
        "prices",
        "quota_alerts",
        "role_grant_limits",
        "statement_documents",
        "subscription_charges",
        "tax_rates",
        "usage_events",
        "usage_keys",
        "usage_uniques",
    }


def test_the_app_cannot_change_what_is_append_only(app):
    OutboxEvent.objects.create(name="thing.happened", payload={})
    for table in APPEND_ONLY:
        column = {"audit_seals": "number", "usage_keys": "event_id"}.get(table, "id")
        target = "id, billed_on" if table == "usage_events" else column
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"TRUNCATE {table} CASCADE",
            f"MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET {column} = t.{column}",
            f"MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
            f"INSERT INTO {table} SELECT * FROM {table}"
            f" ON CONFLICT ({target}) DO UPDATE SET {column} = excluded.{column}",
            f"SELECT * FROM {table} FOR SHARE" if table != "audit_entries" else f"DROP TABLE {table}",
        ):
            assert state_of(statement) == REFUSED, statement
    assert OutboxEvent.objects.count() == 1


def test_the_app_opens_a_month_and_may_only_read_it_but_through_its_parent(app):
    event = make_usage_event(billed_on=date(2024, 6, 30))
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM usage_events_2024_06")
        assert cursor.fetchall() == [(event.pk,)]
    for statement in (
        "INSERT INTO usage_events_2024_06 SELECT * FROM usage_events_2024_06",
        "UPDATE usage_events_2024_06 SET quantity = 0",
        "DELETE FROM usage_events_2024_06",
        "TRUNCATE usage_events_2024_06",
        "DROP TABLE usage_events_2024_06",
        "ALTER TABLE usage_events DETACH PARTITION usage_events_2024_06",
        "CREATE TABLE mine PARTITION OF usage_events DEFAULT",
    ):
        assert state_of(statement) == REFUSED, statement


def test_the_app_cannot_switch_rules_off(app):
    make_entity()
    for table in tables():
        for statement in (
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"ALTER TABLE {table} DISABLE TRIGGER USER",
            f"ALTER TABLE {table} ADD COLUMN extra text",
            f"DROP TABLE {table} CASCADE",
            f"TRUNCATE {table}",
            f"CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            f"CREATE INDEX ON {table} ((1))",
        ):
            assert state_of(statement) == REFUSED, statement
    for statement in (
        "SET session_replication_role = replica",
        "CREATE TEMPORARY TABLE accounting_periods (id uuid)",
        "CREATE TABLE mine (id uuid)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "SET ROLE billing",
        "DROP FUNCTION currency_exponent(text) CASCADE",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "UPDATE account_balances SET debit = 0",
        "INSERT INTO account_balances DEFAULT VALUES",
        "DELETE FROM billing_entities",
        "UPDATE django_migrations SET name = name",
    ):
        assert state_of(statement) == REFUSED, statement


def test_the_switch_of_the_trigger_library_is_dead(app):
    """Every role may SET pgtrigger.ignore; as the library installs it, that switches every rule off."""
    invoice = make_invoice()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, true) FROM pg_trigger"
            " WHERE NOT tgisinternal"
        )
        assert state_of(f"UPDATE invoices SET total_amount = 0 WHERE id = '{invoice.pk}'") == "23001"


def test_the_app_fills_nothing_of_the_audit_trail_but_seals(app):
    claim_once(principal="user:1", key="once", route="")
    make_entity()
    line = AuditEntry.objects.first()
    columns = [field.column for field in AuditEntry._meta.fields if field.column != "seal"]
    assert [
        column
        for column in columns
        if state_of(f'UPDATE audit_entries SET "{column}" = "{column}" WHERE id = {line.pk}') != REFUSED
    ] == []
    assert seal_audit().entry_count == AuditEntry.objects.count()
    assert IdempotencyKey.objects.count() == 1


def test_what_postgresql_says_the_app_may_do_is_what_was_meant(app):
    """The complement too: there is no table of which it is not known what the app may do."""
    meant = database_roles.privileges()
    assert set(tables()) == set(meant)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, array_agg(p) FILTER (WHERE has_table_privilege(%s, c.oid, p))"
            " FROM pg_class c, unnest(%s::text[]) AS p"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
            " GROUP BY relname",
            [app, list(database_roles.ALL)],
        )
        assert {name: set(held) for name, held in cursor.fetchall()} == meant
    assert not {"TRUNCATE", "REFERENCES", "TRIGGER"} & set().union(*meant.values())


def test_granting_twice_changes_nothing_and_takes_back_what_was_too_much(role):
    first = grant(role)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("GRANT ALL ON journal_lines, audit_entries TO {}").format(sql.Identifier(role))
        )
        cursor.execute(sql.SQL("GRANT UPDATE (debit) ON journal_lines TO {}").format(sql.Identifier(role)))
    assert list(database_roles.differences(role)) != []

    assert grant(role) == first

    assert list(database_roles.differences(role)) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_any_column_privilege(%s, 'journal_lines', 'UPDATE')", [role])
        assert cursor.fetchone() == (False,)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(role):
    said = grant(role, dry_run=True)
    assert f'GRANT SELECT, INSERT ON "public"."journal_entries" TO "{role}";' in said
    assert said.endswith("dry_run=True\n")
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_table_privilege(%s, 'journal_entries', 'SELECT')", [role])
        assert cursor.fetchone() == (False,)


def test_a_new_table_can_be_read_until_the_next_grant(role):
    grant(role)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE just_migrated (id bigint)")
        cursor.execute(
            "SELECT has_table_privilege(%s, 'just_migrated', 'SELECT'), has_table_privilege(%s, 'just_migrated', 'INSERT')",
            [role, role],
        )
        held = cursor.fetchone()
        cursor.execute("DROP TABLE just_migrated")
    assert held == (True, False)


@pytest.mark.parametrize(
    ("attribute", "reason"), [("SUPERUSER", "is a superuser"), ("CREATEROLE", "may make roles")]
)
def test_a_role_that_no_grant_restricts_is_refused(role, attribute, reason):
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} " + attribute).format(sql.Identifier(role)))
    with pytest.raises(CommandError, match=reason):
        grant(role)


def test_the_owner_and_a_role_that_is_not_there_are_refused():
    with pytest.raises(CommandError, match="owns tables here"):
        grant("billing")
    with pytest.raises(CommandError, match="Make it first"):
        grant("nobody_of_this_name")


def test_what_the_role_may_by_another_way_is_found_and_nothing_is_changed(role):
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("GRANT pg_write_all_data TO {}").format(sql.Identifier(role)))
    with pytest.raises(CommandError, match="still has UPDATE on journal_lines"):
        grant(role)
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        cursor.execute("SELECT 1 FROM journal_lines")


def test_books_kept_by_the_app_are_sound(app):
    make_invoice()
    assert CostAllocation.objects.count() == 1
    assert_invariants_hold()
