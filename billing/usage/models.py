"""What was used: meters, events as they were reported, and quotas."""

from decimal import Decimal

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Lower, Now

from billing.entities.models import BillingEntity, Department
from billing.kernel.fields import CurrencyField, ExactField, array_up_to, finite
from billing.kernel.models import AppendOnlyModel, BaseModel, LockableQuerySet
from billing.kernel.money import plain
from billing.kernel.triggers import append_only, audited, never_deleted, never_truncated, touched
from billing.subscriptions.models import Product, Subscription

FILTERS_MAX, GROUPS_MAX, PROPERTY_LENGTH, VALUE_LENGTH = 10, 5, 100, 200


class Aggregation(models.TextChoices):
    """What the usage of a period is: of its events' quantities, or how many there are."""

    SUM = "sum"
    COUNT = "count"
    MAX = "max"
    LATEST = "latest"
    UNIQUE_COUNT = "unique_count"  # how many different values a property had


class LatePolicy(models.TextChoices):
    """What becomes of an event that is reported after its time. The first two are a matter of invoicing."""

    SAME_INVOICE_IF_DRAFT = "same_invoice_if_draft"
    ADJUST_NEXT = "adjust_next"
    REJECT_AFTER_DAYS = "reject_after_days"


def definition_stays() -> pgtrigger.Trigger:
    """What events were counted by cannot change behind them."""
    return pgtrigger.Trigger(
        name="definition_stays",
        when=pgtrigger.Before,
        operation=pgtrigger.UpdateOf("aggregation", "filters", "group_by", "counted_property"),
        func="""
            IF (NEW.aggregation, NEW.filters, NEW.group_by, NEW.counted_property)
               IS DISTINCT FROM (OLD.aggregation, OLD.filters, OLD.group_by, OLD.counted_property)
               AND EXISTS (SELECT FROM usage_events WHERE meter_id = OLD.id) THEN
                RAISE EXCEPTION 'a meter with events counts as it did' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NEW;
        """,
    )


