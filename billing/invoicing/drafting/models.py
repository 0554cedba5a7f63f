"""Which line bills what: nothing is billed twice."""

from django.db import models
from django.db.models import Q

from billing.invoicing.invoices.models import InvoiceLine
from billing.invoicing.triggers import (
    claims_follow_invoice,
    line_has_the_charges_amount,
)
from billing.kernel.triggers import (
    never_truncated,
)
from billing.subscriptions.models import SubscriptionCharge
from billing.usage.models import UsageEvent


class UsageClaim(models.Model):
    """Which line bills an event. An event is in at most one live line, for ever counted once."""

    id = models.BigAutoField(primary_key=True)
    # The database refers to the event's key instead: the events themselves are partitioned by month.
    event = models.ForeignKey(UsageEvent, models.PROTECT, related_name="claims", db_constraint=False)
    line = models.ForeignKey(InvoiceLine, models.CASCADE, related_name="claims")
    released_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "usage_claims"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["event"], name="event_billed_once", condition=Q(released_at__isnull=True)
            )
        ]
        triggers = [*claims_follow_invoice("event_id"), never_truncated()]

    def __str__(self) -> str:
        return f"{self.event_id} in {self.line_id}"


class ChargeClaim(models.Model):
    """Which line bills a subscription's charge. A charge is in at most one live line."""

    id = models.BigAutoField(primary_key=True)
    charge = models.ForeignKey(SubscriptionCharge, models.PROTECT, related_name="claims")
    line = models.ForeignKey(InvoiceLine, models.CASCADE, related_name="charge_claims")
    released_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "charge_claims"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["charge"], name="charge_billed_once", condition=Q(released_at__isnull=True)
            ),
            models.UniqueConstraint(fields=["line"], name="line_of_one_charge"),
        ]
        triggers = [*claims_follow_invoice("charge_id"), line_has_the_charges_amount(), never_truncated()]

    def __str__(self) -> str:
        return f"{self.charge_id} in {self.line_id}"
