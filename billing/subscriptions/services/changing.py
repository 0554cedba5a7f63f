from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.kernel import audit, events
from billing.kernel.errors import NotFound
from billing.subscriptions.account import Account, Target
from billing.subscriptions.errors import (
    NothingScheduled,
    NothingToChange,
    PlanNotOffered,
    PlanOfAnotherSeller,
)
from billing.subscriptions.events import SubscriptionChanged
from billing.subscriptions.models import Plan, Subscription
from billing.subscriptions.services.accounts import (
    Preview,
    account_of,
    locked_account,
    preview_of,
    require_not_in_future,
    save_accounts,
    target_for,
)
from billing.subscriptions.services.subscribing import require_quantity

Terms = dict[str, object]


@transaction.atomic
def change_subscription(
    *,
    actor: str,
    subscription_id: UUID,
    as_of: date,
    plan_id: UUID | None = None,
    quantity: Decimal | None = None,
    on: date | None = None,
    at_period_end: bool = False,
    use_current_prices: bool = False,
    version: int | None = None,
) -> Subscription:
    """Another plan or quantity (up or down), now, on an earlier day of this period, or at its end.

    Days left of what was charged in advance are credited and charged anew, by day over the whole period.
    Products that stay on the same plan keep their price version unless `use_current_prices`. Raises
    NotFound, PreconditionFailed, NotChangeable, NothingToChange, DayOutsidePeriod, DayInFuture,
    PlanOfAnotherSeller, PlanNotOffered, PlanNotPriced, AmountTooLarge, Invalid.
    """
    account = locked_account(subscription_id, as_of=as_of, version=version)
    before = {"plan": account.subscription.plan.code, "quantity": account.subscription.quantity}
    target = _change(
        account,
        as_of=as_of,
        plan_id=plan_id,
        quantity=quantity,
        on=on,
        at_period_end=at_period_end,
        use_current_prices=use_current_prices,
        requested_by=actor,
    )
    save_accounts([account])
    if at_period_end:
        account.scheduled.save(force_insert=True)
    subscription = account.subscription
    subscription.refresh_from_db()
    audit.record(
        actor=actor,
        action="subscription.change_scheduled" if at_period_end else "subscription.changed",
        subject=subscription,
        detail={"from": before, "to": {"plan": target.plan.code, "quantity": target.quantity}},
    )
    if not at_period_end:
        events.publish(SubscriptionChanged(subscription_id=subscription.pk, entity_id=subscription.entity_id))
    return subscription


def preview_change(*, subscription_id: UUID, as_of: date, **terms: object) -> Preview:
    """What `change_subscription` with the same terms would charge: the same computation, not stored."""
    account = account_of(subscription_id)
    account.roll_forward(as_of)
    _change(account, as_of=as_of, requested_by="preview", **terms)
    return preview_of(account)


@transaction.atomic
def withdraw_change(
    *, actor: str, subscription_id: UUID, as_of: date, version: int | None = None
) -> Subscription:
    """Take back what was scheduled for the end of the period, if that is still to come: a change, or the end.

    Raises NotFound, PreconditionFailed, NothingScheduled.
    """
    account = locked_account(subscription_id, as_of=as_of, version=version)
    subscription = account.subscription
    if account.scheduled is None and subscription.cancels_on is None:
        raise NothingScheduled("There is nothing to withdraw.")
    subscription.cancels_on = None
    if account.scheduled:
        account.withdraw_scheduled()
    save_accounts([account])
    subscription.refresh_from_db()
    audit.record(actor=actor, action="subscription.change_withdrawn", subject=subscription)
    return subscription


def _change(
    account: Account,
    *,
    as_of: date,
    requested_by: str,
    plan_id: UUID | None = None,
    quantity: Decimal | None = None,
    on: date | None = None,
    at_period_end: bool = False,
    use_current_prices: bool = False,
) -> Target:
    day = account.subscription.next_on if at_period_end else on or as_of
    target = _target(account, day, plan_id, quantity, use_current_prices)
    if at_period_end:
        _require_difference(account, target)
        account.change_at_period_end(target, requested_by=requested_by)
        return target
    require_not_in_future(day, as_of=as_of)
    opened, closed = len(account.items_opened), len(account.items_closed)
    account.change(day, target)
    if (len(account.items_opened), len(account.items_closed)) == (opened, closed):
        raise NothingToChange("It already has this plan and quantity.")
    return target


def _target(
    account: Account, on: date, plan_id: UUID | None, quantity: Decimal | None, use_current_prices: bool
) -> Target:
    subscription = account.subscription
    plan = subscription.plan
    if plan_id is not None and plan_id != plan.pk:
        plan = Plan.objects.filter(pk=plan_id).first()
        if plan is None:
            raise NotFound("There is no such plan.")
        if plan.entity_id != subscription.seller_id:
            raise PlanOfAnotherSeller(f"'{plan.code}' is not a plan of its seller.")
        if not plan.is_active:
            raise PlanNotOffered(f"'{plan.code}' is no longer offered.")
    if quantity is None:
        quantity = subscription.quantity
    require_quantity(quantity)
    return target_for(
        plan,
        quantity=quantity,
        currency=subscription.currency,
        on=on,
        uses_current_prices=use_current_prices,
    )


def _require_difference(account: Account, target: Target) -> None:
    subscription = account.subscription
    same = (target.plan.pk, target.quantity) == (subscription.plan_id, subscription.quantity)
    if same and not target.uses_current_prices:
        raise NothingToChange("It already has this plan and quantity.")
