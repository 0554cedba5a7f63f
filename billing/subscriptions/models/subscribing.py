"""Who subscribes to what: segments of time at one price and quantity, periods, and the charges they made."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from billing.entities.models import BillingEntity, Department
from billing.kernel.fields import CurrencyField, ExactField, MoneyField, finite, payable
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.ranges import days, one_uuid
from billing.kernel.states import pairs
from billing.kernel.triggers import (
    append_only,
    audited,
    frozen,
    moves_only,
    never_deleted,
    never_truncated,
    touched,
)
from billing.subscriptions.models.catalogue import Basis, Plan, Price, Product, Timing
from billing.subscriptions.states import CHANGE_MOVES, SUBSCRIPTION_MOVES, ChangeState, SubscriptionState


class Alignment(models.TextChoices):
    ANNIVERSARY = "anniversary"  # periods count from the day it starts (or the trial ends)
    CALENDAR = "calendar"  # periods are calendar weeks, months, quarters, years; the first one is a part


class Subscription(BaseModel):
    """A customer's subscription to a plan. `next_on` is the first day that is not billed yet.

    `quantity` is the number of units subscribed. The cycle is (plan's interval, `anchor_on`).
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="subscriptions")
    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="subscriptions_sold")
    department = models.ForeignKey(Department, models.PROTECT, null=True, related_name="subscriptions")
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="subscriptions")
    reference = models.CharField(
        max_length=200, blank=True, help_text="The customer's or integrator's own id."
    )
    currency = CurrencyField()
    quantity = ExactField(default=1)
    state = models.CharField(max_length=8, choices=SubscriptionState)
    alignment = models.CharField(max_length=11, choices=Alignment, default=Alignment.ANNIVERSARY)
    anchor_on = models.DateField(help_text="Where the cycle is counted from.")
    starts_on = models.DateField()
    trial_ends_on = models.DateField(null=True, help_text="The first day that is paid for.")
    next_on = models.DateField(help_text="The first day whose period has not been opened yet.")
    cancels_on = models.DateField(null=True, help_text="It will be canceled on this day.")
    ended_on = models.DateField(null=True, help_text="The first day it no longer covers.")
    metadata = models.JSONField(default=dict, blank=True)

    class Meta(BaseModel.Meta):
        db_table = "subscriptions"
        permissions = [
            ("create_subscription", "Can create subscriptions"),
            ("change_subscription_terms", "Can change the plan and quantity of subscriptions"),
            ("pause_subscription", "Can pause and resume subscriptions"),
            ("cancel_subscription", "Can cancel subscriptions"),
        ]
        constraints = [
            models.CheckConstraint(
                name="subscription_state_known", condition=Q(state__in=SubscriptionState.values)
            ),
            models.CheckConstraint(
                name="subscription_alignment_known", condition=Q(alignment__in=Alignment.values)
            ),
            finite("subscription_finite", "quantity"),
            models.CheckConstraint(name="subscription_quantity_not_negative", condition=Q(quantity__gte=0)),
            models.CheckConstraint(
                name="subscription_ended_iff_canceled",
                condition=Q(state=SubscriptionState.CANCELED, ended_on__isnull=False)
                | (~Q(state=SubscriptionState.CANCELED) & Q(ended_on__isnull=True)),
            ),
            models.CheckConstraint(
                name="subscription_trial_after_start",
                condition=Q(trial_ends_on__isnull=True) | Q(trial_ends_on__gt=F("starts_on")),
            ),
            models.CheckConstraint(
                name="subscription_trialing_has_trial",
                condition=~Q(state=SubscriptionState.TRIALING) | Q(trial_ends_on__isnull=False),
            ),
            models.UniqueConstraint(
                "seller",
                Lower("reference"),
                name="subscription_reference_unique",
                condition=~Q(reference=""),
            ),
        ]
        indexes = [
            models.Index(
                fields=["seller", "next_on"],
                name="subscription_due",
                condition=~Q(state=SubscriptionState.CANCELED),
            ),
            models.Index(fields=["entity", "-id"], name="subscription_by_entity"),
        ]
        triggers = [
            touched(),
            never_deleted(),
            moves_only(pairs(SUBSCRIPTION_MOVES)),
            frozen(
                when="true",
                except_for=(
                    "plan_id",
                    "quantity",
                    "state",
                    "anchor_on",
                    "next_on",
                    "cancels_on",
                    "ended_on",
                    "trial_ends_on",
                    "department_id",
                    "reference",
                    "metadata",
                ),
            ),
            frozen(name="canceled_for_good", when="OLD.state = 'canceled'", except_for=("metadata",)),
            *audited(),
        ]

    def __str__(self) -> str:
        return self.reference or f"{self.plan.name} for {self.entity.name}"


