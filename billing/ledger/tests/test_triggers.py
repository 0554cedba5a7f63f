"""What raw SQL cannot do, also not as the owner of the tables."""

from contextlib import contextmanager
from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.kernel.ids import uuid7
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger import services
from billing.ledger.accounts import CASH, RECEIVABLE, REVENUE
from billing.ledger.models import AccountBalance, AccountingPeriod, JournalEntry, JournalLine, LedgerAccount
from billing.ledger.tests.makers import DAY, closed_month, make_entry, make_seller, sale

pytestmark = pytest.mark.django_db

LINE = (
    "INSERT INTO journal_lines (entry_id, entity_id, account_id, currency, debit, credit,"
    " product_code, gl_code, contract_reference) VALUES (%s, %s, %s, %s, %s, %s, '', '', '')"
)


@contextmanager
def refused_by(constraint: str):
    """The database refuses, naming `constraint` (or saying it), at the latest at COMMIT."""
    tables = (JournalEntry, JournalLine, AccountBalance, AccountingPeriod, LedgerAccount)
    before = [list(table.objects.order_by("pk").values()) for table in tables]
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        yield
        run("SET CONSTRAINTS ALL IMMEDIATE")
    diagnostics = refusal.value.__cause__.diag
    assert constraint in {diagnostics.constraint_name, diagnostics.message_primary}
    assert [list(table.objects.order_by("pk").values()) for table in tables] == before


def run(sql: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def insert_entry(books, *, period=None, posted_on=DAY, reverses=None, source=None) -> str:
    entry_id = uuid7()
    period = period or AccountingPeriod.objects.get(entity=books)
    run(
        "INSERT INTO journal_entries (id, entity_id, period_id, posted_on, source, event, description,"
        " reverses_id, transaction_number) VALUES (%s, %s, %s, %s, %s, 'raw', '', %s, 0)",
        entry_id, books.pk, period.pk, posted_on, f"raw:{entry_id}" if source is None else source, reverses,
    )  # fmt: skip
    return entry_id


def insert_lines(books, entry_id, *lines) -> None:
    accounts = services.accounts_of([books.pk])
    for account, currency, debit, credit in lines:
        run(LINE, entry_id, books.pk, accounts[books.pk, account.code], currency, debit, credit)


@pytest.fixture
def books():
    entity = make_seller()
    make_entry(entity, source="invoice:1")
    return entity


GOOD = [(RECEIVABLE, "EUR", "10.00", 0), (REVENUE, "EUR", 0, "10.00")]


def test_a_balanced_entry_written_line_by_line_is_taken(books):
    insert_lines(books, insert_entry(books), *GOOD)
    run("SET CONSTRAINTS ALL IMMEDIATE")
    assert JournalEntry.objects.count() == 2
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("_case", "lines", "constraint"),
    [
        ("a cent short", [(CASH, "EUR", "10.00", 0), (REVENUE, "EUR", 0, "9.99")], "entry_balances"),
        ("across currencies", [(CASH, "EUR", "10.00", 0), (REVENUE, "USD", 0, "10.00")], "entry_balances"),
        ("one line", [(CASH, "EUR", "10.00", 0)], "entry_has_lines"),
        ("no line", [], "entry_has_lines"),
        ("not a number", [(CASH, "EUR", "NaN", 0)], "journal_line_payable"),
        ("a fraction of a cent", [(CASH, "EUR", "0.001", 0)], "journal_line_payable"),
        ("a fraction of a yen", [(CASH, "JPY", "0.5", 0)], "journal_line_payable"),
        ("no currency", [(CASH, "XXX", "1", 0)], "journal_line_payable"),
        ("negative", [(CASH, "EUR", "-1.00", 0)], "journal_line_debit_or_credit"),
        ("both sides", [(CASH, "EUR", "1.00", "1.00")], "journal_line_debit_or_credit"),
        ("zero", [(CASH, "EUR", 0, 0)], "journal_line_debit_or_credit"),
    ],
)
def test_a_wrong_entry_is_refused(books, _case, lines, constraint):
    with refused_by(constraint):
        insert_lines(books, insert_entry(books), *lines)


