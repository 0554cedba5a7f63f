"""What a credit takes back. Pure. Everything is reckoned cumulatively against the original invoice:
a note is what is credited after it less what was credited before it, so that the last one takes whatever
is left, tax and shares included, in whatever order and slices it came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from billing.kernel.money import EXACT, round_half_up, split_exact, total_of
from billing.tax.core.tax import exact_tax

ZERO = Decimal(0)


@dataclass(frozen=True)
class BilledShare:
    """What a department bears of a line, as it stood before anything was credited."""

    net: Decimal
    tax: Decimal


@dataclass(frozen=True)
class BilledLine:
    net: Decimal
    shares: Sequence[BilledShare]  # sum to `net`


@dataclass(frozen=True)
class BilledRow:
    """The lines taxed together, and their tax. The taxes of all shares sum to `tax`."""

    percent: Decimal
    tax: Decimal
    lines: Sequence[BilledLine]

    @property
    def taxable(self) -> Decimal:
        return total_of([line.net for line in self.lines])


@dataclass(frozen=True)
class Credited:
    """Nets and taxes per share, line by line in the order of the row."""

    net: Decimal
    tax: Decimal
    shares: Sequence[Sequence[BilledShare]]


class CreditExceeds(ValueError):
    """More would be credited than was billed, on a line or on the lines taxed together."""


def credit(
    row: BilledRow, *, before: Sequence[Decimal], amounts: Sequence[Decimal], currency: str
) -> Credited:
    """Take `amounts` off the lines of which `before` was taken already. Raises CreditExceeds.

    A discount line is negative and is credited by negative amounts. Of a row no more may be credited than
    it charged: a line is not credited in full while the discount on it is kept.
    """
    old = credited_at(row, before, currency)
    new = credited_at(row, [EXACT.add(a, b) for a, b in zip(before, amounts, strict=True)], currency)
    return Credited(
        net=EXACT.subtract(new.net, old.net),
        tax=EXACT.subtract(new.tax, old.tax),
        shares=[
            [
                BilledShare(net=EXACT.subtract(n.net, o.net), tax=EXACT.subtract(n.tax, o.tax))
                for n, o in zip(new_line, old_line, strict=True)
            ]
            for new_line, old_line in zip(new.shares, old.shares, strict=True)
        ],
    )


def credited_at(row: BilledRow, cumulative: Sequence[Decimal], currency: str) -> Credited:
    """All that is taken back once `cumulative` of each line is. Raises CreditExceeds."""
    for line, amount in zip(row.lines, cumulative, strict=True):
        if not _within(amount, line.net):
            raise CreditExceeds(f"{amount} of a line of {line.net}")
    net = total_of(cumulative)
    if not _within(net, row.taxable):
        raise CreditExceeds(f"{net} of {row.taxable} taxed at {row.percent} %")
    if all(amount == line.net for line, amount in zip(row.lines, cumulative, strict=True)):
        return Credited(net=net, tax=row.tax, shares=[list(line.shares) for line in row.lines])
    tax = row.tax if net == row.taxable else round_half_up(exact_tax(net, row.percent), currency)
    nets = [_nets_at(line, amount, currency) for line, amount in zip(row.lines, cumulative, strict=True)]
    exact = [exact_tax(share, row.percent) for line in nets for share in line]
    taxes = iter(split_exact(tax, exact, currency))
    return Credited(
        net=net,
        tax=tax,
        shares=[[BilledShare(net=share, tax=next(taxes)) for share in line] for line in nets],
    )


def left_of(nets: Mapping, credited: Mapping) -> dict:
    """What is still to be credited, by line. Lines of which nothing is left are not in it."""
    left = {key: EXACT.subtract(net, credited.get(key, ZERO)) for key, net in nets.items()}
    return {key: net for key, net in left.items() if net}


def spread(net_amount: Decimal, left: Mapping, currency: str) -> dict:
    """`net_amount` over what is left of the lines, in proportion, discounts included; lines that get nothing are
    not in it. It is positive and at most what is left, so that no line gets more than is left of it."""
    whole = total_of(list(left.values()))
    with localcontext(EXACT):
        exact = [net * net_amount / whole for net in left.values()]
    parts = split_exact(net_amount, exact, currency)
    return {key: part for key, part in zip(left, parts, strict=True) if part}


def _nets_at(line: BilledLine, amount: Decimal, currency: str) -> list[Decimal]:
    if amount == line.net:
        return [share.net for share in line.shares]
    with localcontext(EXACT):
        exact = [share.net * amount / line.net for share in line.shares]
    return split_exact(amount, exact, currency)


def _within(amount: Decimal, whole: Decimal) -> bool:
    return 0 <= amount <= whole or whole <= amount <= 0
