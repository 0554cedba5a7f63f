"""What is sold, and at which price on a day."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from django.db.models import QuerySet

from billing.access.models import User
from billing.entities.reach import visible
from billing.subscriptions.licensed import licenses_for as licenses_for
from billing.subscriptions.licensed import licenses_over as licenses_over
from billing.subscriptions.models import Price, Product
from billing.subscriptions.true_up import peak_seats as peak_seats
from billing.subscriptions.true_up import seats_to_true_up as seats_to_true_up


def products_for(user: User, verb: str = "subscriptions.view_product") -> QuerySet[Product]:
    """The products of the sellers within reach of `user`."""
    return visible(Product.objects.select_related("entity"), user=user, verb=verb)


def prices_for(user: User, verb: str = "subscriptions.view_price") -> QuerySet[Price]:
    return visible(Price.objects.select_related("product"), user=user, verb=verb, entity="product__entity")


def price_of(product_id: UUID, currency: str, on: date) -> Price | None:
    """The version in force on the day: the last one that has started. None before the first."""
    return prices_of([(product_id, currency)], on).get((product_id, currency))


def prices_of(wanted: Iterable[tuple[UUID, str]], on: date) -> dict[tuple[UUID, str], Price]:
    """The price in force on the day for every (product, currency) that has one. One query."""
    wanted = set(wanted)
    in_force = (
        Price.objects.filter(
            product_id__in={product for product, _ in wanted},
            currency__in={currency for _, currency in wanted},
            starts_on__lte=on,
        )
        .order_by("product_id", "currency", "-number")
        .distinct("product_id", "currency")
    )
    found = {(price.product_id, price.currency): price for price in in_force}
    return {key: found[key] for key in wanted & found.keys()}
