"""How a rule divides an amount among departments. Pure: no database, and whole numbers throughout.

Every share is a ratio of whole numbers until it is cut to the currency's minor unit, so neither the order of the
targets nor the precision of a division decides who has the odd cent.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import lcm
from uuid import UUID

from billing.invoicing.errors import AllocationIncomplete, AllocationOver100, TargetsUnclear
from billing.kernel.money import EXACT, exponent

HUNDRED = Decimal(100)
PERCENT_SCALE = 10**4  # a percentage has at most four decimals


class TargetKind(StrEnum):
    PERCENT = "percent"  # of the amount that is divided
    FIXED = "fixed"  # in its currency, never more than what is left
    DRIVER = "driver"  # a percentage of the amount, divided by what departments used, hold or employ
    REMAINDER = "remainder"  # what the others leave


class Driver(StrEnum):
    USAGE = "usage"  # units of a meter in the service period
    SEATS = "seats"  # seats assigned on the first day of the service period
    HEADCOUNT = "headcount"  # people, as the department says


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a part goes. `key` names the department; drivers have none, but weights by department."""

    kind: TargetKind
    position: int
    key: UUID | None = None
    percent: Decimal | None = None
    amount: Decimal | None = None
    driver: Driver | None = None


def require_sound(targets: Collection[Target]) -> None:
    """Raises AllocationOver100, AllocationIncomplete or TargetsUnclear unless every amount can be divided.

    Percentages (those of drivers too) come to at most 100; below 100, and beside fixed amounts, one target
    takes the remainder; never two do.
    """
    if not targets:
        raise TargetsUnclear("A rule has at least one target.")
    for target in targets:
        _require_clear(target)
    remainders = sum(target.kind == TargetKind.REMAINDER for target in targets)
    if remainders > 1:
        raise TargetsUnclear("One target at most takes the remainder.")
    percent = sum((target.percent for target in targets if target.percent is not None), Decimal(0))
    if percent > HUNDRED:
        raise AllocationOver100(f"The percentages come to {percent}.", percent=str(percent))
    if not remainders and percent < HUNDRED:
        raise AllocationIncomplete(
            f"The percentages come to {percent}; a target must take the remainder.", percent=str(percent)
        )
    if not remainders and any(target.kind == TargetKind.FIXED for target in targets):
        raise AllocationIncomplete("Beside fixed amounts a target must take the remainder.")


def _require_clear(target: Target) -> None:
    in_percent = target.kind in {TargetKind.PERCENT, TargetKind.DRIVER}
    if in_percent != (target.percent is not None) or (target.kind == TargetKind.FIXED) != (
        target.amount is not None
    ):
        raise TargetsUnclear(f"Target {target.position} has figures that are not those of its kind.")
    if (target.kind == TargetKind.DRIVER) != (target.driver is not None):
        raise TargetsUnclear(f"Target {target.position}: a driver, and nothing else, names one.")
    if (target.kind == TargetKind.DRIVER) == (target.key is not None):
        raise TargetsUnclear(f"Target {target.position}: every target but a driver names a department.")
    if any(figure is not None and figure <= 0 for figure in (target.percent, target.amount)):
        raise TargetsUnclear(f"Target {target.position}: a part is more than nothing.")
    if target.percent is not None and target.percent * PERCENT_SCALE % 1:
        raise TargetsUnclear(f"Target {target.position}: a percentage has at most four decimals.")


def divide(
    amount: Decimal,
    currency: str,
    *,
    targets: Collection[Target],
    weights: Mapping[int, Mapping[UUID, Decimal]],
    otherwise: UUID,
) -> dict[UUID, Decimal]:
    """`amount`, payable in `currency`, by department in the order of the keys; the shares sum to it exactly.

    Percentages are of `amount`. Fixed amounts are filled from what these leave, in the order of their
    positions; the rest is the remainder's. `weights` has those of each driver, by its position: where all are
    zero its part is the remainder's too, and goes to `otherwise` if no target takes it.
    A negative amount is divided as its mirror image. Largest remainder; of equals the lowest key has the unit.
    Raises ValueError for an amount that is not payable or a weight below zero.
    """
    sign = -1 if amount < 0 else 1
    whole = _units(abs(amount), currency)
    weighed = {position: _whole_numbers(by_key) for position, by_key in weights.items()}
    totals = {position: sum(by_key.values()) for position, by_key in weighed.items()}
    # Every share is a number of such parts of a unit: fine enough for each percentage of each weight.
    fineness = 100 * PERCENT_SCALE * lcm(*(total for total in totals.values() if total))
    left = whole * fineness
    shares: dict[UUID, int] = {target.key: 0 for target in targets if target.key is not None}
    for target in targets:
        if target.percent is None:
            continue
        part = whole * int(target.percent * PERCENT_SCALE) * (fineness // (100 * PERCENT_SCALE))
        if target.kind == TargetKind.PERCENT:
            shares[target.key] += part
            left -= part
        elif total := totals[target.position]:
            for key, weight in weighed[target.position].items():
                if weight:
                    shares[key] = shares.get(key, 0) + part // total * weight
            left -= part
    fixed = [target for target in targets if target.kind == TargetKind.FIXED]
    for target in sorted(fixed, key=_position):
        part = min(_units(target.amount, currency) * fineness, left)
        shares[target.key] += part
        left -= part
    if left or not shares:
        last = next((t.key for t in targets if t.kind == TargetKind.REMAINDER), otherwise)
        shares[last] = shares.get(last, 0) + left
    keys = sorted(shares)
    units = _by_largest_remainder(whole, [divmod(shares[key], fineness) for key in keys])
    digits = -exponent(currency)
    return {key: Decimal(sign * share).scaleb(digits) for key, share in zip(keys, units, strict=True)}


def by_weight(amount: Decimal, currency: str, weights: Mapping[UUID, Decimal]) -> dict[UUID, Decimal]:
    """`amount` in proportion to the weights, which are not all zero; see `divide`."""
    by_driver = Target(kind=TargetKind.DRIVER, position=0, percent=HUNDRED, driver=Driver.HEADCOUNT)
    return divide(amount, currency, targets=[by_driver], weights={0: weights}, otherwise=min(weights))


def _by_largest_remainder(whole: int, cut: Sequence[tuple[int, int]]) -> list[int]:
    """Of (units, rest) that sum to `whole` units: the units, with those left over where the rest is largest."""
    units = [share for share, _ in cut]
    missing = whole - sum(units)
    if missing:
        for index in sorted(range(len(cut)), key=lambda index: -cut[index][1])[:missing]:  # stable
            units[index] += 1
    return units


def _whole_numbers(weights: Mapping[UUID, Decimal]) -> dict[UUID, int]:
    """In the same proportions. Raises ValueError for one below zero."""
    ratios = {key: weight.as_integer_ratio() for key, weight in weights.items()}
    scale = lcm(*(denominator for _, denominator in ratios.values()))
    if any(numerator < 0 for numerator, _ in ratios.values()):
        raise ValueError("weights are not negative")
    return {key: numerator * (scale // denominator) for key, (numerator, denominator) in ratios.items()}


def _units(amount: Decimal, currency: str) -> int:
    units = EXACT.scaleb(amount, exponent(currency))
    if units != units.to_integral_value():
        raise ValueError(f"{amount} is not payable in {currency}")
    return int(units)


def _position(target: Target) -> tuple[int, str]:
    return target.position, str(target.key)