def test_an_entry_names_its_source(books):
    with refused_by("entry_names_its_source"):
        insert_lines(books, insert_entry(books, source=""), *GOOD)


def test_an_event_is_booked_once_also_by_hand(books):
    with refused_by("one_entry_per_source_and_event"):
        insert_entry(books, source="twice")
        insert_entry(books, source="twice")


@pytest.mark.parametrize("table", ["journal_entries", "journal_lines"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_what_is_booked_is_never_changed(books, table, statement):
    with refused_by(f"{table} is append-only"):
        run(statement.format(table))


@pytest.mark.parametrize(
    "table",
    ["journal_entries", "journal_lines", "account_balances", "accounting_periods", "ledger_accounts"],
)
def test_no_table_of_the_books_is_emptied(books, table):
    with refused_by_truncation(), transaction.atomic():
        run(f"TRUNCATE {table} CASCADE")
    assert JournalLine.objects.count() == 2
    assert AccountBalance.objects.count() == 2


@contextmanager
def refused_by_truncation():
    with pytest.raises(IntegrityError, match="is never truncated"):
        run("SET CONSTRAINTS ALL IMMEDIATE")
        yield


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account_balances SET debit = debit + 1",
        "DELETE FROM account_balances",
        "INSERT INTO account_balances (account_id, period_id, currency, debit, credit)"
        " SELECT account_id, period_id, 'USD', 1, 1 FROM account_balances LIMIT 1",
    ],
)
def test_a_balance_is_never_written_by_hand(books, statement):
    with refused_by("account balances follow the journal lines"):
        run(statement)


def test_a_line_does_not_join_an_entry_of_another_transaction(books):
    old = uuid7()
    run("SET session_replication_role = replica")  # an entry as another transaction left it
    run(
        "INSERT INTO journal_entries (id, created_at, entity_id, period_id, posted_on, source, event,"
        " description, transaction_number) SELECT %s, created_at, entity_id, period_id, posted_on, 'old',"
        " event, '', transaction_number - 1 FROM journal_entries LIMIT 1",
        old,
    )
    run("SET session_replication_role = origin")
    with refused_by("line_belongs_to_entry"):
        insert_lines(books, old, *GOOD)


def test_nor_of_a_transaction_of_another_time_with_the_same_number(books):
    old = uuid7()
    run("SET session_replication_role = replica")
    run(
        "INSERT INTO journal_entries (id, created_at, entity_id, period_id, posted_on, source, event,"
        " description, transaction_number) SELECT %s, created_at - interval '1 second', entity_id, period_id,"
        " posted_on, 'old', event, '', transaction_number FROM journal_entries LIMIT 1",
        old,
    )
    run("SET session_replication_role = origin")
    with refused_by("line_belongs_to_entry"):
        insert_lines(books, old, *GOOD)


def test_a_line_stays_in_the_books_of_its_entry(books):
    other = make_seller()
    foreign = services.accounts_of([other.pk])[other.pk, "1100"]
    own = services.accounts_of([books.pk])[books.pk, "4000"]
    with refused_by("line_belongs_to_entry"):
        entry_id = insert_entry(books)
        run(LINE, entry_id, books.pk, own, "EUR", 0, "10.00")
        run(LINE, entry_id, books.pk, foreign, "EUR", "10.00", 0)
    with refused_by("line_belongs_to_entry"):
        entry_id = insert_entry(books)
        run(LINE, entry_id, other.pk, foreign, "EUR", "10.00", 0)


