"""Reading a subscription with all that decides what it owes, and storing what its operations made of it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.kernel.bulk import update_rows
from billing.kernel.errors import NotFound
from billing.kernel.money import total_of
from billing.kernel.versions import require_version
from billing.subscriptions import queries
from billing.subscriptions.account import Account, Prices, Target
from billing.subscriptions.core.periods import Period
from billing.subscriptions.errors import DayInFuture, PlanNotPriced
from billing.subscriptions.models import (
    Plan,
    PlanItem,
    Subscription,
    SubscriptionChange,
    SubscriptionCharge,
    SubscriptionItem,
    SubscriptionPeriod,
)
from billing.subscriptions.states import ChangeState

MOVING = [
    "plan",
    "quantity",
    "state",
    "anchor_on",
    "next_on",
    "cancels_on",
    "ended_on",
]


@dataclass(frozen=True)
class Preview:
    """What an operation would charge now, and what the next period will begin with. Unsaved rows."""

    subscription: Subscription
    charges: list[SubscriptionCharge]
    next_charges: list[SubscriptionCharge]
    next_on: date | None

    @property
    def total(self) -> Decimal:
        """Of the prices before tax."""
        return _told(self.charges, tax_inclusive=False)

    @property
    def inclusive_total(self) -> Decimal:
        """Of the prices that include tax."""
        return _told(self.charges, tax_inclusive=True)

    @property
    def next_total(self) -> Decimal:
        return _told(self.next_charges, tax_inclusive=False)

    @property
    def next_inclusive_total(self) -> Decimal:
        return _told(self.next_charges, tax_inclusive=True)


def _told(charges: Iterable[SubscriptionCharge], *, tax_inclusive: bool) -> Decimal:
    return total_of([charge.amount for charge in charges if charge.tax_inclusive == tax_inclusive])


def locked_account(subscription_id: UUID, *, as_of: date, version: int | None = None) -> Account:
    """The account under its subscription's row lock, rolled forward to `as_of`.

    Raises NotFound, PreconditionFailed.
    """
    found = Subscription.objects.locked().filter(pk=subscription_id).first()
    if found is None:
        raise NotFound("There is no such subscription.")
    require_version(found, version)
    account = account_of(subscription_id)
    if found.next_on > as_of:
        return account
    # Stored before anything else happens to it: each move of its state is one of the table.
    account.roll_forward(as_of)
    save_accounts([account])
    return account_of(subscription_id)


def account_of(subscription_id: UUID) -> Account:
    """To look at; whoever stores what comes out locks first. Raises NotFound."""
    found = accounts_of([subscription_id])
    if not found:
        raise NotFound("There is no such subscription.")
    return found[0]


def accounts_of(subscription_ids: Sequence[UUID]) -> list[Account]:
    """A constant number of queries for any number of subscriptions, in the order of their ids."""
    subscriptions = Subscription.objects.select_related("plan").filter(pk__in=subscription_ids).order_by("pk")
    items = _by_subscription(
        SubscriptionItem.objects.filter(subscription__in=subscription_ids)
        .select_related("price", "product")
        .order_by("starts_on", "id")
    )
    periods = _by_subscription(
        SubscriptionPeriod.objects.filter(subscription__in=subscription_ids, is_closed=False)
    )
    scheduled = _by_subscription(
        SubscriptionChange.objects.filter(
            subscription__in=subscription_ids, state=ChangeState.SCHEDULED
        ).select_related("plan")
    )
    accounts = [
        Account(
            subscription=subscription,
            items=items[subscription.pk],
            period=next(iter(periods[subscription.pk]), None),
            scheduled=next(iter(scheduled[subscription.pk]), None),
            seats_to_true_up=_seats_to_true_up,
        )
        for subscription in subscriptions
    ]
    _add_scheduled_targets([account for account in accounts if account.scheduled])
    return accounts


def _add_scheduled_targets(accounts: Iterable[Account]) -> None:
    """What was scheduled, at the prices in force on the day: read once per plan, currency and day."""
    offers: dict[tuple, Target] = {}
    for account in accounts:
        change, currency = account.scheduled, account.subscription.currency
        key = (change.plan_id, currency, change.effective_on)
        if key not in offers:
            offers[key] = target_for(
                change.plan, quantity=change.quantity, currency=currency, on=change.effective_on
            )
        account.scheduled_target = replace(
            offers[key], quantity=change.quantity, uses_current_prices=change.uses_current_prices
        )


def target_for(
    plan: Plan, *, quantity: Decimal, currency: str, on: date, uses_current_prices: bool = False
) -> Target:
    """A plan with the prices in force on the day. Raises PlanNotPriced, naming every product without one."""
    plan_items = plan_items_of(plan)
    return Target(
        plan=plan,
        plan_items=plan_items,
        quantity=quantity,
        prices=prices_for(plan, plan_items, currency=currency, on=on),
        uses_current_prices=uses_current_prices,
    )


def plan_items_of(plan: Plan) -> list[PlanItem]:
    return list(plan.items.select_related("product").order_by("position"))


def prices_for(plan: Plan, plan_items: Iterable[PlanItem], *, currency: str, on: date) -> Prices:
    found = queries.prices_of([(item.product_id, currency) for item in plan_items], on, plan_id=plan.pk)
    missing = sorted(item.product.code for item in plan_items if (item.product_id, currency) not in found)
    if missing:
        raise PlanNotPriced(
            f"No price in {currency} on {on} for {', '.join(missing)}. Add one to the product, then try again.",
            missing=missing,
        )
    return {product_id: price for (product_id, _), price in found.items()}


def preview_of(account: Account) -> Preview:
    """What the account's operations have made so far, and what turning to the next period would make."""
    charges = list(account.charges)
    next_on = account.subscription.next_on if account.subscription.ended_on is None else None
    if next_on:
        account.roll_forward(next_on)
    return Preview(
        subscription=account.subscription,
        charges=charges,
        next_charges=account.charges[len(charges) :],
        next_on=next_on,
    )