class SubscriptionItem(BaseModel):
    """A stretch of days in which a subscription has one product at one pinned price version and quantity.

    A change closes it and opens the next. `ends_on` is exclusive; empty while it is open.
    """

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="items")
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")
    price = models.ForeignKey(Price, models.PROTECT, related_name="+")
    timing = models.CharField(max_length=10, choices=Timing)
    basis = models.CharField(max_length=8, choices=Basis)
    quantity = ExactField(help_text="Of fixed and subscribed items; 0 where it is counted.")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "subscription_items"
        constraints = [
            finite("subscription_item_finite", "quantity"),
            models.CheckConstraint(name="subscription_item_quantity", condition=Q(quantity__gte=0)),
            models.CheckConstraint(
                name="subscription_item_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
            ),
            ExclusionConstraint(
                name="subscription_item_no_overlap",
                expressions=[
                    (one_uuid("subscription_id"), RangeOperators.OVERLAPS),
                    (one_uuid("product_id"), RangeOperators.OVERLAPS),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
            ),
        ]
        indexes = [models.Index(fields=["subscription", "starts_on"], name="item_by_subscription")]
        triggers = [
            touched(),
            never_truncated(),
            frozen(when="true", except_for=("ends_on",)),
            frozen(name="closed_for_good", when="OLD.ends_on IS NOT NULL", except_for=()),
        ]

    def __str__(self) -> str:
        return f"{self.product_id} from {self.starts_on}"


class SubscriptionPeriod(BaseModel):
    """What is covered of one period of the cycle. Days are prorated over the whole, `whole_…`.

    A part at the start (calendar alignment) or at the end (canceled, interval changed) is shorter than the whole.
    """

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="periods")
    starts_on = models.DateField()
    ends_on = models.DateField()
    whole_starts_on = models.DateField()
    whole_ends_on = models.DateField()
    is_trial = models.BooleanField(default=False)
    is_closed = models.BooleanField(default=False, help_text="What is billed in arrears has been charged.")

    class Meta(BaseModel.Meta):
        db_table = "subscription_periods"
        constraints = [
            models.CheckConstraint(
                name="subscription_period_within_whole",
                condition=Q(
                    starts_on__gte=F("whole_starts_on"),
                    ends_on__lte=F("whole_ends_on"),
                    ends_on__gte=F("starts_on"),
                    whole_ends_on__gt=F("whole_starts_on"),
                ),
            ),
            ExclusionConstraint(
                name="subscription_period_no_overlap",
                expressions=[
                    (one_uuid("subscription_id"), RangeOperators.OVERLAPS),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
            ),
            models.UniqueConstraint(
                fields=["subscription"],
                name="one_open_period",
                condition=Q(is_closed=False),
            ),
        ]
        indexes = [models.Index(fields=["subscription", "starts_on"], name="period_by_subscription")]
        triggers = [
            touched(),
            never_truncated(),
            frozen(when="true", except_for=("ends_on", "is_closed")),
            frozen(name="closed_for_good", when="OLD.is_closed", except_for=()),
        ]

    def __str__(self) -> str:
        return f"{self.starts_on} to {self.ends_on}"


class ChargeKind(models.TextChoices):
    RECURRING = "recurring"  # a period, in advance or in arrears
    PRORATION = "proration"  # the rest of a period already begun, after a change
    CREDIT = "credit"  # days charged in advance and not used; negative
    ONE_OFF = "one_off"
    TRUE_UP = "true_up"  # seats used beyond those included


class SubscriptionCharge(AppendOnlyModel):
    """An amount a subscription owes (or gets back), rounded once. Invoicing puts it on one line.

    `amount` = round_half_up(price of `quantity` × days charged ÷ days of the whole period): before tax, or with it
    where the item's price includes tax.
    """

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="charges")
    item = models.ForeignKey(SubscriptionItem, models.PROTECT, related_name="charges")
    kind = models.CharField(max_length=9, choices=ChargeKind)
    quantity = ExactField()
    amount = MoneyField()
    currency = CurrencyField()
    service_starts_on = models.DateField()
    service_ends_on = models.DateField(help_text="Exclusive.")
    due_on = models.DateField(help_text="The first day on which it is invoiced.")
    derivation = models.JSONField(
        help_text="Price version, quantity and days, so that it can be computed again."
    )

    class Meta(AppendOnlyModel.Meta):
        db_table = "subscription_charges"
        constraints = [
            payable("subscription_charge_payable", "amount"),
            finite("subscription_charge_finite", "quantity"),
            models.CheckConstraint(
                name="subscription_charge_sign",
                condition=Q(kind=ChargeKind.CREDIT, amount__lte=0)
                | (~Q(kind=ChargeKind.CREDIT) & Q(kind__in=ChargeKind.values, amount__gte=0)),
            ),
            models.CheckConstraint(
                name="subscription_charge_has_days", condition=Q(service_ends_on__gt=F("service_starts_on"))
            ),
            models.UniqueConstraint(
                fields=["item", "kind", "service_starts_on"], name="charged_once_per_period"
            ),
        ]
        indexes = [
            models.Index(fields=["subscription", "due_on"], name="charge_by_subscription"),
            models.Index(fields=["due_on"], name="charge_by_due_day"),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.currency}"

    @property
    def tax_inclusive(self) -> bool:
        """Whether the amount includes tax, as its price does."""
        return self.item.price.tax_inclusive


class SubscriptionChange(BaseModel):
    """A change of plan or quantity that waits for the end of the period."""

    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="changes")
    effective_on = models.DateField()
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="+")
    quantity = ExactField()
    uses_current_prices = models.BooleanField(default=False)
    state = models.CharField(max_length=9, choices=ChangeState, default=ChangeState.SCHEDULED)
    requested_by = models.CharField(max_length=128)

    class Meta(BaseModel.Meta):
        db_table = "subscription_changes"
        constraints = [
            finite("subscription_change_finite", "quantity"),
            models.CheckConstraint(name="subscription_change_quantity", condition=Q(quantity__gte=0)),
            models.UniqueConstraint(
                fields=["subscription"],
                name="one_scheduled_change",
                condition=Q(state=ChangeState.SCHEDULED),
            ),
        ]
        triggers = [
            touched(),
            never_deleted(),
            moves_only(pairs(CHANGE_MOVES)),
            frozen(when="true", except_for=("state",)),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} × {self.quantity} from {self.effective_on}"
