"""A line in the making: what every source of lines hands to the drafting, before anything is rounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from uuid import UUID

from django.db import models

from billing.kernel.money import EXACT, round_half_up, split_exact, total_of
from billing.subscriptions.models import Price, PriceModel

SUBSCRIPTIONS = "subscriptions"  # the key of the invoice of everything subscribed
NEXT = "next"  # no invoice of its own: the next one of the customer in the currency
ONE_OFF = "one_off"  # before the colon of the key of an invoice written by hand
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
    product_id: UUID | None  # None: a late fee
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
    is_goods: bool = False  # else a service
    in_stream: bool = False
    may_wait: bool = False
    tax_inclusive: bool = False  # whether `exact` includes tax; it is never `in_stream` then
    inclusive_unit_price: Decimal | None = None  # of a price for each unit that includes tax
    claim: models.Model | None = None  # a row of a table of claims, saved with the line
    takes_back: tuple[UUID, ...] = ()  # lines that a credit credits, so that it is discounted as they were
    adjusts: tuple[UUID, ...] = ()  # lines of the same bucket that were billed, or drafted, before

    @property
    def supply(self) -> tuple[str, bool]:
        """What decides, with the parties and the day, how the line is taxed."""
        return self.tax_category, self.is_goods


def unit_prices(price: Price) -> dict:
    """What a line tells of a price for each unit: before tax, or what includes it."""
    each = price.unit_price if price.model == PriceModel.PER_UNIT else None
    return {
        "tax_inclusive": price.tax_inclusive,
        "unit_price": None if price.tax_inclusive else each,
        "inclusive_unit_price": each if price.tax_inclusive else None,
    }


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


def nets_of(lines: Sequence[tuple[Decimal, bool]], currency: str) -> list[Decimal]:
    """The payable amounts of (exact amount, is it in the stream), in order.

    Lines are rounded each; costs passed through are one stream, rounded once and split over its lines.
    """
    stream = [exact for exact, in_stream in lines if in_stream]
    split = iter(split_exact(round_half_up(total_of(stream), currency), stream, currency))
    return [next(split) if in_stream else round_half_up(exact, currency) for exact, in_stream in lines]
