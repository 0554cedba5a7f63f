"""Billing runs and their customers."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing.entities.models import BillingEntity
from billing.invoicing.states import RunItemState, RunState
from billing.kernel.models import BaseModel
from billing.kernel.triggers import audited, never_deleted, touched


class BillingRun(BaseModel):
    """Everything due for one seller as of a day. Running it again finishes it or finds nothing to do."""

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="billing_runs")
    as_of = models.DateField()
    state = models.CharField(max_length=8, choices=RunState, default=RunState.RUNNING)
    requested_by = models.CharField(max_length=128)
    continued_at = models.DateTimeField(db_default=Now())  # since when it runs: it was started, or again
    finished_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "billing_runs"
        permissions = [("run_billing", "Can run billing")]
        constraints = [
            models.UniqueConstraint(fields=["seller", "as_of"], name="one_run_per_seller_and_day"),
            models.CheckConstraint(name="run_state_known", condition=Q(state__in=RunState.values)),
        ]
        triggers = [touched(), never_deleted(), *audited(entity="seller_id")]

    def __str__(self) -> str:
        return f"Billing run as of {self.as_of}"

    @property
    def entity_id(self):
        """A run is the seller's business."""
        return self.seller_id


class BillingRunItem(BaseModel):
    """One customer in a run: done with its invoices, or failed with the reason, and retryable."""

    run = models.ForeignKey(BillingRun, models.PROTECT, related_name="items")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=RunItemState, default=RunItemState.PENDING)
    invoices_issued = models.PositiveIntegerField(default=0)
    failure = models.JSONField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "billing_run_items"
        verbose_name = "customer of a billing run"
        verbose_name_plural = "customers of billing runs"
        constraints = [
            models.UniqueConstraint(fields=["run", "customer"], name="one_item_per_customer"),
            models.CheckConstraint(name="run_item_state_known", condition=Q(state__in=RunItemState.values)),
        ]
        indexes = [  # what a worker looks for a thousand times, among a hundred thousand that are done
            models.Index(
                fields=["run", "id"], name="run_item_pending", condition=Q(state=RunItemState.PENDING)
            )
        ]
        triggers = [touched(), never_deleted()]

    def __str__(self) -> str:
        return f"{self.customer} in the {str(self.run).lower()}"

    @property
    def entity_id(self):
        """What became of a customer is the seller's business."""
        return self.run.seller_id
