"""Shapes on the wire. Events come in by the thousand and are read by `billing.usage.rows`; their
serializers here are the documented shape."""

from rest_framework import serializers

from billing.entities.api.fields import EntityField
from billing.kernel.api import fields
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.usage.models import (
    FILTERS_MAX,
    GROUPS_MAX,
    PROPERTY_LENGTH,
    VALUE_LENGTH,
    Aggregation,
    LatePolicy,
    Meter,
    Quota,
    QuotaAlert,
    QuotaMode,
    QuotaWindow,
    UsageEvent,
)
from billing.usage.services import FORMATS
from billing.usage.totals import Granularity

CODE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"


class MeterFilterShape(StrictSerializer):
    """An event counts if the property, as text, is one of the values."""

    property = fields.StrictCharField(max_length=PROPERTY_LENGTH)
    values = serializers.ListField(
        child=fields.StrictCharField(max_length=VALUE_LENGTH), min_length=1, max_length=100
    )


class MeterRead(ReadSerializer):
    filters = MeterFilterShape(many=True)
    group_by = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Meter
        fields = (
            "id",
            "entity",
            "code",
            "name",
            "product",
            "aggregation",
            "counted_property",
            "filters",
            "group_by",
            "allows_negative",
            "late_policy",
            "late_days",
            "unit",
            "is_active",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class MeterDefinition(StrictSerializer):
    """How it counts. What is not given stays as it is; on a new meter it is the default.

    aggregation, counted_property, filters and group_by stay from the first event on. A unique count needs a
    counted_property, reject_after_days needs late_days; others take none.
    """

    aggregation = fields.StrictChoiceField(choices=Aggregation.choices, required=False)
    counted_property = fields.StrictCharField(max_length=PROPERTY_LENGTH, required=False, allow_blank=True)
    filters = MeterFilterShape(many=True, required=False, max_length=FILTERS_MAX)
    group_by = serializers.ListField(
        child=fields.StrictCharField(max_length=PROPERTY_LENGTH), required=False, max_length=GROUPS_MAX
    )
    allows_negative = fields.StrictBooleanField(required=False)
    late_policy = fields.StrictChoiceField(choices=LatePolicy.choices, required=False)
    late_days = fields.StrictIntegerField(min_value=1, max_value=3650, required=False, allow_null=True)


class MeterUpdate(MeterDefinition):
    name = fields.StrictCharField(max_length=200)
    product = fields.IdField(source="product_id")
    unit = fields.StrictCharField(max_length=32)
    is_active = fields.StrictBooleanField()


class MeterCreate(MeterDefinition):
    entity = EntityField(help_text="The seller.")
    code = serializers.RegexField(CODE)
    name = fields.StrictCharField(max_length=200)
    product = fields.IdField(source="product_id")
    unit = fields.StrictCharField(max_length=32)


class EventRead(ReadSerializer):
    class Meta:
        model = UsageEvent
        fields = (
            "id",
            "entity",
            "meter",
            "department",
            "source",
            "transaction_id",
            "occurred_at",
            "billed_on",
            "quantity",
            "cost",
            "currency",
            "properties",
            "subscription",
            "counts",
            "group_values",
            "created_at",
        )
        read_only_fields = fields


class EventReport(StrictSerializer):
    """One event, or `{"events": [...]}` with at most 10,000 of them."""

    source = serializers.CharField(max_length=100)
    transaction_id = serializers.CharField(max_length=200)
    entity = fields.IdField()
    meter = serializers.CharField(help_text="The code of a meter of the entity's seller.")
    occurred_at = fields.StrictDateTimeField()
    quantity = fields.ExactAmountField(required=False)
    cost = fields.ExactAmountField(required=False)
    currency = fields.CurrencyCodeField(required=False)
    department = fields.IdField(required=False)
    billed_on = fields.StrictDateField(required=False)
    properties = serializers.DictField(required=False)
    subscription = fields.IdField(required=False)


class EventOutcome(serializers.Serializer):
    transaction_id = serializers.CharField()
    status = serializers.ChoiceField(choices=["accepted", "duplicate", "conflict", "rejected"])
    code = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)
    event = serializers.UUIDField(required=False)
    remaining = fields.ExactAmountField(required=False)
    resets_at = fields.StrictDateTimeField(required=False)