class Meter(BaseModel):
    """What is counted, how, and which product it is billed as. Belongs to the seller."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="meters")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    product = models.ForeignKey(Product, models.PROTECT, related_name="meters")
    aggregation = models.CharField(max_length=12, choices=Aggregation, default=Aggregation.SUM)
    counted_property = models.CharField(
        max_length=PROPERTY_LENGTH, blank=True, help_text="Whose different values a unique count counts."
    )
    filters = models.JSONField(
        default=list,
        blank=True,
        help_text="An event counts if each of these properties has one of its values.",
    )
    group_by = models.JSONField(
        default=list, blank=True, help_text="Properties: each combination of values is counted by itself."
    )
    allows_negative = models.BooleanField(
        default=False, help_text="May a negative quantity correct what was reported?"
    )
    late_policy = models.CharField(
        max_length=21, choices=LatePolicy, default=LatePolicy.SAME_INVOICE_IF_DRAFT
    )
    late_days = models.PositiveSmallIntegerField(null=True, blank=True)
    unit = models.CharField(max_length=32)
    is_active = models.BooleanField(default=True)

    class Meta(BaseModel.Meta):
        db_table = "meters"
        permissions = [("create_meter", "Can create meters"), ("update_meter", "Can change meters")]
        constraints = [
            models.UniqueConstraint("entity", Lower("code"), name="meter_code_unique"),
            models.CheckConstraint(
                name="meter_aggregation_known", condition=Q(aggregation__in=Aggregation.values)
            ),
            models.CheckConstraint(
                name="meter_counts_a_property_iff_unique",
                condition=Q(aggregation=Aggregation.UNIQUE_COUNT) & ~Q(counted_property="")
                | ~Q(aggregation=Aggregation.UNIQUE_COUNT) & Q(counted_property=""),
            ),
            array_up_to("meter_filters_are_a_list", "filters", FILTERS_MAX),
            array_up_to("meter_groups_are_a_list", "group_by", GROUPS_MAX),
            models.CheckConstraint(
                name="meter_negative_only_in_sums",
                condition=Q(allows_negative=False) | Q(aggregation=Aggregation.SUM),
            ),
            models.CheckConstraint(
                name="meter_late_policy_known", condition=Q(late_policy__in=LatePolicy.values)
            ),
            models.CheckConstraint(
                name="meter_late_days_iff_rejecting",
                condition=Q(late_policy=LatePolicy.REJECT_AFTER_DAYS, late_days__isnull=False)
                | ~Q(late_policy=LatePolicy.REJECT_AFTER_DAYS) & Q(late_days__isnull=True),
            ),
        ]
        triggers = [touched(), never_deleted(), definition_stays(), *audited()]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class UsageKey(models.Model):
    """That a source has reported a transaction: unique for ever, over all the partitions of the events."""

    event_id = models.UUIDField(primary_key=True)
    source = models.CharField(max_length=100)
    transaction_id = models.CharField(max_length=200)
    billed_on = models.DateField(help_text="Says in which partition the event is.")
    fingerprint = models.CharField(
        max_length=64, help_text="SHA-256 of the content: a repeat must be the same."
    )

    class Meta:
        db_table = "usage_keys"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["source", "transaction_id"], name="one_event_per_transaction")
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.source} {self.transaction_id}"


def has_its_key() -> pgtrigger.Trigger:
    """What no key stands for could be recorded a second time. One look per statement, not per row."""
    return pgtrigger.Trigger(
        name="has_its_key",
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert,
        referencing=pgtrigger.Referencing(new="new_rows"),
        func="""
            IF EXISTS (
                SELECT FROM new_rows n LEFT JOIN usage_keys k ON k.event_id = n.id
                WHERE (k.source, k.transaction_id, k.billed_on, k.fingerprint)
                      IS DISTINCT FROM (n.source, n.transaction_id, n.billed_on, n.fingerprint)
            ) THEN
                RAISE EXCEPTION 'a usage event has its key' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NULL;
        """,
    )


class UsageEvent(AppendOnlyModel):
    """One thing that was used, as its source reported it. Partitioned by the month of `billed_on`.

    In the database the key is (id, billed_on): the partitions share no index. `UsageKey` keeps events unique.
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="usage_events", db_index=False)
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="events")
    department = models.ForeignKey(Department, models.PROTECT, null=True, related_name="usage_events")
    source = models.CharField(max_length=100)
    transaction_id = models.CharField(max_length=200)
    occurred_at = models.DateTimeField()
    billed_on = models.DateField(
        help_text="The day, in the entity's time zone, whose billing period the event falls into."
    )
    quantity = ExactField()
    cost = ExactField(null=True, help_text="What it cost, exactly, for products passed through.")
    currency = CurrencyField(blank=True, help_text="Of the cost.")
    properties = models.JSONField(default=dict)
    subscription = models.ForeignKey(
        Subscription,
        models.PROTECT,
        null=True,
        related_name="usage_events",
        db_index=False,
        help_text="What it was used under, where it was said.",
    )
    fingerprint = models.CharField(
        max_length=64, help_text="SHA-256 of the content: a repeat must be the same."
    )
    counts = models.BooleanField(
        db_default=True, help_text="Does it match the meter's filters? Else it is kept, and nothing more."
    )
    group_values = models.JSONField(
        db_default=Value({}, models.JSONField()), help_text="The properties the meter groups by, as text."
    )
    group_key = models.CharField(
        max_length=64, db_default="", blank=True, help_text="SHA-256 of the group's values; empty for none."
    )

    class Meta(AppendOnlyModel.Meta):
        db_table = "usage_events"
        permissions = [("record_usage", "Can record usage"), ("import_usage", "Can import usage files")]
        constraints = [
            finite("usage_event_finite", "quantity", "cost"),
            models.CheckConstraint(
                name="usage_cost_iff_currency",
                condition=Q(cost__isnull=True, currency="") | (Q(cost__isnull=False) & ~Q(currency="")),
            ),
        ]
        indexes = [
            models.Index(fields=["entity", "billed_on", "meter"], name="usage_by_entity_and_day"),
            models.Index(
                fields=["subscription"], name="usage_by_subscription", condition=Q(subscription__isnull=False)
            ),
        ]
        triggers = [*append_only(), has_its_key()]

    def __str__(self) -> str:
        return f"{self.source} {self.transaction_id}"


class UsageRollup(models.Model):
    """What counts of one entity, meter and day, added up. Moves in the statement that stores the events.

    Sums are wider than an event's quantity: no number of events overflows them.
    """

    id = models.BigAutoField(primary_key=True)
    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+", db_index=False)
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="+", db_index=False)
    billed_on = models.DateField()
    department = models.ForeignKey(Department, models.PROTECT, null=True, related_name="+", db_index=False)
    currency = CurrencyField(blank=True, help_text="Of the cost.")
    group_key = models.CharField(max_length=64, blank=True)
    group_values = models.JSONField(default=dict)
    event_count = models.PositiveBigIntegerField()
    quantity = models.DecimalField(max_digits=40, decimal_places=12)
    cost = models.DecimalField(max_digits=40, decimal_places=12, null=True)
    maximum = ExactField()
    latest_at = models.DateTimeField()
    latest_event_id = models.UUIDField(help_text="Of two events of one moment, the one with the greater id.")
    latest_quantity = ExactField()

    class Meta:
        db_table = "usage_rollups"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "billed_on", "meter", "department", "currency", "group_key"],
                name="one_rollup_per_day",
                nulls_distinct=False,
            ),
            models.CheckConstraint(name="rollup_of_some_event", condition=Q(event_count__gt=0)),
            models.CheckConstraint(
                name="rollup_cost_iff_currency",
                condition=Q(cost__isnull=True, currency="") | (Q(cost__isnull=False) & ~Q(currency="")),
            ),
            finite("rollup_finite", "maximum", "latest_quantity"),
        ]
        triggers = [never_deleted(), never_truncated()]

    def __str__(self) -> str:
        return f"{self.event_count} on {self.billed_on}"