def save_accounts(accounts: Sequence[Account]) -> None:
    """Store all that changed. What closes goes first: nothing may overlap at any moment."""
    if not accounts:
        return
    subscriptions = [account.subscription for account in accounts]
    new = {subscription.pk for subscription in subscriptions if subscription._state.adding}
    Subscription.objects.bulk_create([one for one in subscriptions if one.pk in new])
    update_rows([item for a in accounts for item in a.items_closed], ["ends_on"])
    SubscriptionItem.objects.bulk_create([item for a in accounts for item in a.items_opened])
    update_rows(
        [account.period_closed for account in accounts if account.period_closed], ["ends_on", "is_closed"]
    )
    SubscriptionPeriod.objects.bulk_create([period for a in accounts for period in a.periods_opened])
    SubscriptionCharge.objects.bulk_create([charge for a in accounts for charge in a.charges])
    update_rows([a.scheduled for a in accounts if a.scheduled and not a.scheduled._state.adding], ["state"])
    update_rows([one for one in subscriptions if one.pk not in new], MOVING)


def require_not_in_future(on: date, *, as_of: date) -> None:
    if on > as_of:
        raise DayInFuture(f"{on} is still to come (today is {as_of}). Choose the end of the period instead.")


def count_seats_ahead(accounts: Iterable[Account]) -> None:
    """What the open periods will ask for, in one query; what comes after them is asked when it comes."""
    wanted = {a.subscription.pk: a.seat_days for a in accounts if a.seat_days}
    counted = queries.seats_to_true_up({pk: (days.starts_on, days.ends_on) for pk, days in wanted.items()})

    def known(subscription_id: UUID, starts_on: date, ends_on: date) -> Decimal:
        if wanted.get(subscription_id) == Period(starts_on, ends_on):
            return counted[subscription_id]
        return _seats_to_true_up(subscription_id, starts_on, ends_on)

    for account in accounts:
        account.seats_to_true_up = known


def _seats_to_true_up(subscription_id: UUID, starts_on: date, ends_on: date) -> Decimal:
    return queries.seats_to_true_up({subscription_id: (starts_on, ends_on)}).get(subscription_id, Decimal(0))


def _by_subscription(rows) -> dict[UUID, list]:
    grouped = defaultdict(list)
    for row in rows:
        grouped[row.subscription_id].append(row)
    return grouped