def test_an_entry_lies_in_its_own_open_month(books):
    other = make_entry(make_seller()).period
    with refused_by("entry_within_period"):
        insert_lines(books, insert_entry(books, posted_on=date(2026, 4, 1)), *GOOD)
    with refused_by("entry_within_period"):
        insert_lines(books, insert_entry(books, posted_on=date(2026, 2, 28)), *GOOD)
    with refused_by("entry_within_period"):
        insert_lines(books, insert_entry(books, period=other), *GOOD)
    closed_month(books, date(2026, 3, 1))
    with refused_by("period_is_open"):
        insert_lines(books, insert_entry(books), *GOOD)


@pytest.mark.parametrize(
    ("_case", "lines", "constraint"),
    [
        ("a part", [(REVENUE, "EUR", "40.00", 0), (RECEIVABLE, "EUR", 0, "40.00")], "reversal_mirrors"),
        ("not turned", [(RECEIVABLE, "EUR", "100.00", 0), (REVENUE, "EUR", 0, "100.00")], "reversal_mirrors"),
        (
            "more than it",
            [
                (REVENUE, "EUR", "100.00", 0),
                (RECEIVABLE, "EUR", 0, "100.00"),
                (CASH, "EUR", "1.00", 0),
                (REVENUE, "EUR", 0, "1.00"),
            ],
            "reversal_mirrors",
        ),
        (
            "of another entry",
            [(CASH, "EUR", "100.00", 0), (RECEIVABLE, "EUR", 0, "100.00")],
            "reversal_mirrors",
        ),
    ],
)
def test_a_reversal_is_the_exact_mirror(books, _case, lines, constraint):
    entry = JournalEntry.objects.get()
    with refused_by(constraint):
        insert_lines(books, insert_entry(books, reverses=entry.pk), *lines)


def test_a_reversal_that_leaves_a_pair_of_lines_out_is_refused(books):
    entry = make_entry(books, [*sale("1.00"), *sale("2.00", gl_code="4001")])
    with refused_by("reversal_mirrors"):
        reversal = insert_entry(books, reverses=entry.pk)
        insert_lines(books, reversal, (REVENUE, "EUR", "1.00", 0), (RECEIVABLE, "EUR", 0, "1.00"))


def test_a_reversal_is_not_reversed_and_an_entry_only_once(books):
    entry = JournalEntry.objects.get()
    mirror = [(REVENUE, "EUR", "100.00", 0), (RECEIVABLE, "EUR", 0, "100.00")]
    reversal = insert_entry(books, reverses=entry.pk)
    insert_lines(books, reversal, *mirror)
    run("SET CONSTRAINTS ALL IMMEDIATE")
    run("SET CONSTRAINTS ALL DEFERRED")
    with refused_by("journal_entries_reverses_id_key"):
        insert_lines(books, insert_entry(books, reverses=entry.pk), *mirror)
    with refused_by("reversal_is_final"):
        back = [(RECEIVABLE, "EUR", "100.00", 0), (REVENUE, "EUR", 0, "100.00")]
        insert_lines(books, insert_entry(books, reverses=reversal), *back)


# --- months and accounts


def period_row(books, starts_on: str, ends_on: str, state: str = "open") -> None:
    run(
        "INSERT INTO accounting_periods (id, entity_id, starts_on, ends_on, state, closing_requested_by,"
        " closed_by, reopened_by, version) VALUES (%s, %s, %s, %s, %s, '', '', '', 1)",
        uuid7(), books.pk, starts_on, ends_on, state,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("starts_on", "ends_on", "state", "constraint"),
    [
        ("2026-04-01", "2026-04-15", "open", "period_is_calendar_month"),
        ("2026-04-01", "2026-06-01", "open", "period_is_calendar_month"),
        ("2026-04-02", "2026-05-02", "open", "periods_have_no_gap"),
        ("2026-05-01", "2026-06-01", "open", "periods_have_no_gap"),
        ("2026-04-01", "2026-05-01", "closed", "period_begins_open"),
        ("2026-03-01", "2026-04-01", "open", "one_period_per_month"),
    ],
)
def test_months_are_whole_and_follow_each_other(books, starts_on, ends_on, state, constraint):
    with refused_by(constraint):
        period_row(books, starts_on, ends_on, state)


