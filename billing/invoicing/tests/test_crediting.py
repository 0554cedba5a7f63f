from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoicing.credit_notes.core.credit_amounts import (
    BilledLine,
    BilledRow,
    BilledShare,
    CreditExceeds,
    credit,
    left_of,
)
from billing.kernel.money import minor_unit, round_half_up, split_exact
from billing.tax.core.tax import exact_tax

D = Decimal


def row_of(percent, currency, *lines):
    """A row as an invoice has it: `lines` are the nets of their shares; taxes go by largest remainder."""
    nets = [share for line in lines for share in line]
    tax = round_half_up(exact_tax(sum(nets, D(0)), percent), currency)
    taxes = iter(split_exact(tax, [exact_tax(net, percent) for net in nets], currency))
    billed = [[BilledShare(net, next(taxes)) for net in line] for line in lines]
    return BilledRow(percent, tax, [BilledLine(sum(line, D(0)), billed[i]) for i, line in enumerate(lines)])


@st.composite
def credited_in_slices(draw):
    """A row, and amounts off its lines in any slices and order that take back all of it."""
    currency = draw(st.sampled_from(["JPY", "USD", "KWD"]))
    unit = minor_unit(currency)
    percent = draw(st.sampled_from([D(0), D("5.5"), D(19), D("7.125"), D("33.333")]))
    units = st.lists(st.integers(1, 5000), min_size=1, max_size=4)
    row = row_of(
        percent,
        currency,
        *[[n * unit for n in line] for line in draw(st.lists(units, min_size=1, max_size=4))],
    )
    slices = []
    for at, line in enumerate(row.lines):
        whole = int(line.net / unit)
        cuts = sorted(draw(st.sets(st.integers(1, whole), max_size=4)) | {0, whole})
        slices += [(at, (b - a) * unit) for a, b in pairwise(cuts)]
    return currency, row, draw(st.permutations(slices))


@given(credited_in_slices())
def test_partial_credits_in_any_order_sum_to_the_invoice_exactly_and_never_overshoot(case):
    currency, row, slices = case
    before = [D(0)] * len(row.lines)
    net = tax = D(0)
    reversed_net = [[D(0)] * len(line.shares) for line in row.lines]
    reversed_tax = [[D(0)] * len(line.shares) for line in row.lines]
    for at, amount in slices:
        amounts = [amount if i == at else D(0) for i in range(len(row.lines))]
        note = credit(row, before=before, amounts=amounts, currency=currency)
        assert note.net == amount
        assert note.tax >= 0
        assert sum(share.net for line in note.shares for share in line) == note.net
        assert sum(share.tax for line in note.shares for share in line) == note.tax
        assert sum(share.net for share in note.shares[at]) == amount
        net, tax = net + note.net, tax + note.tax
        before = [a + b for a, b in zip(before, amounts, strict=True)]
        assert tax <= row.tax
        for i, line in enumerate(note.shares):
            for j, share in enumerate(line):
                reversed_net[i][j] += share.net
                reversed_tax[i][j] += share.tax
                assert 0 <= reversed_net[i][j] <= row.lines[i].shares[j].net
    assert (net, tax) == (row.taxable, row.tax)
    assert reversed_net == [[share.net for share in line.shares] for line in row.lines]
    assert reversed_tax == [[share.tax for share in line.shares] for line in row.lines]


def test_the_last_credit_takes_the_tax_that_is_left():
    row = row_of(D(19), "USD", [D("0.10")])  # 0.019 of tax is 0.02
    assert row.tax == D("0.02")
    taken = [credit(row, before=[D(n) / 100], amounts=[D("0.01")], currency="USD").tax for n in range(10)]
    assert taken == [D(0), D(0), D("0.01"), D(0), D(0), D(0), D(0), D("0.01"), D(0), D(0)]


def test_shares_are_reversed_in_the_original_proportions():
    row = row_of(D(10), "USD", [D("30.00"), D("70.00")])
    note = credit(row, before=[D(0)], amounts=[D("50.00")], currency="USD")
    assert note.shares == [
        [BilledShare(D("15.00"), D("1.50")), BilledShare(D("35.00"), D("3.50"))],
    ]


@pytest.mark.parametrize("amount", ["40.01", "-0.01"])
def test_more_than_is_left_or_less_than_nothing_is_refused(amount):
    row = row_of(D(10), "USD", [D("100.00")])
    before = [D("60.00")] if D(amount) > 0 else [D(0)]
    with pytest.raises(CreditExceeds):
        credit(row, before=before, amounts=[D(amount)], currency="USD")


def test_a_line_is_not_credited_in_full_while_its_discount_is_kept():
    row = row_of(D(20), "USD", [D("100.00")], [D("-30.00")])
    with pytest.raises(CreditExceeds):
        credit(row, before=[D(0), D(0)], amounts=[D("100.00"), D(0)], currency="USD")
    note = credit(row, before=[D(0), D(0)], amounts=[D("100.00"), D("-30.00")], currency="USD")
    assert (note.net, note.tax) == (D("70.00"), D("14.00"))


def test_what_is_left_omits_lines_credited_in_full():
    assert left_of({"a": D("2.00"), "b": D("3.00")}, {"a": D("2.00"), "b": D("1.00")}) == {"b": D("2.00")}
