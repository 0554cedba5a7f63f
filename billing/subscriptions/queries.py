"""What is sold, and at which price on a day."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from django.db.models import F, Prefetch, Q, QuerySet

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import entities_for, seller_of
from billing.entities.reach import reaches_for, visible
from billing.subscriptions.licensed import licenses_for as licenses_for
from billing.subscriptions.licensed import licenses_over as licenses_over
from billing.subscriptions.models import (
    Plan,
    PlanItem,
    Price,
    Product,
    Subscription,
    SubscriptionChange,
    SubscriptionCharge,
    SubscriptionItem,
    SubscriptionPeriod,
)
from billing.subscriptions.states import ChangeState
from billing.subscriptions.true_up import peak_seats as peak_seats
from billing.subscriptions.true_up import seats_to_true_up as seats_to_true_up

VIEW_SUBSCRIPTION = "subscriptions.view_subscription"


def products_for(user: User, permission: str = "subscriptions.view_product") -> QuerySet[Product]:
    """The products of the sellers within reach of `user`."""
    return visible(Product.objects.select_related("entity"), user=user, permission=permission)


def prices_for(user: User, permission: str = "subscriptions.view_price") -> QuerySet[Price]:
    """List prices and prices on plans."""
    return visible(
        Price.objects.select_related("product", "plan"),
        user=user,
        permission=permission,
        entity="product__entity",
    )


def plans_for(user: User, permission: str = "subscriptions.view_plan") -> QuerySet[Plan]:
    """With their items, in order."""
    items = PlanItem.objects.select_related("product").order_by("position")
    plans = Plan.objects.select_related("entity").prefetch_related(Prefetch("items", items))
    return visible(plans, user=user, permission=permission)


def subscriptions_for(user: User, permission: str = VIEW_SUBSCRIPTION) -> QuerySet[Subscription]:
    """Those of the entities within reach of `user`."""
    return visible(Subscription.objects.select_related("entity", "plan"), user=user, permission=permission)


def plans_of(seller: BillingEntity | None, *, also: QuerySet[BillingEntity]) -> QuerySet[Plan]:
    """The plans of one seller, and those of the entities in `also`."""
    return Plan.objects.filter(Q(entity=seller) | Q(entity__in=also.values("pk")))


def plans_offered_to(user: User, permission: str) -> QuerySet[Plan]:
    """What `user` may choose from: of the sellers within reach, and of those who sell to what is within reach."""
    tops = BillingEntity.objects.filter(
        path__in={reach.entity_path for reach in reaches_for(user, permission)}
    )
    sellers = [seller.pk for top in tops if (seller := seller_of(top))]
    offered = Q(entity__in=entities_for(user, permission).values("pk")) | Q(entity__in=sellers)
    return Plan.objects.filter(offered, is_active=True).order_by("code")


def with_standing(subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """With the open period and what is scheduled, as `open_periods` and `scheduled_changes`: none or one each."""
    scheduled = SubscriptionChange.objects.filter(state=ChangeState.SCHEDULED)
    return subscriptions.prefetch_related(
        Prefetch("periods", SubscriptionPeriod.objects.filter(is_closed=False), to_attr="open_periods"),
        Prefetch("changes", scheduled.select_related("plan"), to_attr="scheduled_changes"),
    )


def items_of(subscription: Subscription) -> QuerySet[SubscriptionItem]:
    """Every stretch of days at one price and quantity, in the order in which they began."""
    return subscription.items.select_related("product", "price").order_by("starts_on", "pk")


def charges_for(user: User, permission: str = VIEW_SUBSCRIPTION) -> QuerySet[SubscriptionCharge]:
    charges = SubscriptionCharge.objects.select_related("item__product", "item__price", "subscription")
    return visible(charges, user=user, permission=permission, entity="subscription__entity")


def price_of(product_id: UUID, currency: str, on: date, plan_id: UUID | None = None) -> Price | None:
    """The version in force on the day: the last one that has started. None before the first."""
    return prices_of([(product_id, currency)], on, plan_id).get((product_id, currency))


def prices_of(
    wanted: Iterable[tuple[UUID, str]], on: date, plan_id: UUID | None = None
) -> dict[tuple[UUID, str], Price]:
    """The price in force on the day for every (product, currency) that has one. One query.

    With a plan: the price on it if one is in force, else the list price. Without: the list price.
    """
    wanted = set(wanted)
    products, currencies = {product for product, _ in wanted}, {currency for _, currency in wanted}
    in_force = prices_in_force(products, on, plan_id).filter(currency__in=currencies)
    found = {(price.product_id, price.currency): price for price in in_force}
    return {key: found[key] for key in wanted & found.keys()}


def prices_in_force(products: Iterable[UUID], on: date, plan_id: UUID | None = None) -> QuerySet[Price]:
    """One price per product and currency that has one on the day, as `prices_of` chooses it."""
    offered = Q(plan=None) if plan_id is None else Q(plan=None) | Q(plan_id=plan_id)
    return (
        Price.objects.filter(offered, product_id__in=products, starts_on__lte=on)
        .order_by("product_id", "currency", F("plan_id").asc(nulls_last=True), "-number")
        .distinct("product_id", "currency")
    )


def currencies_of(product_id: UUID) -> QuerySet:
    """The codes of the currencies in which the product has, had or will have a price."""
    return (
        Price.objects.filter(product_id=product_id)
        .order_by("currency")
        .values_list("currency", flat=True)
        .distinct()
    )
