"""The command that recomputes the books finds what somebody bent behind the triggers' back."""

import json
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from billing.kernel.invariant_checks import find_violations
from billing.ledger import services
from billing.ledger.accounts import RECEIVABLE
from billing.ledger.hooks import Differences, control_total
from billing.ledger.invariants import CHECKS, account_must_equal
from billing.ledger.models import JournalEntry
from billing.ledger.tests.makers import DAY, closed_month, make_entry, make_seller, sale

committed = pytest.mark.django_db(transaction=True)  # the command reads in a transaction of its own


def verify(*arguments: str) -> str:
    out = StringIO()
    call_command("verify_ledger", *arguments, stdout=out)
    return out.getvalue()


def bend(*statements: str) -> None:
    """Change rows as somebody who may switch the triggers off could."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET session_replication_role = origin")


@pytest.fixture
def books(db):
    entity = make_seller()
    entry = make_entry(entity, source="invoice:1")
    make_entry(entity, sale("5.00"), posted_on=DAY.replace(month=4))
    services.reverse_entry(entry_id=entry.pk, actor="user:1", posted_on=DAY, reason="wrong")
    closed_month(entity, DAY.replace(day=1))
    return entity


@pytest.fixture
def registered():
    with control_total.only():
        yield


@committed
def test_sound_books_have_no_differences(books, registered):
    lines = verify().splitlines()
    assert lines[-1] == "differences=0"
    assert lines[:-1] == [f"{name}: ok" for name in CHECKS]


@committed
def test_the_document_says_the_same(books, registered):
    document = json.loads(verify("--json"))
    assert document["differences"] == 0
    assert [check["name"] for check in document["checks"]] == list(CHECKS)


BENDS = {
    "L1 every entry balances per currency": "UPDATE journal_lines SET debit = debit + 0.01 WHERE id = (SELECT min(id) FROM journal_lines WHERE debit > 0)",
    "L1 every entry has two lines": "DELETE FROM journal_lines WHERE entry_id = (SELECT id FROM journal_entries WHERE source LIKE 'test:%')",
    "L1 every line is a debit or a credit, finite and payable": "ALTER TABLE journal_lines DROP CONSTRAINT journal_line_debit_or_credit; UPDATE journal_lines SET credit = credit + 1, debit = debit + 1",
    "L2 the triggers that guard the books are in force": "ALTER TABLE journal_lines DISABLE TRIGGER pgtrigger_append_only_f8373",
    "L3 a reversal mirrors its entry": "UPDATE journal_lines SET gl_code = 'bent' WHERE entry_id = (SELECT reverses_id FROM journal_entries WHERE reverses_id IS NOT NULL)",
    "L3 no entry is reversed twice, no reversal at all": "UPDATE journal_entries SET reverses_id = (SELECT id FROM journal_entries WHERE event = 'reversed') WHERE source LIKE 'test:%'",
    "L4 every entry lies in its period": "UPDATE journal_entries SET posted_on = '2026-05-01'",
    "L4 periods follow each other without a gap": "UPDATE accounting_periods SET starts_on = '2026-06-01', ends_on = '2026-07-01' WHERE starts_on = '2026-04-01'",
    "L4 the closed periods are the earliest": "UPDATE accounting_periods SET state = CASE state WHEN 'open' THEN 'closed' ELSE 'open' END, closed_by = '1', closing_requested_by = '2'",
    "L4 two people closed every closed period": "ALTER TABLE accounting_periods DROP CONSTRAINT period_closed_by_two_people; UPDATE accounting_periods SET closed_by = ''",
    "L5 every event is booked once": "ALTER TABLE journal_entries DROP CONSTRAINT one_entry_per_source_and_event; UPDATE journal_entries SET source = 'same', event = 'same'",
    "L6 balances are the sums of their lines": "UPDATE account_balances SET debit = debit + 1, credit = credit + 1",
    "L6 the trial balance of every entity is zero per currency": "UPDATE account_balances SET debit = debit + 0.01 WHERE id = (SELECT min(id) FROM account_balances)",
    "L8 every line stays in the books of its entry": "UPDATE journal_lines SET entity_id = (SELECT id FROM billing_entities WHERE code LIKE 'other%')",
}  # fmt: skip


def test_every_check_has_a_way_to_fail():
    assert list(BENDS) == list(CHECKS)


@pytest.mark.django_db
@pytest.mark.parametrize("check", CHECKS)
def test_a_bent_book_is_found(books, registered, check):
    make_seller(code="other-1")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is pending would stand in the way of DDL
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(BENDS[check])
        found = {finding.invariant for finding in find_violations("ledger") if finding.violations}
        cursor.execute("SET LOCAL session_replication_role = origin")
        transaction.set_rollback(True)
    assert check in found


@committed
def test_the_command_names_the_difference_and_fails(books, registered):
    bend("UPDATE account_balances SET debit = debit + 1 WHERE id = (SELECT min(id) FROM account_balances)")
    out = StringIO()
    with pytest.raises(CommandError, match="2 difference"):
        call_command("verify_ledger", stdout=out)
    assert "L6 balances are the sums of their lines: 1 differences: account_id=" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "differences=2"


# --- control totals of the apps above


@committed
def test_a_control_total_that_agrees(books, registered):
    open_items = "SELECT id AS entity_id, 'EUR' AS currency, 2.50 AS amount FROM billing_entities WHERE code LIKE 'books%'"
    account_must_equal("receivable = open invoices", RECEIVABLE, f"{open_items} UNION ALL {open_items}")
    assert "control: receivable = open invoices: ok" in verify()


@committed
@pytest.mark.parametrize(
    ("_case", "documents", "found"),
    [
        ("another amount", "SELECT id AS entity_id, 'EUR' AS currency, 5.01 AS amount FROM billing_entities", "books=5.0000, documents=5.01"),
        ("no documents", "SELECT id AS entity_id, 'EUR' AS currency, 0 AS amount FROM billing_entities WHERE false", "books=5.0000, documents=0"),
    ],
)  # fmt: skip
def test_a_control_total_that_differs(books, registered, _case, documents, found):
    account_must_equal("receivable", RECEIVABLE, documents)
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_ledger", stdout=out)
    assert found in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "differences=1"


@committed
def test_a_control_may_compare_its_own_way_but_not_twice(books, registered):
    @control_total("ten entries")
    def ten_entries() -> Differences:
        missing = 10 - JournalEntry.objects.count()
        return Differences(count=missing, samples=[f"missing={missing}"])

    with pytest.raises(CommandError, match="7 difference"):
        verify()
    with pytest.raises(AssertionError, match="registered twice"):
        control_total("ten entries")(ten_entries)
    assert Decimal(3) == JournalEntry.objects.count()
