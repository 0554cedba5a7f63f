"""What a refusal must leave as it was: every row and every balance that money touches."""

from decimal import Decimal

from django.db import connection

from billing.ledger.models import AccountBalance

TABLES = (
    "payments",
    "payment_applications",
    "invoices",
    "invoice_lines",
    "cost_allocations",
    "journal_entries",
    "journal_lines",
    "account_balances",
    "accounting_periods",
    "audit_entries",
    "outbox_events",
    "outbox_deliveries",
    "jobs",
)


def everything() -> dict[str, str]:
    """A digest of all rows of all tables involved, so that also a changed column shows."""
    digests = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(
                f"SELECT count(*), md5(coalesce(string_agg(row_text, '|' ORDER BY row_text), ''))"
                f" FROM (SELECT t::text AS row_text FROM {table} t) AS rows"
            )
            digests[table] = str(cursor.fetchone())
    return digests


def balances(seller) -> dict[tuple[str, str], Decimal]:
    """Debits minus credits by account code and currency; accounts at zero are left out."""
    sums: dict[tuple[str, str], Decimal] = {}
    for kept in AccountBalance.objects.filter(account__entity=seller).select_related("account"):
        place = (kept.account.code, kept.currency)
        sums[place] = sums.get(place, Decimal(0)) + kept.debit - kept.credit
    return {place: net for place, net in sums.items() if net}
