"""Which line bills a late fee: nothing is billed twice."""

from django.db import models
from django.db.models import Q

from billing.dunning.models.cases import LateFee
from billing.dunning.triggers import claimed_unless_waived, line_has_the_fees_amount
from billing.invoicing.models import InvoiceLine
from billing.invoicing.triggers import claims_follow_invoice
from billing.kernel.models import LockableQuerySet
from billing.kernel.triggers import never_truncated


class LateFeeClaim(models.Model):
    """Which line bills a late fee. A fee is in at most one live line; it goes with a draft, and is released with
    a void invoice."""

    id = models.BigAutoField(primary_key=True)
    fee = models.ForeignKey(LateFee, models.PROTECT, related_name="claims")
    line = models.OneToOneField(InvoiceLine, models.CASCADE, related_name="late_fee_claim")
    released_at = models.DateTimeField(null=True)

    objects = LockableQuerySet.as_manager()

    class Meta:
        db_table = "late_fee_claims"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["fee"], name="late_fee_billed_once", condition=Q(released_at__isnull=True)
            ),
        ]
        triggers = [
            *claims_follow_invoice("fee_id"),
            claimed_unless_waived(),
            line_has_the_fees_amount(),
            never_truncated(),
        ]

    def __str__(self) -> str:
        return f"{self.fee_id} in {self.line_id}"
