import pytest
from django.db import connection


@pytest.fixture
def unguarded():
    """Runs SQL as if there were neither triggers nor CHECKs, to see whether somebody would notice."""

    def run(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE invoices DROP CONSTRAINT IF EXISTS invoice_paid_iff_nothing_open")
            cursor.execute("SET session_replication_role = replica")
            try:
                cursor.execute(statement)
            finally:
                cursor.execute("SET session_replication_role = origin")

    definition = None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'invoice_paid_iff_nothing_open'"
        )
        [definition] = cursor.fetchone()
    yield run
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM invoices WHERE state = 'paid' AND balance_amount <> 0")
        cursor.execute("SET session_replication_role = origin")
        cursor.execute(f"ALTER TABLE invoices ADD CONSTRAINT invoice_paid_iff_nothing_open {definition}")
