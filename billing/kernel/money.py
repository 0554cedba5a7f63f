"""Money is an exact amount in one currency. Floats are refused at the door.

Rounding is half-up to the currency's minor unit (ISO 4217: JPY 0, USD 2, KWD 3) and happens once,
where an amount becomes payable. Splits are by largest remainder, so no cent is lost or made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, localcontext
from functools import cache

import iso4217

from billing.kernel.errors import Invalid

# Wide enough for the sum of 10^9 amounts of numeric(28,12) without any silent rounding.
EXACT = Context(prec=60)
LARGEST_AMOUNT = Decimal(10) ** 15


@cache
def minor_unit(currency: str) -> Decimal:
    """The smallest payable amount, e.g. Decimal('0.01') for EUR. Raises Invalid for an unknown code."""
    return Decimal(1).scaleb(-exponent(currency))


@cache
def exponent(currency: str) -> int:
    """Decimals of the currency by ISO 4217. Funds and metals have none and are not currencies here."""
    try:
        digits = iso4217.Currency(currency).exponent
    except ValueError:
        digits = None
    if digits is None or currency in {"XXX", "XTS"}:
        raise Invalid(f"'{currency}' is not an ISO 4217 currency code.")
    return digits


@cache
def currencies() -> tuple[str, ...]:
    """Every code this system can bill in, sorted."""
    return tuple(sorted(c.code for c in iso4217.Currency if c.exponent is not None))


def round_half_up(amount: Decimal, currency: str) -> Decimal:
    """`amount` to the minor unit, halves away from zero: 0.005 EUR is 0.01, -0.005 is -0.01."""
    return amount.quantize(minor_unit(currency), ROUND_HALF_UP, context=EXACT)


def split_exact(total: Decimal, exact: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Round `exact` amounts so that they sum to `total`, by largest remainder, ties to the first.

    `total` must be payable and within len(exact) minor units of sum(exact). Signs may be mixed:
    shares are cut towards zero and the units left over go to those the cut hurt most.
    split_exact(-t, -e) is always -split_exact(t, e). Raises ValueError otherwise.
    """
    unit = minor_unit(currency)
    with localcontext(EXACT):
        if total != total.quantize(unit):
            raise ValueError(f"{total} is not payable in {currency}")
        shares = [amount.quantize(unit, ROUND_DOWN) for amount in exact]
        left = int((total - sum(shares)) / unit)
        if abs(left) > len(shares):
            raise ValueError(f"{total} is not the rounded sum of the {len(shares)} amounts")
        step = unit if left > 0 else -unit
        hurt = [
            (amount - share) * (1 if left > 0 else -1) for amount, share in zip(exact, shares, strict=True)
        ]
        for i in sorted(range(len(shares)), key=lambda i: (-hurt[i], i))[: abs(left)]:
            shares[i] += step
    return shares


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"Money takes a Decimal, not {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise ValueError("Money is finite")
        exponent(self.currency)

    def __add__(self, other: "Money") -> "Money":
        self._require_same_currency(other)
        return Money(EXACT.add(self.amount, other.amount), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return self + -other

    def __neg__(self) -> "Money":
        return Money(EXACT.minus(self.amount), self.currency)

    def __mul__(self, factor: Decimal | int) -> "Money":
        if isinstance(factor, bool) or not isinstance(factor, Decimal | int):
            raise TypeError("multiply money by Decimal or int, never float")
        return Money(EXACT.multiply(self.amount, Decimal(factor)), self.currency)

    def __lt__(self, other: "Money") -> bool:
        self._require_same_currency(other)
        return self.amount < other.amount

    def __le__(self, other: "Money") -> bool:
        self._require_same_currency(other)
        return self.amount <= other.amount

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    @classmethod
    def zero(cls, currency: str) -> "Money":
        return cls(Decimal(0).quantize(minor_unit(currency)), currency)

    @property
    def is_payable(self) -> bool:
        """True if the amount has no more decimals than its currency."""
        return self.amount == round_half_up(self.amount, self.currency)

    def rounded(self) -> "Money":
        """Round once, at the point where the amount becomes payable."""
        return Money(round_half_up(self.amount, self.currency), self.currency)

    def allocate(self, weights: Sequence[Decimal]) -> list["Money"]:
        """Split by weight without gaining or losing a unit (largest remainder, ties to the first).

        Weights are non-negative and not all zero; the amount must be payable. Raises ValueError.
        """
        total = sum(weights, Decimal(0))
        if total <= 0 or any(weight < 0 for weight in weights):
            raise ValueError("weights must be non-negative and sum to more than zero")
        with localcontext(EXACT):
            scaled = [self.amount * weight for weight in weights]
            # Divide as late as possible: with prec=60 the quotient errs by less than 1e-40 units.
            exact = [amount / total for amount in scaled]
        return [Money(share, self.currency) for share in split_exact(self.amount, exact, self.currency)]

    def _require_same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot mix {self.currency} and {other.currency}")


def total_of(amounts: Sequence[Decimal]) -> Decimal:
    """The exact sum, whatever the number of addends."""
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))
