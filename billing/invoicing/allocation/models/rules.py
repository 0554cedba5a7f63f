"""Rules of allocation: who bears what no department is named for, and since when."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from billing.entities.models import BillingEntity
from billing.invoicing.allocation.core.rules import Driver, TargetKind
from billing.invoicing.allocation.triggers.rules import ends_noted, targets_of_drafts_only, targets_sum_up
from billing.invoicing.invoices.models import LineKind
from billing.invoicing.states import RULE_MOVES, RuleState
from billing.kernel.fields import CurrencyField, IsPayable, MoneyField
from billing.kernel.models import BaseModel
from billing.kernel.ranges import days, one_uuid
from billing.kernel.states import pairs
from billing.kernel.triggers import audited, frozen, moves_only, never_truncated, touched
from billing.subscriptions.models import Product
from billing.usage.models import Meter

TARGET_KINDS = [(kind.value, kind.name.capitalize()) for kind in TargetKind]
DRIVERS = [(driver.value, driver.name.capitalize()) for driver in Driver]


class RuleKind(models.TextChoices):
    STANDARD = "standard"  # divides what names no department
    OVERRIDE = "override"  # divides all of a line, whatever department it names


class AllocationRule(BaseModel):
    """What its versions have in common: a name, and whose lines it is about (those of `entity` and below)."""

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="allocation_rules")
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200)

    class Meta(BaseModel.Meta):
        db_table = "allocation_rules"
        permissions = [
            ("create_allocation_rule", "Can draft allocation rules and their versions"),
            ("activate_allocation_rule", "Can activate allocation rules"),
            ("retire_allocation_rule", "Can retire allocation rules"),
            ("simulate_allocation_rule", "Can simulate allocation rules"),
        ]
        constraints = [models.UniqueConstraint("entity", Lower("code"), name="allocation_rule_code_unique")]
        triggers = [
            touched(),
            never_truncated(),
            frozen(when="true", except_for=("name",)),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class AllocationRuleVersion(BaseModel):
    """One wording of a rule: which lines, from when to when, and where their cost goes.

    A draft is written anew at will. Once activated only its end changes, and a retired one still is right for the
    days before it. A line is a version's if its service
    starts on one of the version's days and it has all that the version names; an empty name means any.
    """

    rule = models.ForeignKey(AllocationRule, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=7, choices=RuleState, default=RuleState.DRAFT)
    kind = models.CharField(max_length=8, choices=RuleKind, default=RuleKind.STANDARD)
    priority = models.IntegerField(default=0, help_text="Of equally specific rules the highest goes first.")
    product = models.ForeignKey(Product, models.PROTECT, null=True, blank=True, related_name="+")
    meter = models.ForeignKey(Meter, models.PROTECT, null=True, blank=True, related_name="+")
    gl_code = models.CharField(
        "GL code", max_length=64, blank=True, help_text="The product's, as it is on the line."
    )
    line_kind = models.CharField(max_length=20, choices=LineKind, blank=True)
    currency = CurrencyField(blank=True, help_text="Of the fixed amounts; lines in another are not divided.")
    starts_on = models.DateField(help_text="The first day on which a line's service may start.")
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive; empty: until further notice.")
    end_noted_at = models.DateTimeField(null=True, editable=False)

    class Meta(BaseModel.Meta):
        db_table = "allocation_rule_versions"
        constraints = [
            models.UniqueConstraint(fields=["rule", "number"], name="one_rule_version_per_number"),
            models.UniqueConstraint(
                fields=["rule"], name="one_draft_per_rule", condition=Q(state=RuleState.DRAFT)
            ),
            models.CheckConstraint(name="rule_state_known", condition=Q(state__in=RuleState.values)),
            models.CheckConstraint(name="rule_kind_known", condition=Q(kind__in=RuleKind.values)),
            models.CheckConstraint(
                name="rule_line_kind_known", condition=Q(line_kind__in=["", *LineKind.values])
            ),
            models.UniqueConstraint(
                fields=["rule"], name="one_active_version_per_rule", condition=Q(state=RuleState.ACTIVE)
            ),
            # Equal days: replaced before it came into force.
            models.CheckConstraint(
                name="rule_version_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
            ),
            models.CheckConstraint(
                name="retired_rule_version_has_an_end",
                condition=~Q(state=RuleState.RETIRED) | Q(ends_on__isnull=False),
            ),
            ExclusionConstraint(
                name="one_rule_version_at_a_time",
                expressions=[
                    (one_uuid("rule_id"), RangeOperators.OVERLAPS),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
                condition=~Q(state=RuleState.DRAFT),
            ),
        ]
        triggers = [
            touched(),
            never_truncated(),
            moves_only(pairs(RULE_MOVES)),
            frozen(when="OLD.state <> 'draft'", except_for=("state", "ends_on", "end_noted_at")),
            ends_noted(),
            targets_sum_up("allocation_rule_versions", version="id"),
            *audited(entity=""),
        ]

    def __str__(self) -> str:
        return f"{self.rule.code} v{self.number}"

    @property
    def entity(self):
        """A version is within reach of those who reach its rule's entity."""
        return self.rule.entity

    @property
    def entity_id(self):
        return self.rule.entity_id


