"""Shapes on the wire. Input serializers check form; whether it is allowed is the service's business."""

from decimal import Decimal

from rest_framework import serializers

from billing.entities.api.fields import EntityField
from billing.kernel.api import fields
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.subscriptions.models import (
    Basis,
    Interval,
    Plan,
    PlanItem,
    Price,
    PriceModel,
    Product,
    TaxCategory,
    Timing,
)
from billing.subscriptions.services import INTERVAL_COUNT_MAX, ITEMS_MAX, TIERS_MAX, TRIAL_DAYS_MAX

CODE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"


GOODS = (
    "Something that is sent to the customer; else a service. Decides the tax between member states of the EU."
)


class ProductRead(ReadSerializer):
    class Meta:
        model = Product
        fields = (
            "id",
            "entity",
            "code",
            "name",
            "unit",
            "tax_category",
            "is_goods",
            "gl_code",
            "is_active",
            "metadata",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class ProductUpdate(StrictSerializer):
    name = fields.StrictCharField(max_length=200)
    unit = fields.StrictCharField(max_length=32)
    tax_category = fields.StrictChoiceField(choices=TaxCategory.choices)
    is_goods = fields.StrictBooleanField(required=False, help_text=GOODS)
    gl_code = fields.StrictCharField(max_length=64, allow_blank=True)
    is_active = fields.StrictBooleanField()
    metadata = serializers.DictField(required=False)


class ProductCreate(StrictSerializer):
    entity = EntityField(help_text="The seller.")
    code = serializers.RegexField(CODE)
    name = fields.StrictCharField(max_length=200)
    unit = fields.StrictCharField(max_length=32, default="unit")
    tax_category = fields.StrictChoiceField(choices=TaxCategory.choices, default=TaxCategory.STANDARD)
    is_goods = fields.StrictBooleanField(default=False, help_text=GOODS)
    gl_code = fields.StrictCharField(max_length=64, allow_blank=True, default="")
    metadata = serializers.DictField(default=dict)


class TierFigure(fields.ExactAmountField):
    """Tiers are kept as text, and leave as they were kept."""

    def to_internal_value(self, data: object) -> str:
        super().to_internal_value(data)
        return data

    def to_representation(self, value: str) -> str:
        return super().to_representation(Decimal(value))


class Tier(StrictSerializer):
    """From the previous tier's `up_to` (excluded) to this one's (included)."""

    up_to = TierFigure(allow_null=True, min_value=0, help_text="null in the last tier: it has no end.")
    unit_price = TierFigure(min_value=0, help_text="For each unit.")
    flat_amount = TierFigure(min_value=0, default="0", help_text="Once, as soon as the tier is reached.")


class PriceRead(ReadSerializer):
    tiers = Tier(many=True, allow_null=True, read_only=True)

    class Meta:
        model = Price
        fields = (
            "id",
            "product",
            "plan",
            "number",
            "currency",
            "model",
            "tax_inclusive",
            "flat_amount",
            "unit_price",
            "package_size",
            "free_quantity",
            "percent",
            "per_event_amount",
            "free_events",
            "free_amount",
            "minimum_amount",
            "maximum_amount",
            "tiers",
            "markup_percent",
            "starts_on",
            "created_at",
        )
        read_only_fields = fields


def figure(help_text: str) -> fields.ExactAmountField:
    return fields.ExactAmountField(required=False, allow_null=True, help_text=help_text)


class PriceCreate(StrictSerializer):
    """The figures of the model and no others; null is as good as leaving one out."""

    currency = fields.CurrencyCodeField()
    model = fields.StrictChoiceField(choices=PriceModel.choices)
    tax_inclusive = fields.StrictBooleanField(
        default=False, help_text="Whether the figures include tax; never those of pass_through."
    )
    plan = fields.IdField(
        source="plan_id",
        required=False,
        allow_null=True,
        help_text="The plan it is the price on; none for the list price.",
    )
    flat_amount = figure("flat: per period, whatever the quantity.")
    unit_price = figure("per_unit: per unit; package: per package.")
    package_size = figure("package: the units in one. A begun package counts.")
    free_quantity = figure("package, optional: units that cost nothing.")
    percent = figure("percentage: 2.9 is 2.9 % of the amount used.")
    per_event_amount = figure("percentage, optional: besides, for each event.")
    free_events = fields.StrictIntegerField(
        required=False, allow_null=True, min_value=0, help_text="percentage, optional: events without that."
    )
    free_amount = figure("percentage, optional: what costs nothing of the amount used.")
    minimum_amount = figure("percentage, optional: at least, per period in which something was used.")
    maximum_amount = figure("percentage, optional: at most, per period.")
    tiers = Tier(
        many=True,
        required=False,
        allow_null=True,
        max_length=TIERS_MAX,
        help_text="graduated, volume: ascending, the last one open.",
    )
    markup_percent = figure("pass_through: on the cost; 12.5 is 12.5 %.")
    starts_on = fields.StrictDateField()


class QuoteQuestion(StrictSerializer):
    quantity = fields.ExactAmountField(
        min_value=0, help_text="Units; an amount of money for a percentage or pass-through price."
    )
    currency = fields.CurrencyCodeField()
    on = fields.StrictDateField(required=False, help_text="The day; today at the seller's if left out.")
    plan = fields.IdField(required=False, help_text="Its price, if it has one; else the list price.")
    events = fields.StrictIntegerField(default=0, min_value=0, help_text="For a percentage price.")


class QuoteStep(serializers.Serializer):
    """Where quantity and unit price are given, their product is the amount."""

    label = serializers.CharField()
    quantity = fields.ExactAmountField(allow_null=True)
    unit_price = fields.ExactAmountField(allow_null=True)
    amount = fields.ExactAmountField()


class QuoteAnswer(serializers.Serializer):
    """`exact_amount` is the sum of the steps, `amount` is it rounded half-up to the currency's unit; with tax if the
    price is `tax_inclusive`."""

    product = serializers.UUIDField(source="price.product_id")
    price = PriceRead()
    quantity = fields.ExactAmountField()
    events = serializers.IntegerField()
    currency = serializers.CharField(source="price.currency")
    exact_amount = fields.ExactAmountField()
    amount = fields.MoneyAmountField(currency_source="price.currency")
    steps = QuoteStep(many=True)


class PlanItemRead(ReadSerializer):
    code = serializers.CharField(source="product.code")

    class Meta:
        model = PlanItem
        fields = ("position", "product", "code", "timing", "basis")
        read_only_fields = fields


class PlanRead(ReadSerializer):
    items = PlanItemRead(many=True, read_only=True)

    class Meta:
        model = Plan
        fields = (
            "id",
            "entity",
            "code",
            "name",
            "interval",
            "interval_count",
            "trial_days",
            "items",
            "is_active",
            "metadata",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class PlanItemCreate(StrictSerializer):
    product = fields.IdField(source="product_id")
    timing = fields.StrictChoiceField(
        choices=Timing.choices, help_text="What is charged by usage or seats is billed in_arrears."
    )
    basis = fields.StrictChoiceField(
        choices=Basis.choices,
        help_text="The quantity it is priced at: one, the subscribed one, what the meters count, seats.",
    )


class PlanCreate(StrictSerializer):
    entity = EntityField(help_text="The seller.")
    code = serializers.RegexField(CODE)
    name = fields.StrictCharField(max_length=200)
    interval = fields.StrictChoiceField(choices=Interval.choices)
    interval_count = fields.StrictIntegerField(
        default=1, min_value=1, max_value=INTERVAL_COUNT_MAX, help_text="3 months are a quarter."
    )
    trial_days = fields.StrictIntegerField(default=0, min_value=0, max_value=TRIAL_DAYS_MAX)
    items = PlanItemCreate(many=True, allow_empty=False, max_length=ITEMS_MAX)
    metadata = serializers.DictField(default=dict)


class PlanUpdate(StrictSerializer):
    name = fields.StrictCharField(max_length=200)
    trial_days = fields.StrictIntegerField(min_value=0, max_value=TRIAL_DAYS_MAX)
    is_active = fields.StrictBooleanField(help_text="Whether it can be subscribed to.")
    metadata = serializers.DictField(required=False)
