"""Which GL code cost is posted under."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Func, Q, UUIDField, Value
from django.db.models.functions import Coalesce

from billing.entities.models import BillingEntity, Department
from billing.kernel.models import BaseModel
from billing.kernel.ranges import days, one_text, one_uuid
from billing.kernel.triggers import audited, frozen, never_truncated, touched
from billing.subscriptions.models import Product
from billing.tax.core.tax import TaxTreatment

NONE = Value("00000000-0000-0000-0000-000000000000", output_field=UUIDField())


def _one_or_none(field: str) -> Func:
    """A uuid that may be missing, as a range of one: two that are missing are equal."""
    named = Coalesce(F(field), NONE)
    return Func(named, named, Value("[]"), function="uuidrange")


class GLCodeMapping(BaseModel):
    """The GL code of what is billed to an entity or one below it, from a day until another, exclusive.

    An empty product, department or tax category means any. Only the end may change, and only come nearer.
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="gl_code_mappings")
    product = models.ForeignKey(Product, models.PROTECT, null=True, blank=True, related_name="+")
    department = models.ForeignKey(Department, models.PROTECT, null=True, blank=True, related_name="+")
    tax_category = models.CharField(max_length=2, choices=TaxTreatment, blank=True)
    gl_code = models.CharField("GL code", max_length=64)
    starts_on = models.DateField(help_text="The first day on which a line's service may start.")
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive; empty: until further notice.")

    class Meta(BaseModel.Meta):
        db_table = "gl_code_mappings"
        verbose_name = "GL code mapping"
        permissions = [
            ("create_gl_code_mapping", "Can add GL code mappings"),
            ("end_gl_code_mapping", "Can end GL code mappings"),
        ]
        constraints = [
            models.CheckConstraint(
                name="gl_code_mapping_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            models.CheckConstraint(name="gl_code_mapping_has_code", condition=~Q(gl_code="")),
            models.CheckConstraint(
                name="gl_code_mapping_tax_known", condition=Q(tax_category__in=["", *TaxTreatment.values])
            ),
            models.CheckConstraint(
                name="gl_code_mapping_names_something",
                condition=Q(product__isnull=False) | Q(department__isnull=False) | ~Q(tax_category=""),
            ),
            ExclusionConstraint(
                name="one_gl_code_mapping_at_a_time",
                expressions=[
                    (one_uuid("entity_id"), RangeOperators.OVERLAPS),
                    (_one_or_none("product_id"), RangeOperators.OVERLAPS),
                    (_one_or_none("department_id"), RangeOperators.OVERLAPS),
                    (one_text("tax_category"), RangeOperators.OVERLAPS),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="There is a GL code for the same at that time.",
            ),
        ]
        triggers = [
            touched(),
            never_truncated(),
            frozen(when="true", except_for=("ends_on",)),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.gl_code} from {self.starts_on}"
