"""A booking is taken back by its exact mirror, once."""

from datetime import date
from decimal import Decimal

import pytest

from billing.kernel.errors import NotFound
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger import queries, services
from billing.ledger.accounts import CASH, RECEIVABLE
from billing.ledger.errors import AlreadyReversed, PeriodClosed, ReversalIsFinal
from billing.ledger.models import JournalEntry
from billing.ledger.postings import credit, debit
from billing.ledger.tests.makers import DAY, balance_of, closed_month, make_entry, make_seller, sale

pytestmark = pytest.mark.django_db


def reverse(entry: JournalEntry, *, posted_on: date = DAY) -> JournalEntry:
    return services.reverse_entry(
        entry_id=entry.pk, actor="user:1", posted_on=posted_on, reason="wrong customer"
    )


def lines_of(entry: JournalEntry) -> set[tuple]:
    return set(
        entry.lines.values_list(
            "account__code", "currency", "debit", "credit", "customer_id", "gl_code", "contract_reference"
        )
    )


def test_the_reversal_mirrors_every_line_with_its_dimensions():
    books, customer = make_seller(), make_seller(is_seller=False)
    entry = make_entry(
        books,
        [
            *sale("100.00", customer_id=customer.pk, contract_reference="C-1"),
            *sale("7", "JPY", gl_code="4001"),
        ],
    )
    reversal = reverse(entry, posted_on=date(2026, 4, 1))

    assert lines_of(reversal) == {
        (code, currency, credited, debited, *dimensions)
        for code, currency, debited, credited, *dimensions in lines_of(entry)
    }
    assert (reversal.source, reversal.event, reversal.reverses_id) == (
        f"entry:{entry.pk}",
        "reversed",
        entry.pk,
    )
    assert (reversal.posted_on, reversal.entity_id) == (date(2026, 4, 1), books.pk)
    assert balance_of(books, RECEIVABLE) == 0
    assert balance_of(books, RECEIVABLE, as_of=DAY) == Decimal("100.00")
    act = AuditEntry.objects.get(action="journal_entry.reversed")
    assert (act.subject_id, act.reason, act.entity_id) == (str(entry.pk), "wrong customer", books.pk)
    assert OutboxEvent.objects.get().payload["reversed_by_id"] == str(reversal.pk)
    assert_invariants_hold()


@pytest.mark.parametrize("times", [1, 2])
def test_an_entry_is_reversed_once_and_a_reversal_never(times):
    entry = make_entry()
    reversal = reverse(entry)
    with pytest.raises(AlreadyReversed if times == 1 else ReversalIsFinal):
        reverse(entry if times == 1 else reversal)
    assert JournalEntry.objects.count() == 2
    assert OutboxEvent.objects.count() == 1


def test_a_payment_of_a_closed_month_is_taken_back_in_the_open_one():
    books = make_seller()
    paid = [debit(CASH, Decimal("50.00"), "EUR"), credit(RECEIVABLE, Decimal("50.00"), "EUR")]
    entry = make_entry(books, paid)
    closed_month(books, date(2026, 3, 1))
    with pytest.raises(PeriodClosed):
        reverse(entry)
    assert JournalEntry.objects.count() == 1
    assert not AuditEntry.objects.filter(action="journal_entry.reversed").exists()

    reversal = reverse(entry, posted_on=queries.posting_day(books.pk, DAY))

    assert reversal.posted_on == date(2026, 4, 1)
    assert balance_of(books, CASH) == 0


def test_an_unknown_entry_is_not_found():
    with pytest.raises(NotFound):
        services.reverse_entry(entry_id=uuid7(), actor="user:1", posted_on=DAY, reason="x")
