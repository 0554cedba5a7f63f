"""What is booked, once and in balance."""

import pytest

from billing.ledger.models import AccountBalance, JournalLine
from billing.ledger.tests.makers import make_entry


@pytest.mark.django_db
def test_a_sale_is_one_entry_of_two_lines():
    entry = make_entry()
    assert JournalLine.objects.filter(entry=entry).count() == 2
    assert AccountBalance.objects.filter(account__entity=entry.entity).count() == 2
