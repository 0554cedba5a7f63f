"""Cost that was posted and is allocated anew, a period at a time."""

from django.db import models
from django.db.models import F, Q

from billing.entities.models import BillingEntity
from billing.invoicing.allocation.models.rules import AllocationRuleVersion
from billing.invoicing.states import ALLOCATION_RUN_MOVES, AllocationRunState
from billing.kernel.models import BaseModel
from billing.kernel.states import pairs
from billing.kernel.triggers import audited, frozen, moves_only, never_deleted, never_truncated, touched


class AllocationRunKind(models.TextChoices):
    RULE = "rule"  # by a version of an allocation rule
    STEP_DOWN = "step_down"  # department after department gives its cost away


class AllocationRun(BaseModel):
    """The posted cost of a period allocated anew, by a rule or step by step. Undone by reversing it.

    Of lines whose service starts on or after `starts_on` and before `ends_on`. `steps` are those of a
    step-down, with the weights that were found when it began. `last_invoice_id` is how far it has come.
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="allocation_runs")
    kind = models.CharField(max_length=9, choices=AllocationRunKind)
    rule_version = models.ForeignKey(
        AllocationRuleVersion, models.PROTECT, null=True, blank=True, related_name="runs"
    )
    steps = models.JSONField(default=list, blank=True)
    starts_on = models.DateField()
    ends_on = models.DateField(help_text="Exclusive.")
    posted_on = models.DateField(help_text="Booked on that day, or on the next in an open month.")
    reason = models.TextField()
    state = models.CharField(max_length=9, choices=AllocationRunState, default=AllocationRunState.RUNNING)
    requested_by = models.CharField(max_length=128)
    last_invoice_id = models.UUIDField(null=True, editable=False)
    lines_moved = models.PositiveIntegerField(default=0)
    lines_kept = models.PositiveIntegerField(
        default=0, help_text="Not put back: they were changed, credited or void since."
    )
    reversed_on = models.DateField(null=True)
    reversal_reason = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "allocation_runs"
        permissions = [
            ("run_allocation", "Can allocate posted cost anew"),
            ("reverse_allocation_run", "Can reverse allocation runs"),
        ]
        constraints = [
            models.CheckConstraint(
                name="allocation_run_state_known", condition=Q(state__in=AllocationRunState.values)
            ),
            models.CheckConstraint(
                name="allocation_run_of_its_kind",
                condition=Q(kind=AllocationRunKind.RULE, rule_version__isnull=False)
                | Q(kind=AllocationRunKind.STEP_DOWN, rule_version__isnull=True),
            ),
            models.CheckConstraint(
                name="allocation_run_ends_after_start", condition=Q(ends_on__gt=F("starts_on"))
            ),
            models.UniqueConstraint(
                fields=["rule_version", "starts_on", "ends_on"],
                name="one_allocation_run_per_rule_and_period",
                condition=Q(kind=AllocationRunKind.RULE) & ~Q(state=AllocationRunState.REVERSED),
            ),
            models.UniqueConstraint(
                fields=["entity", "starts_on", "ends_on"],
                name="one_step_down_per_entity_and_period",
                condition=Q(kind=AllocationRunKind.STEP_DOWN) & ~Q(state=AllocationRunState.REVERSED),
            ),
        ]
        triggers = [
            touched(),
            never_deleted(),
            never_truncated(),
            moves_only(pairs(ALLOCATION_RUN_MOVES)),
            frozen(
                when="true",
                except_for=(
                    "state",
                    "last_invoice_id",
                    "lines_moved",
                    "lines_kept",
                    "reversed_on",
                    "reversal_reason",
                    "finished_at",
                ),
            ),
            *audited(),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.starts_on}–{self.ends_on}"
