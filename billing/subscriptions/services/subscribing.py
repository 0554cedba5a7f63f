from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity, Department
from billing.entities.queries import seller_of
from billing.entities.states import EntityState
from billing.kernel import audit, events, money
from billing.kernel.errors import Invalid, NotFound
from billing.subscriptions.account import Account, cycle_of
from billing.subscriptions.core.rating import BEYOND, SMALLEST
from billing.subscriptions.errors import (
    CustomerCannotSubscribe,
    PlanNotOffered,
    PlanOfAnotherSeller,
    StartsTooLongAgo,
    SubscriptionReferenceTaken,
)
from billing.subscriptions.events import SubscriptionCreated
from billing.subscriptions.models import Alignment, Plan, Subscription
from billing.subscriptions.services.accounts import (
    Preview,
    preview_of,
    save_accounts,
    target_for,
)
from billing.subscriptions.services.plans import TRIAL_DAYS_MAX
from billing.subscriptions.states import SubscriptionState

DAYS_BACK_MAX = 1096  # every period since then is opened and charged at once


@transaction.atomic
def create_subscription(
    *,
    actor: str,
    entity_id: UUID,
    plan_id: UUID,
    starts_on: date,
    as_of: date,
    quantity: Decimal = Decimal(1),
    currency: str | None = None,
    alignment: str = Alignment.ANNIVERSARY,
    trial_days: int | None = None,
    department_id: UUID | None = None,
    reference: str = "",
    metadata: dict | None = None,
) -> Subscription:
    """Subscribe a customer to a plan of its seller from `starts_on`, in its own currency unless named.

    Every product gets the price version in force on `starts_on` and keeps it. What is due by `as_of` is
    charged at once, what is due later when its day comes (`roll_forward`). In a trial (the plan's days
    unless named; 0 for none) nothing recurring is charged and usage is free; the cycle begins when it ends.
    Raises NotFound, CustomerCannotSubscribe, PlanOfAnotherSeller, PlanNotOffered, PlanNotPriced,
    SubscriptionReferenceTaken, StartsTooLongAgo, AmountTooLarge, Invalid.
    """
    account = _new_account(
        as_of=as_of,
        entity_id=entity_id,
        plan_id=plan_id,
        starts_on=starts_on,
        quantity=quantity,
        currency=currency,
        alignment=alignment,
        trial_days=trial_days,
        department_id=department_id,
        reference=reference,
        metadata=metadata,
    )
    subscription = account.subscription
    account.roll_forward(as_of)
    save_accounts([account])
    subscription.refresh_from_db()
    audit.record(
        actor=actor,
        action="subscription.created",
        subject=subscription,
        detail={
            "plan": subscription.plan.code,
            "quantity": subscription.quantity,
            "currency": subscription.currency,
        },
    )
    events.publish(SubscriptionCreated(subscription_id=subscription.pk, entity_id=subscription.entity_id))
    return subscription


@transaction.atomic
def preview_subscription(*, as_of: date, **terms: object) -> Preview:
    """What `create_subscription` with the same terms would charge now, and at the start of the next period."""
    account = _new_account(as_of=as_of, **terms)
    account.roll_forward(as_of)
    return preview_of(account)


def _new_account(
    *,
    as_of: date,
    entity_id: UUID,
    plan_id: UUID,
    starts_on: date,
    quantity: Decimal = Decimal(1),
    currency: str | None = None,
    alignment: str = Alignment.ANNIVERSARY,
    trial_days: int | None = None,
    department_id: UUID | None = None,
    reference: str = "",
    metadata: dict | None = None,
) -> Account:
    require_quantity(quantity)
    if starts_on < as_of - timedelta(days=DAYS_BACK_MAX):
        raise StartsTooLongAgo(f"{starts_on} is more than three years before {as_of}.")
    if alignment not in Alignment.values:
        raise Invalid(f"'{alignment}' is not an alignment.", known=Alignment.values)
    entity = BillingEntity.objects.locked().filter(pk=entity_id).first()
    plan = Plan.objects.filter(pk=plan_id).first()
    if entity is None or plan is None:
        raise NotFound("There is no such entity or plan.")
    seller = _require_may_subscribe(entity, plan)
    department = _department_of(entity, department_id)
    _require_reference_free(seller, reference)
    currency = currency or entity.currency
    money.exponent(currency)  # refuses what is no currency
    trial_ends_on = _trial_end(starts_on, plan.trial_days if trial_days is None else trial_days)
    cycle = cycle_of(plan, alignment=alignment, starts_on=trial_ends_on or starts_on)
    account = Account(
        subscription=Subscription(
            entity=entity,
            seller=seller,
            department=department,
            plan=plan,
            reference=reference,
            currency=currency,
            quantity=quantity,
            state=SubscriptionState.TRIALING if trial_ends_on else SubscriptionState.ACTIVE,
            alignment=alignment,
            anchor_on=cycle.anchor_on,
            starts_on=starts_on,
            trial_ends_on=trial_ends_on,
            next_on=starts_on,
            metadata=metadata or {},
        ),
        items=[],
        period=None,
    )
    account.start(target_for(plan, quantity=quantity, currency=currency, on=starts_on))
    return account


def require_quantity(quantity: Decimal) -> None:
    """Raises Invalid unless it is finite, not negative, and has at most 12 decimals."""
    if not quantity.is_finite() or not 0 <= quantity < BEYOND or quantity != quantity.quantize(SMALLEST):
        raise Invalid("A quantity is finite, not negative, and has at most 12 decimals.")


def _require_may_subscribe(entity: BillingEntity, plan: Plan) -> BillingEntity:
    if entity.state != EntityState.ACTIVE or not entity.is_customer:
        raise CustomerCannotSubscribe(f"{entity.name} is {entity.state}: only active customers subscribe.")
    seller = seller_of(entity)
    if seller is None or plan.entity_id != seller.pk:
        raise PlanOfAnotherSeller(f"'{plan.code}' is not a plan of the seller of {entity.name}.")
    if not plan.is_active:
        raise PlanNotOffered(f"'{plan.code}' is no longer offered.")
    return seller


def _department_of(entity: BillingEntity, department_id: UUID | None) -> Department | None:
    if department_id is None:
        return None
    department = Department.objects.filter(pk=department_id, entity=entity).first()
    if department is None:
        raise NotFound("The entity has no such department.")
    return department


def _require_reference_free(seller: BillingEntity, reference: str) -> None:
    if reference and Subscription.objects.filter(seller=seller, reference__iexact=reference).exists():
        raise SubscriptionReferenceTaken(f"There is already a subscription '{reference}'.")


def _trial_end(starts_on: date, days: int) -> date | None:
    if not 0 <= days <= TRIAL_DAYS_MAX:
        raise Invalid(f"A trial has 0 to {TRIAL_DAYS_MAX} days.")
    return starts_on + timedelta(days=days) if days else None
