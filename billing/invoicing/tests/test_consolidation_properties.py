"""The set that is gathered, and what it sums to, against a slow and plain reckoning over random groups."""

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.entities.models import EntityRelation
from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.consolidation.invariants import CHECKS
from billing.invoicing.errors import NothingToConsolidate
from billing.invoicing.tests.consolidation_makers import (
    NOVEMBER,
    OCTOBER,
    make_child_draft,
    make_exchange_rate,
    make_group_seller,
    make_payer,
)
from billing.kernel.money import EXACT, minor_unit, round_half_up
from billing.kernel.tests.commits import as_if_committed

pytestmark = pytest.mark.django_db

RATES = {
    "EUR": Decimal(1),
    "USD": Decimal("0.917431192661"),
    "JPY": Decimal("0.006125"),
    "KWD": Decimal("3.0105"),
}
DAYS = [OCTOBER - timedelta(days=1) + timedelta(days=7 * week) for week in range(6)]  # 30 Sep to 4 Nov


@st.composite
def groups(draw):
    """Up to eight companies below the payer, so up to eight levels; each may move once to an older one or away.

    A company: (older one it starts below, rolls up?, None or (day of its move, where to)). -1 is the payer,
    -2 another payer of the seller. An invoice: (company, day of issue, currency, total in minor units).
    """
    size = draw(st.integers(0, 8))
    companies = []
    for number in range(size):
        above = st.sampled_from([*range(number), number - 1, number - 1, -1])  # often the last: deep trees
        move = st.tuples(st.sampled_from(DAYS), st.sampled_from([*range(number), -1, -2]))
        companies.append(
            (draw(above), draw(st.sampled_from([True, True, True, False])), draw(st.none() | move))
        )
    invoices = st.tuples(
        st.integers(-1, size - 1),
        st.sampled_from(DAYS),
        st.sampled_from(sorted(RATES)),
        st.integers(1, 10**6),
    )
    return companies, draw(st.lists(invoices, min_size=1, max_size=10))


def parent_on(company: tuple, day: date) -> int:
    above, _, move = company
    return move[1] if move and move[0] <= day else above


def belongs(companies: list, number: int, day: date) -> bool:
    """Walked up, one company after the other."""
    while number >= 0:
        if not companies[number][1]:
            return False
        number = parent_on(companies[number], day)
    return number == -1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(groups())
def test_the_group_of_each_invoices_own_day_is_gathered_and_summed(drawn):
    companies, wanted = drawn
    with transaction.atomic():
        _check(companies, wanted)
        transaction.set_rollback(True)


def _check(companies, wanted):
    seller = make_group_seller()
    entities = {-1: make_payer(seller), -2: make_payer(seller)}
    for number, (above, rolls_up, move) in enumerate(companies):
        entities[number] = make_entity(
            parent=entities[above], consolidation="roll_up" if rolls_up else "standalone"
        )
        if move:
            day, to = move
            EntityRelation.objects.filter(entity=entities[number]).update(ends_on=day)
            EntityRelation.objects.create(entity=entities[number], parent=entities[to], starts_on=day)
    for currency, rate in RATES.items():
        if currency != "EUR":
            make_exchange_rate(currency, "EUR", str(rate))
    issued = [
        (
            number,
            day,
            make_child_draft(
                entities[number], str(units * minor_unit(currency)), seller=seller, currency=currency
            ),
        )
        for number, day, currency, units in sorted(wanted, key=lambda each: each[1])
    ]
    for _, day, draft in issued:
        services.issue_invoices(actor="test", invoice_ids=[draft.pk], issued_on=day)
    as_if_committed()
    expected = [
        draft
        for number, day, draft in issued
        if OCTOBER <= day < NOVEMBER and belongs(companies, number, day)
    ]

    try:
        document = services.consolidate_invoices(
            actor="test",
            payer_id=entities[-1].pk,
            seller_id=seller.pk,
            period_starts_on=OCTOBER,
            period_ends_on=NOVEMBER,
            issued_on=date(2026, 11, 5),
        ).document
    except NothingToConsolidate:
        assert expected == []
        return
    as_if_committed()

    assert sorted(child.invoice_id for child in document.children.all()) == sorted(d.pk for d in expected)
    sums, converted, exact = defaultdict(Decimal), defaultdict(Decimal), defaultdict(Decimal)
    for draft in expected:
        product = EXACT.multiply(draft.total_amount, RATES[draft.currency])
        sums[draft.currency] += draft.total_amount
        converted[draft.currency] += round_half_up(product, "EUR")
        exact[draft.currency] += product
    found = {total.currency: total for total in document.totals.all()}
    assert {currency: total.total_amount for currency, total in found.items()} == sums
    assert {currency: total.converted_amount for currency, total in found.items()} == converted
    assert document.converted_amount == sum(converted.values())
    for currency, total in found.items():  # I10: a half cent for each child at the most
        assert abs(total.converted_amount - exact[currency]) <= total.child_count * minor_unit("EUR") / 2
    with connection.cursor() as cursor:
        for name, statement in CHECKS.items():
            cursor.execute(statement)
            assert not cursor.fetchall(), name
