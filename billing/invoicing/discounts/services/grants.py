from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from billing.entities.models import BillingEntity
from billing.entities.queries import seller_of
from billing.invoicing.errors import (
    DiscountCodeTaken,
    DiscountGrantEnds,
    DiscountGrantOverlaps,
    DiscountNotOffered,
    DiscountUsedUp,
    NotTheSeller,
)
from billing.invoicing.models import (
    Discount,
    DiscountAmount,
    DiscountDuration,
    DiscountGrant,
    DiscountKind,
    DiscountProduct,
)
from billing.kernel import audit
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.money import LARGEST_AMOUNT, round_half_up
from billing.kernel.versions import require_version
from billing.subscriptions.core.periods import Cycle, Interval
from billing.subscriptions.core.rating import SMALLEST
from billing.subscriptions.models import Product, Subscription

DISCOUNT_MONTHS_MAX = 120
DISCOUNT_PRODUCTS_MAX = 100


@transaction.atomic
def create_discount(
    *,
    actor: str,
    seller_id: UUID,
    code: str,
    name: str,
    kind: str,
    duration: str,
    starts_on: date,
    percent: Decimal | None = None,
    amounts: Mapping[str, Decimal] | None = None,
    months: int | None = None,
    product_ids: Sequence[UUID] = (),
    ends_on: date | None = None,
    max_redemptions: int | None = None,
) -> Discount:
    """Offer a discount: `percent` (0 < p <= 100) off each line, or an amount per currency off all lines together.

    `once` is off the first invoice with a line it covers; `repeating` lasts so many `months` from the day it
    is granted; an amount that lasts is taken once a month. Without products it covers all of the seller's.
    It can be granted from `starts_on` until `ends_on`, `max_redemptions` times. Raises NotFound,
    NotTheSeller, DiscountCodeTaken, Invalid.
    """
    amounts = dict(amounts or {})
    _require_value(kind, percent, amounts)
    _require_duration(duration, months)
    if ends_on is not None and ends_on <= starts_on:
        raise Invalid("It ends after the day on which it starts.", field="ends_on")
    if max_redemptions is not None and max_redemptions < 1:
        raise Invalid("It can be granted at least once.", field="max_redemptions")
    # The seller's row is the queue for its codes, so that the second of two is told and not crashed.
    seller = BillingEntity.objects.locked().filter(pk=seller_id).first()
    if seller is None:
        raise NotFound("There is no such entity.")
    if not seller.is_seller:
        raise NotTheSeller(f"{seller} does not sell.")
    if Discount.objects.filter(seller=seller, code__iexact=code).exists():
        raise DiscountCodeTaken(f"There is already a discount '{code}'.")
    products = _products_of(seller, product_ids)
    discount = Discount.objects.create(
        seller=seller,
        code=code,
        name=name,
        kind=kind,
        percent=percent,
        duration=duration,
        months=months,
        starts_on=starts_on,
        ends_on=ends_on,
        max_redemptions=max_redemptions,
    )
    DiscountAmount.objects.bulk_create(
        DiscountAmount(discount=discount, currency=currency, amount=amount)
        for currency, amount in sorted(amounts.items())
    )
    DiscountProduct.objects.bulk_create(
        DiscountProduct(discount=discount, product_id=product_id) for product_id in products
    )
    audit.record(
        actor=actor,
        action="discount.created",
        subject=discount,
        detail={
            "code": code,
            "percent": percent,
            "amounts": {currency: str(amount) for currency, amount in sorted(amounts.items())},
            "products": [str(pk) for pk in products],
        },
    )
    return discount


@transaction.atomic
def retire_discount(*, actor: str, discount_id: UUID, reason: str, version: int | None = None) -> Discount:
    """It is granted to nobody any more; who has it keeps it. Raises NotFound, DiscountNotOffered, PreconditionFailed."""
    discount = Discount.objects.locked().filter(pk=discount_id).first()
    if discount is None:
        raise NotFound("There is no such discount.")
    require_version(discount, version)
    if not discount.is_active:
        raise DiscountNotOffered(f"{discount} is retired.")
    discount.is_active = False
    discount.save(update_fields=["is_active"])
    discount.refresh_from_db()
    audit.record(actor=actor, action="discount.retired", subject=discount, reason=reason)
    return discount


@transaction.atomic
def grant_discount(
    *,
    actor: str,
    discount_id: UUID,
    customer_id: UUID,
    starts_on: date,
    subscription_id: UUID | None = None,
    ends_on: date | None = None,
) -> DiscountGrant:
    """Give a customer, or one of its subscriptions, a discount on what is served from `starts_on` on.

    It is for invoices drafted from now on. A repeating one ends by itself. Raises NotFound, NotTheSeller,
    DiscountNotOffered, DiscountUsedUp, DiscountGrantEnds if it would end before it starts, and
    DiscountGrantOverlaps if the customer (the subscription) has it on one of these days.
    """
    # Under the customer's lock, as drafting is: a draft is made with it or without it.
    customer = BillingEntity.objects.locked().filter(pk=customer_id).first()
    discount = Discount.objects.locked().filter(pk=discount_id).first()
    if customer is None or discount is None:
        raise NotFound("There is no such customer or discount.")
    if seller_of(customer) != discount.seller:
        raise NotTheSeller(f"{discount.seller} does not sell to {customer}.")
    if subscription_id and not Subscription.objects.filter(
        pk=subscription_id, entity=customer, seller=discount.seller_id
    ):
        raise NotFound(f"{customer} has no such subscription.")
    _require_offered(discount, starts_on)
    ends_on = _end_of(discount, starts_on, ends_on)
    _require_free(discount, customer, subscription_id, starts_on, ends_on)
    if discount.max_redemptions is not None and discount.redemptions >= discount.max_redemptions:
        raise DiscountUsedUp(f"{discount} was granted {discount.redemptions} times.")
    discount.redemptions += 1
    discount.save(update_fields=["redemptions"])
    grant = DiscountGrant.objects.create(
        discount=discount,
        customer=customer,
        subscription_id=subscription_id,
        starts_on=starts_on,
        ends_on=ends_on,
    )
    audit.record(actor=actor, action="discount.granted", subject=grant, detail={"code": discount.code})
    return grant


