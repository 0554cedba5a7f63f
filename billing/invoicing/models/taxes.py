"""Tax rates, and the certificates by which customers pay none."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Q

from billing.entities.models import BillingEntity
from billing.kernel.models import BaseModel
from billing.kernel.ranges import days, one_text, one_uuid
from billing.kernel.triggers import (
    append_only,
    audited,
    frozen,
    never_truncated,
    touched,
)
from billing.subscriptions.models import TaxCategory


class TaxRate(BaseModel):
    """The percentage of a tax category in a country, from a day on until the next one."""

    country = models.CharField(max_length=2)
    category = models.CharField(max_length=1, choices=TaxCategory)
    percent = models.DecimalField(max_digits=7, decimal_places=4)
    starts_on = models.DateField()

    class Meta(BaseModel.Meta):
        db_table = "tax_rates"
        permissions = [("create_tax_rate", "Can add tax rates")]
        constraints = [
            models.UniqueConstraint(fields=["country", "category", "starts_on"], name="one_tax_rate_per_day"),
            models.CheckConstraint(name="tax_rate_within_100", condition=Q(percent__gte=0, percent__lte=100)),
        ]
        triggers = [*append_only(), *audited(entity="")]

    def __str__(self) -> str:
        return f"{self.country} {self.category} {self.percent} %"


class TaxExemption(BaseModel):
    """A certificate by which a customer pays no tax in a country, from a day until another, exclusive.

    Only its end may change: what was billed under it names it.
    """

    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="tax_exemptions")
    country = models.CharField(max_length=2, help_text="Whose tax the customer does not pay.")
    certificate = models.CharField(max_length=64, help_text="Its number, as printed on invoices (BT-120).")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive; empty: until further notice.")

    class Meta(BaseModel.Meta):
        db_table = "tax_exemptions"
        permissions = [
            ("create_tax_exemption", "Can add tax exemptions"),
            ("end_tax_exemption", "Can end tax exemptions"),
        ]
        constraints = [
            models.CheckConstraint(
                name="tax_exemption_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            models.CheckConstraint(name="tax_exemption_has_certificate", condition=~Q(certificate="")),
            ExclusionConstraint(
                name="one_tax_exemption_at_a_time",
                expressions=[
                    (one_uuid("customer_id"), RangeOperators.OVERLAPS),
                    (one_text("country"), RangeOperators.OVERLAPS),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The customer has a tax exemption for that country and time.",
            ),
        ]
        triggers = [
            touched(),
            never_truncated(),
            frozen(when="true", except_for=("ends_on",)),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"{self.certificate} ({self.country})"

    @property
    def entity_id(self):
        """An exemption is within reach of those who reach its customer."""
        return self.customer_id