class BatchOutcome(serializers.Serializer):
    results = EventOutcome(many=True)
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    conflicts = serializers.IntegerField()
    rejected = serializers.IntegerField()


class QuotaRead(ReadSerializer):
    thresholds = serializers.ListField(child=serializers.IntegerField())

    class Meta:
        model = Quota
        fields = (
            "id",
            "entity",
            "meter",
            "window",
            "mode",
            "limit_quantity",
            "thresholds",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class QuotaSet(StrictSerializer):
    entity = EntityField()
    meter = fields.IdField()
    limit_quantity = fields.ExactAmountField(min_value=0)
    window = fields.StrictChoiceField(choices=QuotaWindow.choices, default=QuotaWindow.MONTH)
    mode = fields.StrictChoiceField(choices=QuotaMode.choices, default=QuotaMode.BLOCK)
    thresholds = serializers.ListField(
        child=fields.StrictIntegerField(min_value=1, max_value=1000),
        required=False,
        max_length=10,
        help_text="Percents of the limit at which an alert is raised, ascending; 80 and 100 unless set.",
    )


class QuotaAlertRead(ReadSerializer):
    entity = serializers.UUIDField(source="quota.entity_id")
    meter = serializers.UUIDField(source="quota.meter_id")

    class Meta:
        model = QuotaAlert
        fields = (
            "id",
            "entity",
            "meter",
            "quota",
            "window",
            "starts_on",
            "threshold",
            "limit_quantity",
            "used_quantity",
            "raised_at",
        )
        read_only_fields = fields


class QuotaQuestion(StrictSerializer):
    entity = fields.IdField()
    meter = fields.IdField()
    quantity = fields.ExactAmountField(
        min_value=0,
        required=False,
        help_text="Would this much more fit? Of a count so many events, of a maximum or latest level the level.",
    )


class QuotaAnswer(serializers.Serializer):
    """Without a quota everything is allowed and fits, and the rest is null. A quota that warns allows what
    does not fit."""

    allowed = serializers.BooleanField()
    fits = serializers.BooleanField()
    quota = serializers.UUIDField(allow_null=True)
    limit_quantity = fields.ExactAmountField(allow_null=True)
    used_quantity = fields.ExactAmountField(allow_null=True)
    remaining = fields.ExactAmountField(allow_null=True)
    resets_at = fields.StrictDateTimeField(allow_null=True)


class Period(StrictSerializer):
    """Half-open: `period_end` is the first day after it."""

    period_start = fields.StrictDateField()
    period_end = fields.StrictDateField()

    def validate(self, period: dict) -> dict:
        if period["period_end"] <= period["period_start"]:
            raise serializers.ValidationError({"period_end": "Must be after period_start."})
        return period


class UsageQuestion(Period):
    meter = fields.IdField(required=False)
    granularity = fields.StrictChoiceField(choices=Granularity.choices, default=Granularity.TOTAL)
    group = fields.StrictBooleanField(default=False, help_text="By the properties the meters group by.")


class ImportOptions(StrictSerializer):
    """`mark_up`, `sub_accounts` and `gl_code` are for FOCUS files."""

    seller = fields.IdField()
    file_format = fields.StrictChoiceField(choices=FORMATS)
    mark_up = fields.ExactAmountField(required=False, help_text="Percent on the cost.")
    sub_accounts = fields.StrictChoiceField(choices=("departments", "entities"), default="departments")
    gl_code = fields.StrictCharField(max_length=64, default="")
    allow_old = fields.StrictBooleanField(default=False)


class MeterTotal(serializers.Serializer):
    """`quantity` is what the meter's aggregation makes of the events that count, in [starts_on, ends_on)."""

    meter = serializers.UUIDField()
    code = serializers.CharField()
    unit = serializers.CharField()
    aggregation = serializers.ChoiceField(choices=Aggregation.choices)
    starts_on = fields.StrictDateField()
    ends_on = fields.StrictDateField()
    group = serializers.DictField(child=serializers.CharField())
    event_count = serializers.IntegerField()
    quantity = fields.ExactAmountField()
    cost = fields.ExactAmountField(allow_null=True)
    currency = serializers.CharField()


class UsageTotals(serializers.Serializer):
    entity = serializers.UUIDField()
    period_start = fields.StrictDateField()
    period_end = fields.StrictDateField()
    granularity = serializers.ChoiceField(choices=Granularity.choices)
    results = MeterTotal(many=True)