class AllocationTarget(models.Model):
    """Where a part of a line goes. Departments are named by code: every entity below the rule's has its own."""

    id = models.BigAutoField(primary_key=True)
    rule_version = models.ForeignKey(AllocationRuleVersion, models.CASCADE, related_name="targets")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=9, choices=TARGET_KINDS)
    department_code = models.CharField(max_length=64, blank=True)
    percent = models.DecimalField(max_digits=7, decimal_places=4, null=True)
    amount = MoneyField(null=True)
    currency = CurrencyField(blank=True)
    driver = models.CharField(max_length=9, choices=DRIVERS, blank=True)
    driver_meter = models.ForeignKey(Meter, models.PROTECT, null=True, related_name="+")

    class Meta:
        db_table = "allocation_targets"
        default_permissions = ("view",)
        ordering = ("position",)
        constraints = [
            models.UniqueConstraint(fields=["rule_version", "position"], name="one_target_per_position"),
            models.CheckConstraint(
                name="allocation_target_payable",
                condition=Q(amount__isnull=True, currency="") | Q(IsPayable(F("currency"), F("amount"))),
            ),
            models.CheckConstraint(
                name="allocation_target_of_its_kind",
                condition=Q(
                    kind=TargetKind.PERCENT,
                    percent__gt=0,
                    percent__lte=100,
                    amount__isnull=True,
                    driver="",
                    currency="",
                )
                | Q(kind=TargetKind.FIXED, amount__gt=0, percent__isnull=True, driver="")
                | Q(
                    kind=TargetKind.DRIVER,
                    percent__gt=0,
                    percent__lte=100,
                    amount__isnull=True,
                    driver__in=[driver.value for driver in Driver],
                    currency="",
                )
                | Q(
                    kind=TargetKind.REMAINDER,
                    percent__isnull=True,
                    amount__isnull=True,
                    driver="",
                    currency="",
                ),
            ),
            models.CheckConstraint(
                name="allocation_target_has_department_or_driver",
                condition=Q(kind=TargetKind.DRIVER, department_code="")
                | (~Q(kind=TargetKind.DRIVER) & ~Q(department_code="")),
            ),
            models.CheckConstraint(
                name="allocation_target_meter_of_usage",
                condition=Q(driver=Driver.USAGE, driver_meter__isnull=False)
                | (~Q(driver=Driver.USAGE) & Q(driver_meter__isnull=True)),
            ),
        ]
        triggers = [
            never_truncated(),
            targets_of_drafts_only(),
            targets_sum_up("allocation_targets", version="rule_version_id"),
            *audited(entity=""),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.department_code or self.driver}"
