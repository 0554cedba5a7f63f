"""What a quantity costs under a price.

Amounts are exact and unrounded; who makes them payable rounds them, once. Figures have at most 16 digits
before the point and 12 after it (the columns' own limit), so that a product of two, and a sum of a
thousand million of those, fits the exact context without any rounding.

A quantity below zero is a correction that outweighs the period's usage. Per-unit and pass-through prices
are linear and give it back; under every other model a period's quantity is floored at zero first.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from billing.kernel.money import EXACT, plain, total_of
from billing.subscriptions.errors import NotAPriceOfItsModel

ZERO = Decimal(0)
HUNDRED = Decimal(100)
BEYOND = Decimal(10) ** 16
SMALLEST = Decimal(1).scaleb(-12)
FIGURE_TEXT = re.compile(r"-?[0-9]{1,28}(\.[0-9]{1,28})?")


class PriceModel(StrEnum):
    FLAT = "flat"
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"
    PERCENTAGE = "percentage"
    PASS_THROUGH = "pass_through"  # the cost that came with the usage, with a mark-up


# What a price of the model must have, and what it may have besides.
NEEDED = {
    PriceModel.FLAT: {"flat_amount"},
    PriceModel.PER_UNIT: {"unit_price"},
    PriceModel.GRADUATED: {"tiers"},
    PriceModel.VOLUME: {"tiers"},
    PriceModel.PACKAGE: {"unit_price", "package_size"},
    PriceModel.PERCENTAGE: {"percent"},
    PriceModel.PASS_THROUGH: {"markup_percent"},
}
OPTIONAL = {
    PriceModel.PACKAGE: {"free_quantity"},
    PriceModel.PERCENTAGE: {
        "per_event_amount",
        "free_events",
        "free_amount",
        "minimum_amount",
        "maximum_amount",
    },
}


@dataclass(frozen=True, slots=True)
class Tier:
    """From the previous tier's `up_to` (excluded) to this one's (included); None is open at the end.

    The flat amount is due once, when the quantity is in the tier (volume) or reaches it (graduated). Zero
    is in the first tier, so its flat amount is due whether or not anything was used.
    """

    up_to: Decimal | None
    unit_price: Decimal
    flat_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Step:
    """One addend of an amount. Where both are given, quantity × unit_price is the amount."""

    label: str
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class PriceTerms:
    """The figures of one price, in its currency and its product's unit; percentages as 12.5 for 12.5 %."""

    model: str
    flat_amount: Decimal | None = None
    unit_price: Decimal | None = None  # per unit, or per package
    package_size: Decimal | None = None
    free_quantity: Decimal | None = None
    percent: Decimal | None = None
    per_event_amount: Decimal | None = None
    free_events: int | None = None
    free_amount: Decimal | None = None
    minimum_amount: Decimal | None = None
    maximum_amount: Decimal | None = None
    tiers: tuple[Tier, ...] = ()
    markup_percent: Decimal | None = None

    @classmethod
    def from_stored(
        cls,
        model: str,
        tiers_json: Iterable[Mapping[str, str | None]] | None,
        **figures: Decimal | int | None,
    ) -> "PriceTerms":
        """The terms of a stored price. Raises NotAPriceOfItsModel if a tier is no tier."""
        return cls(model=model, tiers=tuple(_tier(row) for row in tiers_json or ()), **figures)

    def stored_tiers(self) -> list[dict[str, str | None]]:
        return [
            {
                "up_to": None if tier.up_to is None else f"{tier.up_to:f}",
                "unit_price": f"{tier.unit_price:f}",
                "flat_amount": f"{tier.flat_amount:f}",
            }
            for tier in self.tiers
        ]

    def require_valid(self) -> None:
        """Raises NotAPriceOfItsModel unless every figure is there, belongs to the model and makes sense."""
        if self.model not in set(PriceModel):
            raise NotAPriceOfItsModel(f"'{self.model}' is not a price model.", known=list(PriceModel))
        needed, optional = NEEDED[self.model], OPTIONAL.get(self.model, set())
        given = {
            field.name
            for field in fields(self)
            if field.name != "model" and getattr(self, field.name) not in (None, ())
        }
        if missing := sorted(needed - given):
            raise NotAPriceOfItsModel(f"A {self.model} price needs: {', '.join(missing)}.", missing=missing)
        if foreign := sorted(given - needed - optional):
            raise NotAPriceOfItsModel(f"A {self.model} price has no: {', '.join(foreign)}.", foreign=foreign)
        for name in sorted(given - {"tiers"}):
            _require_figure(name, getattr(self, name), above=-HUNDRED if name == "markup_percent" else None)
        if self.package_size == 0:
            raise NotAPriceOfItsModel("A package holds something: its size is above 0.")
        if None not in (self.minimum_amount, self.maximum_amount) and (
            self.minimum_amount > self.maximum_amount
        ):
            raise NotAPriceOfItsModel("The minimum is not above the maximum.")
        _require_tiers(self.tiers)

    def exact_amount(self, quantity: Decimal, *, events: int = 0) -> Decimal:
        """What `quantity` costs, unrounded. `events` counts only for a percentage price.

        The quantity of a percentage or pass-through price is an amount of money in the price's currency.
        """
        model = self.model
        if model == "graduated" or model == "volume":
            bounds, lines = self._lines
            unit_price, offset = lines[bisect_left(bounds, quantity)]
            return EXACT.fma(quantity if quantity > 0 else ZERO, unit_price, offset)
        if model == "per_unit":
            return EXACT.multiply(quantity, self.unit_price)
        if model == "flat":
            return self.flat_amount
        if model == "package":
            return EXACT.multiply(self._packages(quantity), self.unit_price)
        if model == "pass_through":
            return EXACT.multiply(quantity, _per_cent(EXACT.add(HUNDRED, self.markup_percent)))
        return total_of([step.amount for step in self._percentage_steps(quantity, events)])

    def steps(self, quantity: Decimal, *, events: int = 0) -> list[Step]:
        """How `exact_amount` comes about: never empty, and the amounts sum to it exactly."""
        match PriceModel(self.model):
            case PriceModel.FLAT:
                return [_lump("Flat amount", self.flat_amount)]
            case PriceModel.PER_UNIT:
                return [_priced("Per unit", quantity, self.unit_price)]
            case PriceModel.GRADUATED:
                return self._graduated_steps(max(quantity, ZERO))
            case PriceModel.VOLUME:
                return self._volume_steps(max(quantity, ZERO))
            case PriceModel.PACKAGE:
                return self._package_steps(quantity)
            case PriceModel.PERCENTAGE:
                return self._percentage_steps(quantity, events)
            case PriceModel.PASS_THROUGH:
                factor = _per_cent(EXACT.add(HUNDRED, self.markup_percent))
                return [_priced(f"Cost with {plain(self.markup_percent)} % mark-up", quantity, factor)]

    @cached_property
    def _lines(self) -> tuple[list[Decimal], list[tuple[Decimal, Decimal]]]:
        """Per tier the straight line its quantities are on: amount = quantity × unit_price + offset.

        The upper edges beside them find the line by bisection; an edge belongs to the tier it ends.
        """
        bounds, lines = [], []
        lower = below = ZERO  # where the tier begins, and what everything below that costs
        for tier in self.tiers:
            if self.model == PriceModel.VOLUME:
                lines.append((tier.unit_price, tier.flat_amount))
            else:
                offset = EXACT.subtract(below, EXACT.multiply(lower, tier.unit_price))
                offset = EXACT.add(offset, tier.flat_amount)
                lines.append((tier.unit_price, offset))
                if tier.up_to is not None:
                    below = EXACT.fma(tier.up_to, tier.unit_price, offset)
            if tier.up_to is not None:
                bounds.append(tier.up_to)
                lower = tier.up_to
        return bounds, lines

    def _packages(self, quantity: Decimal) -> Decimal:
        charged = max(EXACT.subtract(quantity, self.free_quantity or ZERO), ZERO)
        full, rest = EXACT.divmod(charged, self.package_size)
        return EXACT.add(full, Decimal(1)) if rest else full

    def _graduated_steps(self, quantity: Decimal) -> list[Step]:
        steps, lower = [], ZERO
        for number, tier in enumerate(self.tiers):
            if number and quantity <= lower:
                break
            upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
            steps += _tier_steps(tier, lower, EXACT.subtract(upper, lower))
            lower = tier.up_to
        return steps

    def _volume_steps(self, quantity: Decimal) -> list[Step]:
        number = bisect_left(self._lines[0], quantity)
        lower = self.tiers[number - 1].up_to if number else ZERO
        return _tier_steps(self.tiers[number], lower, quantity)

    def _package_steps(self, quantity: Decimal) -> list[Step]:
        steps = []
        if self.free_quantity:
            steps.append(_priced("Free", min(max(quantity, ZERO), self.free_quantity), ZERO))
        label = f"Packages of {plain(self.package_size)}"
        return [*steps, _priced(label, self._packages(quantity), self.unit_price)]

    def _percentage_steps(self, quantity: Decimal, events: int) -> list[Step]:
        if quantity <= 0 and events <= 0:
            return [_priced("Nothing used", ZERO, ZERO)]
        steps = []
        quantity = max(quantity, ZERO)
        if self.free_amount:
            steps.append(_priced("Free amount", min(quantity, self.free_amount), ZERO))
        charged = max(EXACT.subtract(quantity, self.free_amount or ZERO), ZERO)
        steps.append(_priced(f"{plain(self.percent)} % of the amount", charged, _per_cent(self.percent)))
        if self.per_event_amount:
            charged_events = Decimal(max(events - (self.free_events or 0), 0))
            steps.append(_priced("Per event", charged_events, self.per_event_amount))
        total = total_of([step.amount for step in steps])
        if self.minimum_amount is not None and total < self.minimum_amount:
            steps.append(_lump("Raised to the minimum", EXACT.subtract(self.minimum_amount, total)))
        if self.maximum_amount is not None and total > self.maximum_amount:
            steps.append(_lump("Lowered to the maximum", EXACT.subtract(self.maximum_amount, total)))
        return steps


