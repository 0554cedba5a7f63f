"""Whose cost it is, and under which GL code."""

from django.db import models
from django.db.models import Q

from billing.entities.models import BillingEntity, Department
from billing.invoicing.allocation.models.gl_codes import GLCodeMapping
from billing.invoicing.allocation.models.rules import AllocationRuleVersion
from billing.invoicing.allocation.models.runs import AllocationRun
from billing.invoicing.invoices.models import Invoice, InvoiceLine
from billing.invoicing.triggers import (
    allocations_sum_to_lines,
    posted_with_their_line,
)
from billing.kernel.fields import CurrencyField, MoneyField, payable
from billing.kernel.models import AppendOnlyModel
from billing.kernel.triggers import (
    append_only,
)


class AllocationBasis(models.TextChoices):
    """Why a share went where it went."""

    USAGE = "usage"  # the department's own usage
    ASSIGNED = "assigned"  # the department the subscription is for
    RULE = "rule"  # nobody named, or overridden: what a rule says
    STEP_DOWN = "stepdown"  # given on by a department that serves others
    DEFAULT = "default"  # nobody named: the entity's default department
    MANUAL = "manual"  # somebody moved it
    VOID = "void"  # taken back with its invoice
    CREDIT = "credit"  # taken back by a credit note


class GlSource(models.TextChoices):
    """Where the GL code of a share was found."""

    MAPPING = "mapping"
    PRODUCT = "product"
    DEPARTMENT = "department"
    SUSPENSE = "suspense"


class CostAllocation(AppendOnlyModel):
    """The posted share of one invoice line for one department. Reallocation reverses and posts anew."""

    line = models.ForeignKey(InvoiceLine, models.PROTECT, related_name="allocations")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="allocations")
    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="cost_allocations")
    department = models.ForeignKey(Department, models.PROTECT, related_name="cost_allocations")
    gl_code = models.CharField("GL code", max_length=64)
    net_amount = MoneyField()
    tax_amount = MoneyField()
    currency = CurrencyField()
    basis = models.CharField(max_length=8, choices=AllocationBasis)
    rule_version = models.ForeignKey(
        AllocationRuleVersion, models.PROTECT, null=True, related_name="allocations"
    )
    gl_source = models.CharField(max_length=10, choices=GlSource, blank=True, db_default="")
    gl_mapping = models.ForeignKey(GLCodeMapping, models.PROTECT, null=True, related_name="allocations")
    division = models.UUIDField(null=True, help_text="Shares that a rule made together of one amount.")
    weights = models.JSONField(
        null=True,
        help_text="What the rule's drivers weighed of this department, by position of the target, and in all.",
    )
    run = models.ForeignKey(AllocationRun, models.PROTECT, null=True, related_name="allocations")
    reverses = models.OneToOneField("self", models.PROTECT, null=True, related_name="reversed_by")
    credit_note = models.ForeignKey("CreditNote", models.PROTECT, null=True, related_name="allocations")
    reason = models.TextField(blank=True)

    class Meta(AppendOnlyModel.Meta):
        db_table = "cost_allocations"
        permissions = [("allocate_cost", "Can move cost to a department")]
        constraints = [
            payable("cost_allocation_payable", "net_amount", "tax_amount"),
            models.CheckConstraint(name="cost_allocation_has_gl_code", condition=~Q(gl_code="")),
            models.CheckConstraint(
                name="cost_allocation_credited_by_note",
                condition=Q(basis=AllocationBasis.CREDIT, credit_note__isnull=False, reverses__isnull=True)
                | (~Q(basis=AllocationBasis.CREDIT) & Q(credit_note__isnull=True)),
            ),
            models.CheckConstraint(
                name="cost_allocation_by_rule_names_it",
                condition=Q(reverses__isnull=False)
                | Q(basis=AllocationBasis.RULE, rule_version__isnull=False)
                | (~Q(basis=AllocationBasis.RULE) & Q(rule_version__isnull=True)),
            ),
            models.CheckConstraint(
                name="cost_allocation_divided_by_rule",
                condition=Q(division__isnull=True, weights__isnull=True)
                | Q(division__isnull=False, basis=AllocationBasis.RULE, reverses__isnull=True),
            ),
            models.CheckConstraint(
                name="cost_allocation_by_mapping_names_it",
                condition=Q(gl_source=GlSource.MAPPING, gl_mapping__isnull=False)
                | (~Q(gl_source=GlSource.MAPPING) & Q(gl_mapping__isnull=True)),
            ),
        ]
        indexes = [models.Index(fields=["department", "-id"], name="allocation_by_department")]
        triggers = [*append_only(), posted_with_their_line(), allocations_sum_to_lines()]

    def __str__(self) -> str:
        return f"{self.net_amount} {self.currency} to {self.department_id}"
