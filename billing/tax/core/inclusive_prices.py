"""Prices that include tax: the net that an invoice shows for what a customer was told.

EN 16931 fixes the tax of a rate as rounded(sum of nets × percent) (BR-CO-17). So of an amount told, tax included,
a net is wanted with net + rounded(net × percent) = told. Going up by one minor unit, a net moves that sum by one
unit or by two: of 100 + p amounts told, p have no such net (one in 6.26 at 19 %). Those are billed one unit
below: nobody pays more than he was told, and the rule holds on every invoice.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from billing.kernel.money import EXACT, minor_unit, round_half_up, split_exact, total_of
from billing.tax.core.tax import exact_tax


def before_tax(
    amounts: Mapping[UUID, Decimal],
    taxed: Mapping[UUID, tuple[str, Decimal]],
    inclusive: Collection[UUID],
    currency: str,
) -> dict[UUID, Decimal]:
    """The net of every line of an invoice, of `amounts` that include tax for the lines named.

    `taxed` is the category and rate of each line. Amounts before tax stay as they are.
    """
    nets, with_tax = dict(amounts), set(inclusive)
    for key in {taxed[line_id] for line_id in with_tax}:
        alike = [line_id for line_id in amounts if taxed[line_id] == key]
        told = [line_id for line_id in alike if line_id in with_tax]
        beside = total_of([amounts[line_id] for line_id in alike if line_id not in with_tax])
        made = nets_included([amounts[line_id] for line_id in told], key[1], currency, beside=beside)
        nets |= dict(zip(told, made, strict=True))
    return nets


def nets_included(
    told: Sequence[Decimal], percent: Decimal, currency: str, *, beside: Decimal = Decimal(0)
) -> list[Decimal]:
    """The nets of lines of one category and rate whose amounts, tax included, are `told`; all are payable.

    `beside` is the net of the lines of that rate whose price was before tax: with it the tax is rounded once.
    The nets sum to `net_included` of the sum of what was told, by largest remainder.
    """
    if not told:
        return []
    net = net_included(total_of(told), percent, currency, beside=beside)
    exact = [_without_tax(each, percent) for each in told]
    # Less than two units: what rounding the tax of all lines together moves, in equal parts.
    moved = EXACT.divide(EXACT.subtract(net, total_of(exact)), Decimal(len(told)))
    return split_exact(net, [EXACT.add(each, moved) for each in exact], currency)


def net_included(told: Decimal, percent: Decimal, currency: str, *, beside: Decimal = Decimal(0)) -> Decimal:
    """The largest net that, with its tax, does not exceed what was told: it is that, or one unit less.

    `told` and `beside` are payable; 0 <= percent <= 100.
    """
    unit = minor_unit(currency)
    most = EXACT.add(told, _tax(beside, percent, currency))

    def comes_to(net: Decimal) -> Decimal:
        return EXACT.add(net, _tax(EXACT.add(beside, net), percent, currency))

    net = round_half_up(_without_tax(told, percent), currency)
    while comes_to(net) > most:
        net = EXACT.subtract(net, unit)
    while comes_to(EXACT.add(net, unit)) <= most:
        net = EXACT.add(net, unit)
    return net


def _without_tax(told: Decimal, percent: Decimal) -> Decimal:
    return EXACT.divide(EXACT.multiply(told, Decimal(100)), EXACT.add(percent, Decimal(100)))


def _tax(net: Decimal, percent: Decimal, currency: str) -> Decimal:
    return round_half_up(exact_tax(net, percent), currency)
