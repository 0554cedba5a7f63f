"""Subscriptions on the wire. Input serializers check form; whether it is allowed is the service's business."""

from rest_framework import serializers

from billing.entities.api.fields import DepartmentField, EntityField
from billing.kernel.api import fields
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.subscriptions.models import (
    Alignment,
    Plan,
    Subscription,
    SubscriptionChange,
    SubscriptionCharge,
    SubscriptionItem,
    SubscriptionPeriod,
)
from billing.subscriptions.services.subscribing import TRIAL_DAYS_MAX


class PlanBrief(ReadSerializer):
    class Meta:
        model = Plan
        fields = ("id", "code", "name", "interval", "interval_count", "trial_days", "is_active")
        read_only_fields = fields


class ScheduledChangeRead(ReadSerializer):
    """What waits for the end of the period."""

    plan_code = serializers.CharField(source="plan.code", read_only=True)

    class Meta:
        model = SubscriptionChange
        fields = (
            "id",
            "effective_on",
            "plan",
            "plan_code",
            "quantity",
            "uses_current_prices",
            "created_at",
        )
        read_only_fields = fields


class SubscriptionPeriodRead(ReadSerializer):
    """Days are prorated over the whole, `whole_…`; each `…_ends_on` is the first day after."""

    class Meta:
        model = SubscriptionPeriod
        fields = (
            "id",
            "starts_on",
            "ends_on",
            "whole_starts_on",
            "whole_ends_on",
            "is_trial",
            "is_closed",
        )
        read_only_fields = fields


class SubscriptionRead(ReadSerializer):
    """`next_on` is the first day that is not billed yet, `ended_on` the first day no longer covered.

    `current_period` is null before it starts and after it ended, `scheduled_change` while nothing is scheduled.
    """

    plan_code = serializers.CharField(source="plan.code", read_only=True)
    current_period = serializers.SerializerMethodField()
    scheduled_change = serializers.SerializerMethodField()

    class Meta:
        model = Subscription
        fields = (
            "id",
            "entity",
            "seller",
            "department",
            "plan",
            "plan_code",
            "reference",
            "currency",
            "quantity",
            "state",
            "alignment",
            "anchor_on",
            "starts_on",
            "trial_ends_on",
            "next_on",
            "cancels_on",
            "ended_on",
            "current_period",
            "scheduled_change",
            "metadata",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_current_period(self, subscription: Subscription) -> SubscriptionPeriodRead(allow_null=True):
        return (
            SubscriptionPeriodRead(subscription.open_periods[0]).data if subscription.open_periods else None
        )

    def get_scheduled_change(self, subscription: Subscription) -> ScheduledChangeRead(allow_null=True):
        scheduled = subscription.scheduled_changes
        return ScheduledChangeRead(scheduled[0]).data if scheduled else None


class SubscriptionItemRead(ReadSerializer):
    """A stretch of days at one price version and quantity. `ends_on` is null while it is open."""

    product_code = serializers.CharField(source="product.code", read_only=True)

    class Meta:
        model = SubscriptionItem
        fields = (
            "id",
            "product",
            "product_code",
            "price",
            "timing",
            "basis",
            "quantity",
            "starts_on",
            "ends_on",
            "created_at",
        )
        read_only_fields = fields


CHARGE = (
    "kind",
    "product",
    "product_code",
    "quantity",
    "amount",
    "tax_inclusive",
    "currency",
    "service_starts_on",
    "service_ends_on",
    "due_on",
    "derivation",
)


class PreviewedCharge(ReadSerializer):
    """An amount before tax, or with it where the price includes it (`tax_inclusive`).

    `derivation` is how it came about, so that it can be computed again.
    """

    product = fields.IdField(source="item.product_id", read_only=True)
    product_code = serializers.CharField(source="item.product.code", read_only=True)
    tax_inclusive = serializers.BooleanField(read_only=True)
    derivation = serializers.DictField(read_only=True)

    class Meta:
        model = SubscriptionCharge
        fields = CHARGE
        read_only_fields = fields


class SubscriptionChargeRead(PreviewedCharge):
    class Meta:
        model = SubscriptionCharge
        fields = ("id", "item", *CHARGE, "created_at")
        read_only_fields = fields


class SubscriptionPreview(serializers.Serializer):
    """What would be charged now, and at the beginning of the next period (null: there is none).

    The totals are of the prices before tax, and of those that include it.
    """

    currency = serializers.CharField(source="subscription.currency", read_only=True)
    charges = PreviewedCharge(many=True, read_only=True)
    total_amount = fields.MoneyAmountField(
        source="total", currency_source="subscription.currency", read_only=True
    )
    inclusive_total_amount = fields.MoneyAmountField(
        source="inclusive_total", currency_source="subscription.currency", read_only=True
    )
    next_on = fields.StrictDateField(read_only=True)
    next_charges = PreviewedCharge(many=True, read_only=True)
    next_total_amount = fields.MoneyAmountField(
        source="next_total", currency_source="subscription.currency", read_only=True
    )
    next_inclusive_total_amount = fields.MoneyAmountField(
        source="next_inclusive_total", currency_source="subscription.currency", read_only=True
    )


class SubscriptionTerms(StrictSerializer):
    """Without `starts_on` it starts today, where the customer is; without `currency` in the customer's own."""

    entity = EntityField(help_text="The customer.")
    plan = fields.IdField(help_text="A plan of the customer's seller.")
    starts_on = fields.StrictDateField(required=False)
    quantity = fields.ExactAmountField(min_value=0, required=False, help_text="Default: 1.")
    currency = fields.CurrencyCodeField(required=False)
    alignment = fields.StrictChoiceField(choices=Alignment.choices, required=False)
    trial_days = fields.StrictIntegerField(
        min_value=0, max_value=TRIAL_DAYS_MAX, required=False, help_text="Default: the plan's. 0 for none."
    )
    department = DepartmentField(required=False, help_text="Who is charged, of the customer's departments.")
    reference = fields.StrictCharField(
        max_length=200, required=False, help_text="Your own id of it: the seller has it once."
    )
    metadata = serializers.DictField(required=False)


class SubscriptionUpdate(StrictSerializer):
    metadata = serializers.DictField(required=False)


class OnDay(StrictSerializer):
    on = fields.StrictDateField(
        required=False, help_text="Today unless named; or an earlier day of the open period."
    )


class ChangeTerms(OnDay):
    """Another plan, another quantity, or both. What is not named stays."""

    plan = fields.IdField(required=False)
    quantity = fields.ExactAmountField(min_value=0, required=False)
    at_period_end = fields.StrictBooleanField(required=False, help_text="Wait for the next period.")
    use_current_prices = fields.StrictBooleanField(
        required=False, help_text="Take the prices in force, also for products that stay on the same plan."
    )


class CancelTerms(OnDay):
    """`on` is the first day that is no longer covered."""

    at_period_end = fields.StrictBooleanField(required=False, help_text="Wait for the end of the period.")
    credit_unused = fields.StrictBooleanField(
        required=False, help_text="Default: true. False keeps what was charged in advance."
    )


class SubscriptionCancel(CancelTerms):
    reason = fields.StrictCharField(max_length=1000, required=False, multiline=True)


class OfEntity(StrictSerializer):
    include_descendants = fields.StrictBooleanField(
        required=False, help_text="Also those of every entity below it that you reach."
    )
