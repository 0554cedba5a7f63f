"""Who may decide for whom, from when to when, and what."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from approvals.models.requests import ApprovalRequest
from billing.kernel.fields import CurrencyField, IsPayable, MoneyField
from billing.kernel.models import BaseModel
from billing.kernel.triggers import audited, frozen, never_deleted, never_truncated, touched


class ApprovalDelegation(BaseModel):
    """From `starts_on` until before `ends_on` (days in UTC) the delegate may decide in the delegator's place: only
    requests of `kinds` (empty: all), only up to `amount` in `currency` (empty: the delegator's own limits), or
    only one request. The delegator may go on deciding himself. A delegate passes nothing on."""

    delegator = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="approvals_delegated"
    )
    delegate = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="approvals_received")
    starts_on = models.DateField()
    ends_on = models.DateField(help_text="Exclusive.")
    kinds = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    amount = MoneyField(null=True, blank=True)
    currency = CurrencyField(blank=True, default="")
    request = models.ForeignKey(
        ApprovalRequest, models.PROTECT, null=True, blank=True, related_name="delegations"
    )
    reason = models.TextField()
    revoked_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "approval_delegations"
        verbose_name = "stand-in"
        permissions = [("delegate_approvals", "Can let others decide in one's place")]
        constraints = [
            models.CheckConstraint(name="delegation_to_another", condition=~Q(delegate=F("delegator"))),
            models.CheckConstraint(
                name="delegation_ends_after_start", condition=Q(ends_on__gt=F("starts_on"))
            ),
            models.CheckConstraint(
                name="delegation_amount_has_currency",
                condition=Q(amount__isnull=True, currency="")
                | (Q(amount__isnull=False, amount__gte=0) & ~Q(currency="")),
            ),
            models.CheckConstraint(
                name="delegation_amount_payable",
                condition=Q(currency="") | Q(IsPayable(F("currency"), F("amount"))),
            ),
        ]
        indexes = [
            models.Index(
                fields=["delegate", "delegator"],
                name="delegations_live",
                condition=Q(revoked_at__isnull=True),
            )
        ]
        triggers = [
            touched(),
            frozen(name="delegation_is_final", when="true", except_for=("revoked_at",)),
            frozen(name="revoked_for_good", when="OLD.revoked_at IS NOT NULL", except_for=()),
            never_deleted(),
            never_truncated(),
            *audited(entity=""),
        ]

    def __str__(self) -> str:
        return f"{self.delegator} → {self.delegate}, {self.starts_on} to {self.ends_on}"