def _per_cent(percent: Decimal) -> Decimal:
    """A shift of the point: no division, so nothing to round."""
    return EXACT.scaleb(percent, -2)


def _priced(label: str, quantity: Decimal, unit_price: Decimal) -> Step:
    return Step(label, quantity, unit_price, EXACT.multiply(quantity, unit_price))


def _lump(label: str, amount: Decimal) -> Step:
    return Step(label, None, None, amount)


def _tier_steps(tier: Tier, lower: Decimal, quantity: Decimal) -> list[Step]:
    if tier.up_to is None:
        label = f"Over {plain(lower)}" if lower else "Any quantity"
    else:
        label = f"Over {plain(lower)}, up to {plain(tier.up_to)}" if lower else f"Up to {plain(tier.up_to)}"
    steps = [_priced(label, quantity, tier.unit_price)]
    if tier.flat_amount:
        steps.append(_lump(f"{label}: flat amount", tier.flat_amount))
    return steps


def _tier(row: Mapping[str, str | None]) -> Tier:
    if not isinstance(row, Mapping) or not {"up_to", "unit_price"} <= row.keys() <= {
        "up_to",
        "unit_price",
        "flat_amount",
    }:
        raise NotAPriceOfItsModel("A tier has up_to, unit_price and, if it likes, flat_amount.")
    up_to = None if row["up_to"] is None else _read("up_to", row["up_to"])
    return Tier(
        up_to, _read("unit_price", row["unit_price"]), _read("flat_amount", row.get("flat_amount", "0"))
    )


