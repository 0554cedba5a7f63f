"""What was used: meters, events as they were reported, and quotas."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from billing.entities.models import BillingEntity, Department
from billing.kernel.fields import CurrencyField, ExactField, finite
from billing.kernel.models import AppendOnlyModel, BaseModel, LockableQuerySet
from billing.kernel.money import plain
from billing.kernel.triggers import append_only, audited, never_deleted, touched
from billing.subscriptions.models import Product


class Aggregation(models.TextChoices):
    SUM = "sum"
    COUNT = "count"


class Meter(BaseModel):
    """What is counted, and which product it is billed as. Belongs to the seller."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="meters")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    product = models.ForeignKey(Product, models.PROTECT, related_name="meters")
    aggregation = models.CharField(max_length=8, choices=Aggregation, default=Aggregation.SUM)
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
        ]
        triggers = [touched(), never_deleted(), *audited()]

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
    fingerprint = models.CharField(
        max_length=64, help_text="SHA-256 of the content: a repeat must be the same."
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
        indexes = [models.Index(fields=["entity", "billed_on", "meter"], name="usage_by_entity_and_day")]
        triggers = [*append_only(), has_its_key()]

    def __str__(self) -> str:
        return f"{self.source} {self.transaction_id}"


class QuotaWindow(models.TextChoices):
    DAY = "day"
    MONTH = "month"
    EVER = "ever"


class QuotaMode(models.TextChoices):
    BLOCK = "block"
    WARN = "warn"


class Quota(BaseModel):
    """How much of a meter an entity may use in a window of its own calendar."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="quotas")
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="quotas")
    window = models.CharField(max_length=5, choices=QuotaWindow, default=QuotaWindow.MONTH)
    mode = models.CharField(max_length=5, choices=QuotaMode, default=QuotaMode.BLOCK)
    limit_quantity = ExactField()

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
