"""Whatever is booked, the books are in balance and the kept balances are the sums of the lines."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.kernel.money import minor_unit, total_of
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger import queries, services
from billing.ledger.accounts import BAD_DEBT, CHART
from billing.ledger.models import JournalLine
from billing.ledger.postings import credit, debit, merged
from billing.ledger.tests.makers import balances_from_lines, make_draft, make_seller

CURRENCIES = ("EUR", "JPY", "KWD")


@st.composite
def balanced_lines(draw):
    """Some signed amounts on some accounts, and what is missing on the last one."""
    lines = []
    for currency in draw(st.lists(st.sampled_from(CURRENCIES), min_size=1, max_size=2, unique=True)):
        units = draw(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=6))
        amounts = [unit * minor_unit(currency) for unit in units]
        lines += [
            debit(draw(st.sampled_from(CHART)), amount, currency, gl_code=draw(st.sampled_from(["", "4001"])))
            for amount in amounts
        ]
        lines.append(credit(BAD_DEBT, total_of(amounts), currency))
    return lines


days = st.dates(date(2025, 11, 1), date(2026, 3, 31))


@pytest.mark.django_db
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(st.tuples(balanced_lines(), days), max_size=8), as_of=days)
def test_any_entries_leave_the_books_in_balance(entries, as_of):
    books = make_seller()
    drafts = [make_draft(books, lines, posted_on=day) for lines, day in entries if len(merged(lines)) > 1]
    services.post_entries(drafts)

    for moment in ({}, {"as_of": as_of}):
        rows = queries.trial_balance(books.pk, **moment)
        sums = {(row.code, row.currency): (row.debit, row.credit) for row in rows}
        assert sums == balances_from_lines(books, **moment)
        for currency in CURRENCIES:
            assert total_of([row.balance for row in rows if row.currency == currency]) == Decimal(0)
    assert JournalLine.objects.filter(entity=books).count() == sum(len(draft.postings) for draft in drafts)
    assert_invariants_hold()