@transaction.atomic
def end_discount_grant(
    *, actor: str, grant_id: UUID, ends_on: date, reason: str, version: int | None = None
) -> DiscountGrant:
    """Let it end on a day (exclusive) before the one on which it would; what is issued stays as it is.

    Raises NotFound, DiscountGrantEnds for a day that is none of its own, PreconditionFailed.
    """
    customer_id = DiscountGrant.objects.filter(pk=grant_id).values_list("customer_id", flat=True).first()
    if customer_id is None:
        raise NotFound("There is no such grant.")
    BillingEntity.objects.locked().get(pk=customer_id)
    grant = DiscountGrant.objects.locked().get(pk=grant_id)
    require_version(grant, version)
    if ends_on <= grant.starts_on or (grant.ends_on and ends_on >= grant.ends_on):
        raise DiscountGrantEnds(
            f"It runs from {grant.starts_on} to {grant.ends_on or 'further notice'}:"
            " it can only end between these days."
        )
    grant.ends_on = ends_on
    grant.save(update_fields=["ends_on"])
    grant.refresh_from_db()
    audit.record(actor=actor, action="discount.grant_ended", subject=grant, reason=reason)
    return grant


def _require_value(kind: str, percent: Decimal | None, amounts: Mapping[str, Decimal]) -> None:
    if kind not in DiscountKind.values:
        raise Invalid(f"'{kind}' is not a kind of discount.", known=DiscountKind.values)
    if (percent is not None, bool(amounts)) != (kind == DiscountKind.PERCENT, kind == DiscountKind.AMOUNT):
        raise Invalid("A discount is either a percentage or an amount per currency.", field="kind")
    if percent is not None and (
        not percent.is_finite() or not 0 < percent <= 100 or percent != percent.quantize(SMALLEST)
    ):
        raise Invalid("A percentage is above 0, at most 100, and has at most 12 decimals.", field="percent")
    for currency, amount in amounts.items():
        if (
            not amount.is_finite()
            or not 0 < amount < LARGEST_AMOUNT
            or amount != round_half_up(amount, currency)
        ):
            raise Invalid(f"{amount} {currency} is not an amount that can be paid.", field="amounts")


def _require_duration(duration: str, months: int | None) -> None:
    if duration not in DiscountDuration.values:
        raise Invalid(f"'{duration}' is not a duration.", known=DiscountDuration.values)
    if (months is not None) != (duration == DiscountDuration.REPEATING):
        raise Invalid("A repeating discount, and no other, has a number of months.", field="months")
    if months is not None and not 1 <= months <= DISCOUNT_MONTHS_MAX:
        raise Invalid(f"A discount repeats for 1 to {DISCOUNT_MONTHS_MAX} months.", field="months")


def _products_of(seller: BillingEntity, product_ids: Sequence[UUID]) -> list[UUID]:
    wanted = sorted(set(product_ids))
    if len(wanted) > DISCOUNT_PRODUCTS_MAX:
        raise Invalid(f"A discount names at most {DISCOUNT_PRODUCTS_MAX} products.", field="products")
    if Product.objects.filter(entity=seller, pk__in=wanted).count() < len(wanted):
        raise NotFound(f"{seller} sells no such product.")
    return wanted


def _require_offered(discount: Discount, starts_on: date) -> None:
    if not discount.is_active:
        raise DiscountNotOffered(f"{discount} is retired.")
    if starts_on < discount.starts_on or (discount.ends_on and starts_on >= discount.ends_on):
        raise DiscountNotOffered(
            f"{discount} can be granted from {discount.starts_on} to {discount.ends_on or 'further notice'}."
        )


def _end_of(discount: Discount, starts_on: date, ends_on: date | None) -> date | None:
    if ends_on is not None and ends_on <= starts_on:
        raise DiscountGrantEnds("It ends after the day on which it starts.")
    if discount.months is None:
        return ends_on
    over_on = Cycle.anniversary(Interval.MONTH, 1, starts_on).boundary(discount.months)
    return min(ends_on or over_on, over_on)


def _require_free(
    discount: Discount,
    customer: BillingEntity,
    subscription_id: UUID | None,
    starts_on: date,
    ends_on: date | None,
) -> None:
    granted = DiscountGrant.objects.filter(
        discount=discount, customer=customer, subscription_id=subscription_id
    )
    running = granted.filter(Q(ends_on__isnull=True) | Q(ends_on__gt=starts_on))
    other = (running if ends_on is None else running.filter(starts_on__lt=ends_on)).first()
    if other:
        raise DiscountGrantOverlaps(f"It has {discount} from {other.starts_on} on.")
