"""A line in the making: what every source of lines hands to the drafting, before anything is rounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from uuid import UUID

from billing.kernel.money import EXACT, total_of

SUBSCRIPTIONS = "subscriptions"  # the key of the invoice of everything subscribed
SHARE_STEP = Decimal(1).scaleb(-24)


@dataclass(kw_only=True)
class DraftLine:
    """One position of one invoice to be. `exact` is unrounded; `derivation` says how it came about.

    Lines `in_stream` are rounded together (costs passed through), the others each. One that `may_wait`
    is a credit that waits for the next invoice when this one has not enough to set it off against.
    """

    line_id: UUID
    customer_id: UUID
    currency: str
    invoice_key: str
    kind: str
    product_id: UUID
    tax_category: str
    gl_code: str
    description: str
    quantity: Decimal
    unit: str
    unit_price: Decimal | None
    exact: Decimal
    service_starts_on: date
    service_ends_on: date
    derivation: dict
    owed_on: date  # since when: the oldest credits come first
    in_stream: bool = False
    may_wait: bool = False
    charge_id: UUID | None = None


def text(value: Decimal | None) -> str | None:
    """Every digit that counts, and no exponent: what a derivation keeps."""
    return None if value is None else f"{value.normalize(EXACT):f}"


def in_proportion(exact: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """`exact` divided by weight; the last takes what the division leaves, so that nothing is lost.

    Weights are not negative and not all zero.
    """
    total = total_of(weights)
    parts = [
        EXACT.divide(EXACT.multiply(exact, weight), total).quantize(SHARE_STEP, ROUND_DOWN, context=EXACT)
        for weight in weights[:-1]
    ]
    return [*parts, EXACT.subtract(exact, total_of(parts))]
