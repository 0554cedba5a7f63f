"""Discounts as pure functions: what is taken off which line, before tax.

A discount is an allowance of its line (EN 16931 BG-27): the line's net is gross − allowance (BT-131), so the sums
of the invoice and its tax need no document level allowance (BG-20; BR-CO-11 is nothing). All amounts are exact
in the currency's minor unit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from uuid import UUID

from billing.kernel.money import EXACT, minor_unit, round_half_up, total_of

NOTHING = Decimal(0)


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """One discount and the lines it is taken off: `percent` of each, or `amount` over all of them.

    `period_starts_on` names the stretch of time in which it is taken once; None: of every line of its time.
    """

    grant_id: UUID
    period_starts_on: date | None
    line_ids: tuple[UUID, ...]
    percent: Decimal | None = None
    amount: Decimal | None = None


@dataclass(frozen=True)
class Taken:
    """What one reduction takes off one line; nothing where the line had nothing left."""

    reduction: Reduction
    line_id: UUID
    amount: Decimal


def taken_off(grosses: Mapping[UUID, Decimal], reductions: Sequence[Reduction], currency: str) -> list[Taken]:
    """One after the other, each on what those before it left of a line; a line never goes below zero.

    A percentage is rounded half-up on each line. An amount is spread over its lines; what exceeds them
    lapses. Lines at or below zero are left alone.
    """
    left = {line_id: max(gross, NOTHING) for line_id, gross in grosses.items()}
    taken = []
    for reduction in reductions:
        over = [left[line_id] for line_id in reduction.line_ids]
        if reduction.percent is None:
            shares = spread(min(reduction.amount, total_of(over)), over, currency)
        else:
            shares = [_percent_of(each, reduction.percent, currency) for each in over]
        for line_id, share in zip(reduction.line_ids, shares, strict=True):
            left[line_id] = EXACT.subtract(left[line_id], share)
            taken.append(Taken(reduction, line_id, share))
    return taken


def spread(amount: Decimal, over: Sequence[Decimal], currency: str) -> list[Decimal]:
    """`amount` in proportion to what it is spread over, in whole minor units, by largest remainder.

    Of equal remainders the larger part goes first, then the first of equal parts: in another order everybody
    has the same. No share exceeds its part. Parts are payable and not negative; raises ValueError if the
    amount is negative or more than they come to.
    """
    whole = total_of(over)
    if not NOTHING <= amount <= whole or any(part < 0 for part in over):
        raise ValueError(f"{amount} cannot be taken off {whole}")
    if not amount:
        return [NOTHING] * len(over)
    unit = minor_unit(currency)
    shares, remainders = [], []
    for part in over:
        # Compared as integers over one denominator, so that no remainder is rounded.
        scaled = EXACT.multiply(amount, part)
        share = EXACT.divide(scaled, whole).quantize(unit, ROUND_DOWN, context=EXACT)
        shares.append(share)
        remainders.append(EXACT.subtract(scaled, EXACT.multiply(share, whole)))
    odd = int(EXACT.divide(EXACT.subtract(amount, total_of(shares)), unit))
    for i in sorted(range(len(over)), key=lambda i: (-remainders[i], -over[i], i))[:odd]:
        shares[i] = EXACT.add(shares[i], unit)
    return shares


def taken_back(gross: Decimal, originals: Iterable[tuple[Decimal, Decimal]], currency: str) -> Decimal:
    """The discount of a credit: the part of (gross, discount) of what it credits that was discounted.

    Half of a line that was 20 % cheaper gives back half of what was paid. It has the credit's sign.
    """
    grosses, discounts = zip(*originals, strict=True) if originals else ((), ())
    whole = total_of(grosses)
    if whole <= 0:
        return NOTHING
    return round_half_up(EXACT.divide(EXACT.multiply(gross, total_of(discounts)), whole), currency)


def _percent_of(amount: Decimal, percent: Decimal, currency: str) -> Decimal:
    return round_half_up(EXACT.divide(EXACT.multiply(amount, percent), Decimal(100)), currency)
