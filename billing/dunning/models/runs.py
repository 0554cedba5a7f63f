"""Dunning runs: which customers a day's run has been through, and whom it could not deal with."""

from django.db import models
from django.db.models import Q

from billing.dunning.states import ItemState, RunState
from billing.entities.models import BillingEntity
from billing.kernel.models import BaseModel, LockableQuerySet
from billing.kernel.triggers import never_truncated, touched


class DunningRun(BaseModel):
    """One seller's dunning as of one day."""

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="dunning_runs")
    as_of = models.DateField()
    state = models.CharField(max_length=8, choices=RunState, default=RunState.RUNNING)
    requested_by = models.CharField(max_length=128)
    finished_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "dunning_runs"
        constraints = [
            models.UniqueConstraint(fields=["seller", "as_of"], name="one_dunning_run_per_day"),
            models.CheckConstraint(name="dunning_run_state_known", condition=Q(state__in=RunState.values)),
            models.CheckConstraint(
                name="dunning_run_finished_iff_dated",
                condition=Q(state=RunState.RUNNING, finished_at__isnull=True)
                | Q(state=RunState.FINISHED, finished_at__isnull=False),
            ),
        ]
        triggers = [touched(), never_truncated()]

    def __str__(self) -> str:
        return f"dunning as of {self.as_of}"

    @property
    def entity_id(self):
        return self.seller_id


class DunningRunItem(models.Model):
    """One customer in a run."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(DunningRun, models.PROTECT, related_name="items")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=ItemState, default=ItemState.PENDING)
    failure = models.JSONField(null=True, help_text="Why it failed: code and detail.")

    objects = LockableQuerySet.as_manager()

    class Meta:
        db_table = "dunning_run_items"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["run", "customer"], name="one_dunning_item_per_customer"),
            models.CheckConstraint(
                name="dunning_item_failed_iff_told",
                condition=Q(state=ItemState.FAILED, failure__isnull=False)
                | Q(state__in=[ItemState.PENDING, ItemState.DONE], failure__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} ({self.state})"
