"""Many at once: balances stay exact, nothing lands in a closed month, nothing is booked twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection, transaction

from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.ledger import queries, services
from billing.ledger.accounts import CASH, RECEIVABLE, REVENUE, TAX_PAYABLE
from billing.ledger.errors import AlreadyPosted, AlreadyReversed, PeriodClosed
from billing.ledger.models import AccountingPeriod, JournalEntry, LedgerAccount
from billing.ledger.postings import credit, debit
from billing.ledger.tests.makers import DAY, balance_of, make_draft, make_entry, make_seller, sale

pytestmark = pytest.mark.django_db(transaction=True)

POSTERS = 32
MARCH = date(2026, 3, 1)


def at_once(actions: list[Callable[[], object]]) -> list[object]:
    """Run the actions in threads that start together; an exception is a result too."""
    barrier = Barrier(len(actions))

    def run(action: Callable[[], object]) -> object:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            return action()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=len(actions)) as pool:
        return list(pool.map(run, actions))


def test_32_writers_on_one_account_leave_it_exact():
    books = make_seller()
    make_entry(books, sale("1.00"))

    def write(number: int) -> None:
        for step in range(5):
            lines = [
                debit(RECEIVABLE, Decimal("1.19"), "EUR"),
                credit(TAX_PAYABLE, Decimal("0.19"), "EUR"),
                credit(REVENUE, Decimal("1.00"), "EUR"),
            ]
            turned = lines if (number + step) % 2 else lines[::-1]
            services.post_entries([make_draft(books, turned), make_draft(books, [*turned, *sale("0.10")])])

    results = at_once([lambda number=number: write(number) for number in range(POSTERS)])

    assert results == [None] * POSTERS
    assert balance_of(books, RECEIVABLE) == 1 + POSTERS * 5 * Decimal("2.48")
    assert balance_of(books, TAX_PAYABLE) == -POSTERS * 5 * Decimal("0.38")
    assert JournalEntry.objects.count() == 1 + POSTERS * 10
    assert_invariants_hold()


def test_no_entry_lands_after_the_close():
    books = make_seller()
    make_entry(books)
    month = AccountingPeriod.objects.get()
    services.begin_closing_period(period_id=month.pk, actor="user:1")

    def post() -> int:
        for booked in range(200):
            try:
                make_entry(books, sale("1.00"))
            except PeriodClosed:
                return booked
        raise AssertionError("the month was never closed")

    def close() -> int:
        services.close_period(period_id=month.pk, actor="user:2")
        return JournalEntry.objects.count()

    *booked, at_close = at_once([*[post] * POSTERS, close])

    assert all(isinstance(count, int) for count in [*booked, at_close]), booked
    assert JournalEntry.objects.count() == at_close == 1 + sum(booked)
    assert balance_of(books, REVENUE) == -100 - sum(booked)
    assert_invariants_hold()


def test_an_entry_that_meets_the_close_is_refused():
    books = make_seller()
    make_entry(books)
    month = AccountingPeriod.objects.get()
    services.begin_closing_period(period_id=month.pk, actor="user:1")

    with transaction.atomic():
        services.close_period(period_id=month.pk, actor="user:2")
        rival = start_rival(lambda: make_entry(books))

    with pytest.raises(PeriodClosed):
        rival.result(timeout=5)
    assert JournalEntry.objects.count() == 1
    assert queries.posting_day(books.pk, DAY) == date(2026, 4, 1)


def test_the_close_waits_for_an_entry_under_way():
    books = make_seller()
    make_entry(books)
    month = AccountingPeriod.objects.get()
    services.begin_closing_period(period_id=month.pk, actor="user:1")

    with transaction.atomic():
        make_entry(books)
        rival = start_rival(lambda: services.close_period(period_id=month.pk, actor="user:2"))

    assert rival.result(timeout=5).state == "closed"
    assert JournalEntry.objects.count() == 2


def test_the_second_of_two_reversals_is_refused():
    entry = make_entry()

    def reverse() -> JournalEntry:
        return services.reverse_entry(entry_id=entry.pk, actor="user:1", posted_on=DAY, reason="twice")

    with transaction.atomic():
        reverse()
        rival = start_rival(reverse)

    with pytest.raises(AlreadyReversed):
        rival.result(timeout=5)
    assert JournalEntry.objects.filter(reverses=entry).count() == 1
    assert_invariants_hold()


def test_of_many_reversals_one_is_booked():
    entries = services.post_entries([make_draft(make_seller()) for _ in range(8)])

    def reverse(entry: JournalEntry) -> object:
        return services.reverse_entry(
            entry_id=entry.pk, actor="user:1", posted_on=DAY, reason="r"
        ).reverses_id

    results = at_once([lambda entry=entry: reverse(entry) for entry in entries for _ in range(2)])

    assert sum(isinstance(result, AlreadyReversed) for result in results) == 8
    assert {result for result in results if not isinstance(result, Exception)} == {e.pk for e in entries}
    assert_invariants_hold()


def test_the_second_of_two_equal_events_is_refused():
    books = make_seller()
    make_entry(books)

    with transaction.atomic():
        make_entry(books, source="invoice:1")
        rival = start_rival(lambda: make_entry(books, source="invoice:1"))

    with pytest.raises(AlreadyPosted):
        rival.result(timeout=5)
    assert JournalEntry.objects.filter(source="invoice:1").count() == 1


def test_two_first_entries_share_the_chart_and_the_month():
    books = make_seller()

    with transaction.atomic():
        make_entry(books, posted_on=date(2026, 3, 1))
        rival = start_rival(lambda: make_entry(books, posted_on=date(2026, 5, 31)))

    rival.result(timeout=5)
    assert [str(month) for month in AccountingPeriod.objects.order_by("starts_on")] == [
        "2026-03", "2026-04", "2026-05",
    ]  # fmt: skip
    assert LedgerAccount.objects.filter(code="1100").count() == 1


def test_first_entries_of_many_threads_into_many_months():
    books = make_seller()
    results = at_once(
        [
            lambda number=number: make_entry(books, [debit(CASH, Decimal(1), "EUR"), credit(REVENUE, Decimal(1), "EUR")], posted_on=date(2026, number % 12 + 1, 5)).pk
            for number in range(24)
        ]
    )  # fmt: skip
    assert [result for result in results if isinstance(result, Exception)] == []
    assert AccountingPeriod.objects.count() == 12
    assert_invariants_hold()


def test_two_closers_close_once():
    books = make_seller()
    make_entry(books)
    month = AccountingPeriod.objects.get(starts_on=MARCH)
    services.begin_closing_period(period_id=month.pk, actor="user:1")

    with transaction.atomic():
        services.close_period(period_id=month.pk, actor="user:2")
        rival = start_rival(lambda: services.close_period(period_id=month.pk, actor="user:3"))

    with pytest.raises(Exception, match="Cannot close from 'closed'"):
        rival.result(timeout=5)
    month.refresh_from_db()
    assert month.closed_by == "user:2"