def test_no_month_appears_before_a_closed_one(books):
    closed_month(books, date(2026, 3, 1))
    with refused_by("period_is_open"):
        period_row(books, "2026-02-01", "2026-03-01")


MARCH_STATE = "UPDATE accounting_periods SET {} WHERE starts_on = '2026-03-01'"


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("state = 'closed'", "accounting_periods: no move from open to closed"),
        ("closed_by = 'user:1', closing_requested_by = 'user:1'", "period_closing_takes_two"),
        ("closed_by = 'user:1', reopened_by = 'user:1'", "period_reopening_takes_another"),
    ],
)
def test_a_month_moves_by_its_table_and_two_people(books, change, refusal):
    with refused_by(refusal):
        run(MARCH_STATE.format(change))


@pytest.mark.parametrize("who", ["", "closing_requested_by = 'user:1'", "closed_by = 'user:1'"])
def test_two_people_close_a_month(books, who):
    run(MARCH_STATE.format("state = 'closing'"))
    with refused_by("period_closed_by_two_people"):
        run(MARCH_STATE.format(", ".join(filter(None, ["state = 'closed'", who]))))


def test_months_close_in_order(books):
    make_entry(books, posted_on=date(2026, 4, 1))
    for state in ("closing", "closed"):
        statement = (
            "UPDATE accounting_periods SET state = %s, closing_requested_by = 'user:1', closed_by = 'user:2'"
            " WHERE starts_on = '2026-04-01'"
        )
        if state == "closing":
            run(statement, state)
        else:
            with refused_by("periods_close_in_order"):
                run(statement, state)
    closed_month(books, date(2026, 3, 1))
    run(statement, "closed")
    with refused_by("periods_close_in_order"):
        run(MARCH_STATE.format("state = 'open'"))


@pytest.mark.parametrize(
    "change", ["starts_on = '2026-02-01'", "ends_on = '2026-05-01'", "entity_id = (SELECT %s::uuid)"]
)
def test_a_month_keeps_its_days_and_its_books(books, change):
    period = AccountingPeriod.objects.get()
    parameters = [make_seller().pk] if "%s" in change else []
    with refused_by(f"accounting_periods {period.pk} is final"):
        run(MARCH_STATE.format(change), *parameters)


@pytest.mark.parametrize("change", ["code = '9999'", "normal_side = 'credit'", "entity_id = %s"])
def test_an_account_keeps_its_code_and_its_books(books, change):
    account = LedgerAccount.objects.get(code="1100")
    parameters = [make_seller().pk] if "%s" in change else []
    with refused_by(f"ledger_accounts {account.pk} is final"):
        run(f"UPDATE ledger_accounts SET {change} WHERE code = '1100'", *parameters)


def test_an_account_may_be_called_otherwise(books):
    run("UPDATE ledger_accounts SET name = 'Debtors' WHERE code = '1100'")
    assert LedgerAccount.objects.get(code="1100").name == "Debtors"


@pytest.mark.parametrize("table", ["ledger_accounts", "accounting_periods"])
def test_no_account_and_no_month_is_deleted(books, table):
    with pytest.raises(IntegrityError, match="is final"), transaction.atomic():
        run(f"DELETE FROM {table}")


def test_a_side_is_debit_or_credit(books):
    with refused_by("account_side_known"):
        run(
            "INSERT INTO ledger_accounts (id, entity_id, code, name, normal_side, version)"
            " VALUES (%s, %s, '1', '', 'left', 1)",
            uuid7(), books.pk,
        )  # fmt: skip


def test_amounts_add_up_across_months(books):
    make_entry(books, sale("5.00"), posted_on=date(2026, 4, 1))
    kept = AccountBalance.objects.filter(account__code="1100").order_by("period__starts_on")
    assert [(row.debit, row.credit) for row in kept] == [
        (Decimal("100.00"), Decimal(0)),
        (Decimal("5.00"), Decimal(0)),
    ]
