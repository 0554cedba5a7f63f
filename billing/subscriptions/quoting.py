"""What a quantity would cost: the calculator behind the price-quote page and endpoint."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.kernel.money import EXACT, round_half_up
from billing.subscriptions import queries
from billing.subscriptions.core.rating import SMALLEST, ZERO, PriceTerms, Step
from billing.subscriptions.errors import NoPriceInForce
from billing.subscriptions.models import Plan, Price, Product

POINTS = 96
PACKAGES_MAX = 60
TELLING_PACKAGES = Decimal(3)
ROOM = Decimal("1.25")  # the picture goes on a little beyond what there is to see


@dataclass(frozen=True, kw_only=True)
class Quote:
    """`exact_amount` is the sum of the steps; `amount` is it rounded, half-up, to the currency's unit.

    Both include tax if the price does.
    """

    price: Price
    quantity: Decimal
    events: int
    exact_amount: Decimal
    amount: Decimal
    steps: list[Step]


def quote(
    product: Product,
    *,
    quantity: Decimal,
    currency: str,
    on: date,
    plan: Plan | None = None,
    events: int = 0,
) -> Quote:
    """The price of `quantity` under the version in force on the day: the plan's if it has one, else the list's.

    For a percentage or pass-through price the quantity is an amount of money. Raises NoPriceInForce.
    """
    price = queries.price_of(product.pk, currency, on, plan and plan.pk)
    if price is None:
        raise NoPriceInForce(
            f"'{product.code}' has no price in {currency} on {on}. Add one that starts on that day or before.",
            currency=currency,
            on=str(on),
        )
    exact = price.terms.exact_amount(quantity, events=events)
    return Quote(
        price=price,
        quantity=quantity,
        events=events,
        exact_amount=exact,
        amount=round_half_up(exact, currency),
        steps=price.terms.steps(quantity, events=events),
    )


def edges_of(terms: PriceTerms) -> list[Decimal]:
    """The quantities at which the price changes its course, ascending, above zero."""
    edges = {tier.up_to for tier in terms.tiers if tier.up_to is not None}
    edges |= {terms.free_quantity, terms.free_amount} - {None, ZERO}
    return sorted(edges)


def furthest_of(terms: PriceTerms) -> Decimal:
    """How far one has to look to see everything that the price does: 100 units where it does nothing else."""
    packages = EXACT.multiply(terms.package_size or ZERO, TELLING_PACKAGES)
    seen = [*edges_of(terms), EXACT.add(terms.free_quantity or ZERO, packages)]
    if terms.percent:
        bounds = [bound for bound in (terms.minimum_amount, terms.maximum_amount) if bound]
        reached = [EXACT.divide(EXACT.scaleb(bound, 2), terms.percent) for bound in bounds]
        seen += [
            EXACT.add(terms.free_amount or ZERO, spot).quantize(Decimal(1), context=EXACT) for spot in reached
        ]
    return max(seen) or Decimal(100)


def curve(quoted: Quote) -> list[tuple[Decimal, Decimal]]:
    """(quantity, exact amount) from zero to a little beyond the quantity and all that the price does, ascending.

    Where the amount jumps there is a point on each side of the jump.
    """
    terms = quoted.price.terms
    end = EXACT.multiply(max(quoted.quantity, furthest_of(terms)), ROOM)
    spots = {EXACT.divide(EXACT.multiply(end, Decimal(i)), Decimal(POINTS)) for i in range(POINTS + 1)}
    for jump in [ZERO, *edges_of(terms), *_packages(terms, end)]:
        spots |= {jump, EXACT.add(jump, SMALLEST)}
    spots.add(quoted.quantity)
    return [
        (spot, terms.exact_amount(spot, events=quoted.events)) for spot in sorted(spots) if 0 <= spot <= end
    ]


def _packages(terms: PriceTerms, end: Decimal) -> Iterator[Decimal]:
    """Where one package is full and the next begins, unless these are too many to tell apart."""
    if terms.package_size and EXACT.divide(end, terms.package_size) <= PACKAGES_MAX:
        spot = terms.free_quantity or ZERO
        while spot <= end:
            yield spot
            spot = EXACT.add(spot, terms.package_size)