def _read(name: str, text: object) -> Decimal:
    if not isinstance(text, str) or not FIGURE_TEXT.fullmatch(text):
        raise NotAPriceOfItsModel(f"A tier's {name} is a decimal number, written as text.")
    return Decimal(text)


def _require_figure(name: str, figure: Decimal | int, *, above: Decimal | None = None) -> None:
    """`above` is an exclusive floor; without one the figure is merely not negative."""
    if name == "free_events":
        if isinstance(figure, bool) or not isinstance(figure, int):
            raise NotAPriceOfItsModel("free_events is a whole number.")
        figure = Decimal(figure)
    if not isinstance(figure, Decimal):
        raise TypeError(f"{name} takes a Decimal, not {type(figure).__name__}")
    if not figure.is_finite() or abs(figure) >= BEYOND or figure != EXACT.quantize(figure, SMALLEST):
        raise NotAPriceOfItsModel(f"{name} has at most 16 digits before the point and 12 after it.")
    if above is None and figure < 0:
        raise NotAPriceOfItsModel(f"{name} is not negative.")
    if above is not None and figure <= above:
        raise NotAPriceOfItsModel(f"{name} is above {above}.")


def _require_tiers(tiers: tuple[Tier, ...]) -> None:
    lower = ZERO
    for number, tier in enumerate(tiers, start=1):
        _require_figure("unit_price", tier.unit_price)
        _require_figure("flat_amount", tier.flat_amount)
        if (tier.up_to is None) != (number == len(tiers)):
            raise NotAPriceOfItsModel("The last tier, and only the last, is open at its end.")
        if tier.up_to is None:
            break
        _require_figure("up_to", tier.up_to)
        if tier.up_to <= lower:
            raise NotAPriceOfItsModel("Every tier ends above the one before it, the first above 0.")
        lower = tier.up_to