class UsageUnique(models.Model):
    """That a value of the counted property occurred on a day. By day, so that any period can be counted exactly."""

    id = models.BigAutoField(primary_key=True)
    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+", db_index=False)
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="+", db_index=False)
    value = models.CharField(max_length=VALUE_LENGTH)
    billed_on = models.DateField()
    department = models.ForeignKey(Department, models.PROTECT, null=True, related_name="+", db_index=False)
    currency = CurrencyField(blank=True)
    group_key = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "usage_uniques"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["entity", "meter", "value", "billed_on", "department", "currency", "group_key"],
                name="one_unique_per_day",
                nulls_distinct=False,
            )
        ]
        indexes = [models.Index(fields=["entity", "billed_on", "meter"], name="unique_by_entity_and_day")]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.value} on {self.billed_on}"


class QuotaWindow(models.TextChoices):
    DAY = "day"
    MONTH = "month"
    EVER = "ever"


class QuotaMode(models.TextChoices):
    BLOCK = "block"
    WARN = "warn"


def usual_thresholds() -> list[int]:
    return [80, 100]


class Quota(BaseModel):
    """How much of a meter an entity may use in a window of its own calendar.

    That `thresholds` ascend, from 1 to 1000 and at most ten, a CHECK of the migration holds.
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="quotas")
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="quotas")
    window = models.CharField(max_length=5, choices=QuotaWindow, default=QuotaWindow.MONTH)
    mode = models.CharField(max_length=5, choices=QuotaMode, default=QuotaMode.BLOCK)
    limit_quantity = ExactField()
    thresholds = ArrayField(
        models.PositiveSmallIntegerField(),
        default=usual_thresholds,
        blank=True,
        help_text="Percents of the limit at which an alert is raised, ascending.",
    )

    class Meta(BaseModel.Meta):
        db_table = "quotas"
        permissions = [("set_quota", "Can set quotas")]
        constraints = [
            models.UniqueConstraint(fields=["entity", "meter"], name="one_quota_per_meter"),
            finite("quota_finite", "limit_quantity"),
            models.CheckConstraint(name="quota_not_negative", condition=Q(limit_quantity__gte=0)),
            models.CheckConstraint(name="quota_window_known", condition=Q(window__in=QuotaWindow.values)),
            models.CheckConstraint(name="quota_mode_known", condition=Q(mode__in=QuotaMode.values)),
        ]
        triggers = [touched(), never_deleted(), *audited()]

    def __str__(self) -> str:
        return f"{plain(self.limit_quantity)} per {self.window}"


class QuotaCounter(models.Model):
    """What a quota has counted in one window. Moves only by one conditional UPDATE, in the event's transaction."""

    id = models.BigAutoField(primary_key=True)
    quota = models.ForeignKey(Quota, models.PROTECT, related_name="counters")
    starts_on = models.DateField()
    used_quantity = ExactField(default=0)
    ceiling = ExactField(null=True, help_text="The limit while the quota blocks; empty while it only warns.")
    latest_at = models.DateTimeField(null=True, help_text="When the level of a latest-level meter was so.")
    latest_event_id = models.UUIDField(null=True)

    objects = LockableQuerySet.as_manager()

    class Meta:
        db_table = "quota_counters"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["quota", "starts_on"], name="one_counter_per_window"),
            finite("quota_counter_finite", "used_quantity", "ceiling"),
            models.CheckConstraint(name="quota_counter_not_negative", condition=Q(used_quantity__gte=0)),
            models.CheckConstraint(
                name="quota_never_exceeded",
                condition=Q(ceiling__isnull=True) | Q(used_quantity__lte=F("ceiling")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.used_quantity} since {self.starts_on}"


class QuotaAlert(AppendOnlyModel):
    """That a quota's use reached a threshold. Raised once per window, in the transaction of the usage."""

    quota = models.ForeignKey(Quota, models.PROTECT, related_name="alerts")
    window = models.CharField(max_length=5, choices=QuotaWindow)
    starts_on = models.DateField(help_text="The first day of the window.")
    threshold = models.PositiveSmallIntegerField(help_text="Percent of the limit.")
    limit_quantity = ExactField()
    used_quantity = ExactField()
    raised_at = models.DateTimeField(db_default=Now())

    class Meta(AppendOnlyModel.Meta):
        db_table = "quota_alerts"
        constraints = [
            models.UniqueConstraint(
                fields=["quota", "window", "starts_on", "threshold"], name="one_alert_per_threshold"
            ),
            finite("quota_alert_finite", "limit_quantity", "used_quantity"),
            models.CheckConstraint(
                name="quota_alert_was_reached",
                condition=Q(used_quantity__gt=0)
                & Q(used_quantity__gte=F("limit_quantity") * F("threshold") / Value(Decimal(100))),
            ),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.threshold} % of {plain(self.limit_quantity)}"

    @property
    def entity_id(self):
        """An alert is within reach of those who reach its quota's entity."""
        return self.quota.entity_id
