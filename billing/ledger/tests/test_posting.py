"""What is booked: once, in balance, into a month that is open, at a cost that does not grow."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import transaction

from billing.kernel.errors import Invalid
from billing.kernel.money import Money
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger import queries, services
from billing.ledger.accounts import CASH, CHART, CUSTOMER_BALANCE, RECEIVABLE, REVENUE, TAX_PAYABLE, Side
from billing.ledger.errors import (
    AccountUnknown,
    AlreadyPosted,
    EntryEmpty,
    EntryUnbalanced,
    PeriodClosed,
    PostingDateOutOfRange,
)
from billing.ledger.models import AccountBalance, AccountingPeriod, JournalEntry, JournalLine, LedgerAccount
from billing.ledger.postings import Posting, credit, debit, merged
from billing.ledger.tests.makers import (
    balance_of,
    balances_from_lines,
    closed_month,
    make_draft,
    make_entry,
    make_seller,
    sale,
)

pytestmark = pytest.mark.django_db


def figures(entity, currency="EUR", **moment):
    return {row.code: row.balance for row in queries.trial_balance(entity.pk, currency=currency, **moment)}


def nothing_was_booked():
    return not JournalEntry.objects.exists() and not JournalLine.objects.exists()


# --- worked examples


def test_an_invoice_is_issued_paid_and_overpaid():
    books, customer = make_seller(), make_seller(is_seller=False)
    who = {"customer_id": customer.pk}
    issued = [
        debit(RECEIVABLE, Decimal("119.00"), "EUR", **who),
        credit(REVENUE, Decimal("100.00"), "EUR", **who),
        credit(TAX_PAYABLE, Decimal("19.00"), "EUR", **who),
    ]
    paid = [
        debit(CASH, Decimal("150.00"), "EUR", **who),
        credit(RECEIVABLE, Decimal("119.00"), "EUR", **who),
        credit(CUSTOMER_BALANCE, Decimal("31.00"), "EUR", **who),
    ]
    make_entry(books, issued, source="invoice:1", event="issued", posted_on=date(2026, 3, 1))
    assert balance_of(books, RECEIVABLE) == Decimal("119.00")
    make_entry(books, paid, source="payment:1", event="captured", posted_on=date(2026, 4, 2))

    assert figures(books) == {
        "1000": Decimal("150.00"),
        "1100": Decimal("0.00"),
        "2200": Decimal("-19.00"),
        "2300": Decimal("-31.00"),
        "4000": Decimal("-100.00"),
    }
    assert balance_of(books, RECEIVABLE, as_of=date(2026, 3, 31)) == Decimal("119.00")
    assert_invariants_hold()


def test_an_entry_in_two_currencies_balances_in_each():
    books = make_seller()
    make_entry(books, [*sale("100.00", "EUR"), *sale("5000", "JPY"), *sale("1.005", "KWD")])
    assert figures(books, "EUR") == {"1100": Decimal("100.00"), "4000": Decimal("-100.00")}
    assert figures(books, "JPY") == {"1100": Decimal(5000), "4000": Decimal(-5000)}
    assert figures(books, "KWD") == {"1100": Decimal("1.005"), "4000": Decimal("-1.005")}


def test_lines_keep_their_dimensions():
    books, customer = make_seller(), make_seller(is_seller=False)
    entry = make_entry(
        books,
        sale(customer_id=customer.pk, product_code="CPU", gl_code="4001", contract_reference="C-1"),
    )
    said = set(
        entry.lines.values_list("entity_id", "customer_id", "product_code", "gl_code", "contract_reference")
    )
    assert said == {(books.pk, customer.pk, "CPU", "4001", "C-1")}


# --- postings as values


def test_a_negative_amount_stands_on_the_other_side():
    posting = debit(RECEIVABLE, Decimal("-3.00"), "EUR")
    assert (posting.side, posting.amount) == (Side.CREDIT, Decimal("3.00"))
    assert credit(REVENUE, Money(Decimal("-1.00"), "EUR")).debit == Decimal("1.00")


def test_same_places_are_one_line_and_zeros_none():
    lines = merged(
        [
            debit(CASH, Decimal("1.00"), "EUR"),
            debit(CASH, Decimal("2.00"), "EUR"),
            debit(CASH, Decimal("4.00"), "EUR", product_code="CPU"),
            credit(CASH, Decimal("8.00"), "EUR"),
            credit(REVENUE, Decimal("0.00"), "EUR"),
        ]
    )
    assert sorted((line.side, line.product_code, line.amount) for line in lines) == [
        ("credit", "", Decimal("8.00")),
        ("debit", "", Decimal("3.00")),
        ("debit", "CPU", Decimal("4.00")),
    ]


@pytest.mark.parametrize(
    ("_case", "make", "refusal"),
    [
        ("a float", lambda: debit(CASH, 1.5, "EUR"), TypeError),
        ("not a number", lambda: debit(CASH, Decimal("NaN"), "EUR"), ValueError),
        ("a fraction of a cent", lambda: debit(CASH, Decimal("0.001"), "EUR"), Invalid),
        ("too large", lambda: debit(CASH, Decimal(10) ** 15, "EUR"), Invalid),
        ("unknown currency", lambda: debit(CASH, Decimal(1), "XXX"), Invalid),
        ("unknown account", lambda: debit("9999", Decimal(1), "EUR"), AccountUnknown),
        ("two currencies", lambda: debit(CASH, Money(Decimal(1), "EUR"), "USD"), Invalid),
    ],
)
def test_a_posting_refuses(_case, make, refusal):
    with pytest.raises(refusal):
        make()


@pytest.mark.parametrize(
    ("_case", "change", "refusal"),
    [
        ("a cent short", {"lines": [debit(CASH, Decimal("1.00"), "EUR"), credit(REVENUE, Decimal("0.99"), "EUR")]}, EntryUnbalanced),
        ("across currencies", {"lines": [debit(CASH, Decimal(1), "EUR"), credit(REVENUE, Decimal(1), "USD")]}, EntryUnbalanced),
        ("one line", {"lines": [debit(CASH, Decimal(1), "EUR")]}, EntryEmpty),
        ("no line", {"lines": []}, EntryEmpty),
        ("only zeros", {"lines": sale("0.00")}, EntryEmpty),
        ("no source", {"source": ""}, Invalid),
        ("a long event", {"event": "x" * 33}, Invalid),
        ("a long description", {"description": "x" * 201}, Invalid),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused_and_takes_the_batch_with_it(_case, change, refusal):
    books = make_seller()
    with pytest.raises(refusal):
        services.post_entries([make_draft(books), make_draft(books, **change)])
    assert nothing_was_booked()


def test_an_invoice_of_nothing_is_an_empty_draft():
    assert make_draft(make_seller(), sale("0.00")).is_empty
    assert services.post_entries([]) == []


# --- once


def test_an_event_is_booked_once():
    books = make_seller()
    make_entry(books, source="invoice:1", event="issued")
    with pytest.raises(AlreadyPosted):
        make_entry(books, sale("7.00"), source="invoice:1", event="issued")
    make_entry(books, source="invoice:1", event="voided")
    assert balance_of(books, RECEIVABLE) == Decimal("200.00")


def test_a_refused_entry_leaves_the_callers_transaction_usable():
    books = make_seller()
    make_entry(books, source="invoice:1", event="issued")
    with transaction.atomic():
        with pytest.raises(AlreadyPosted):
            make_entry(books, source="invoice:1", event="issued")
        make_entry(books, source="invoice:2", event="issued")
    assert JournalEntry.objects.count() == 2


# --- months


def test_what_belongs_to_a_closed_month_is_booked_after_it():
    books = make_seller()
    make_entry(books, posted_on=date(2026, 1, 10))
    closed_month(books, date(2026, 1, 1))
    make_entry(books, posted_on=date(2026, 2, 10))
    closed_month(books, date(2026, 2, 1))

    assert queries.posting_day(books.pk, date(2026, 1, 20)) == date(2026, 3, 1)
    assert queries.posting_day(books.pk, date(2026, 3, 20)) == date(2026, 3, 20)
    assert queries.posting_day(books.pk, date(2025, 6, 1)) == date(2026, 3, 1)
    assert queries.posting_day(make_seller().pk, date(2026, 1, 20)) == date(2026, 1, 20)


@pytest.mark.parametrize("day", [date(2026, 1, 31), date(2025, 12, 31)])
def test_nothing_is_booked_into_or_before_a_closed_month(day):
    books = make_seller()
    make_entry(books, posted_on=date(2026, 1, 10))
    closed_month(books, date(2026, 1, 1))
    with pytest.raises(PeriodClosed):
        make_entry(books, posted_on=day)
    assert JournalEntry.objects.count() == 1
    assert AccountingPeriod.objects.count() == 1


def test_months_are_made_without_gaps_in_both_directions():
    books = make_seller()
    for day in (date(2026, 3, 15), date(2026, 6, 30), date(2025, 11, 1)):
        make_entry(books, posted_on=day)
    months = AccountingPeriod.objects.filter(entity=books).order_by("starts_on")
    assert [f"{month}" for month in months] == [
        "2025-11", "2025-12", "2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06",
    ]  # fmt: skip
    assert_invariants_hold()


@pytest.mark.parametrize("day", [date(9999, 12, 31), date(1, 1, 1)])
def test_a_mistyped_year_makes_no_thousand_months(day):
    books = make_seller()
    make_entry(books)
    with pytest.raises(PostingDateOutOfRange):
        make_entry(books, posted_on=day)
    assert AccountingPeriod.objects.count() == 1


# --- the cost


def test_a_batch_costs_as_many_statements_as_one_entry(django_assert_num_queries):
    books, others = make_seller(), make_seller()
    services.post_entries([make_draft(books), make_draft(others)])
    # savepoint, accounts, months, entries, lines, release
    with django_assert_num_queries(6):
        services.post_entries([make_draft(books)])
    drafts = [make_draft(entity) for entity in (books, others) for _ in range(50)]
    with django_assert_num_queries(6):
        services.post_entries(drafts)


def test_the_first_entries_cost_a_fixed_number_more(django_assert_num_queries):
    books = [make_seller() for _ in range(5)]
    drafts = [
        make_draft(entity, posted_on=date(2026, month, 1)) for entity in books for month in range(1, 13)
    ]
    # and: chart (insert, read again), months (savepoint, lock, known ones, insert, release, read again)
    with django_assert_num_queries(14):
        services.post_entries(drafts)
    assert AccountingPeriod.objects.count() == 60
    assert LedgerAccount.objects.count() == 5 * len(CHART)
    assert_invariants_hold()


# --- reading


def test_trial_balance_equals_the_sum_of_lines():
    books = make_seller()
    for day, amount in ((date(2026, 1, 31), "1.00"), (date(2026, 2, 1), "2.00"), (date(2026, 2, 15), "4.00")):
        make_entry(books, sale(amount), posted_on=day)
    february = AccountingPeriod.objects.get(entity=books, starts_on=date(2026, 2, 1))
    for moment in (
        {},
        {"as_of": date(2026, 1, 30)},
        {"as_of": date(2026, 1, 31)},
        {"as_of": date(2026, 2, 14)},
        {"as_of": date(2026, 2, 28)},
        {"as_of": date(2027, 1, 1)},
        {"period": february},
        {"period": february, "as_of": date(2026, 2, 14)},
    ):
        rows = queries.trial_balance(books.pk, **moment)
        sums = {(row.code, row.currency): (row.debit, row.credit) for row in rows}
        assert sums == balances_from_lines(books, **moment), moment
    assert figures(books, as_of=date(2026, 2, 14)) == {"1100": Decimal("3.00"), "4000": Decimal("-3.00")}
    assert figures(books, period=february) == {"1100": Decimal("6.00"), "4000": Decimal("-6.00")}


def test_books_do_not_mix():
    ours, theirs = make_seller(), make_seller()
    make_entry(ours, sale("1.00"))
    make_entry(theirs, sale("2.00"))
    assert figures(ours) == {"1100": Decimal("1.00"), "4000": Decimal("-1.00")}
    assert AccountBalance.objects.count() == 4


def test_a_posting_is_mirrored_by_its_other_side():
    posting = Posting(account="1000", side=Side.DEBIT, amount=Decimal("1.00"), currency="EUR", gl_code="1")
    assert posting.mirrored() == credit(CASH, Decimal("1.00"), "EUR", gl_code="1")
    assert posting.mirrored().mirrored() == posting
