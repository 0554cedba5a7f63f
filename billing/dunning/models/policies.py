"""Policies: what is done how many days after the due day, and which customers it is done to."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from billing.dunning.states import POLICY_MOVES, Effect, FeeBasis, PolicyState, Template
from billing.dunning.triggers import assigned_below_the_seller, of_draft_policy
from billing.entities.models import BillingEntity
from billing.kernel.fields import CurrencyField, MoneyField, payable
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.ranges import days, one_uuid
from billing.kernel.states import pairs
from billing.kernel.triggers import append_only, audited, frozen, moves_only, never_truncated, touched


class DunningPolicy(BaseModel):
    """A seller's schedule for one class of customers. A change is a new revision; of a code one is active."""

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="dunning_policies")
    code = models.CharField(max_length=64)
    revision = models.PositiveSmallIntegerField(default=1)
    name = models.CharField(max_length=200)
    entity_class = models.CharField(
        max_length=64, blank=True, help_text='Whom it is meant for, e.g. "enterprise" or "public sector".'
    )
    state = models.CharField(max_length=8, choices=PolicyState, default=PolicyState.DRAFT)
    is_default = models.BooleanField(default=False, help_text="For customers without a policy of their own.")
    interest_percent = models.DecimalField(
        max_digits=7,
        decimal_places=4,
        null=True,
        blank=True,
        help_text="Per year, for steps that charge interest.",
    )
    fee_reference = models.CharField(
        max_length=200, blank=True, help_text='Why late fees are due, e.g. "Directive 2011/7/EU, Article 6".'
    )

    class Meta(BaseModel.Meta):
        db_table = "dunning_policies"
        verbose_name_plural = "dunning policies"
        permissions = [
            ("create_policy", "Can create and revise dunning policies"),
            ("activate_policy", "Can activate dunning policies"),
            ("retire_policy", "Can retire dunning policies"),
        ]
        constraints = [
            models.UniqueConstraint(
                "seller", Lower("code"), "revision", name="dunning_policy_revision_unique"
            ),
            models.UniqueConstraint(
                "seller",
                Lower("code"),
                name="one_active_dunning_policy_per_code",
                condition=Q(state=PolicyState.ACTIVE),
            ),
            models.UniqueConstraint(
                "seller",
                Lower("code"),
                name="one_draft_dunning_policy_per_code",
                condition=Q(state=PolicyState.DRAFT),
            ),
            models.UniqueConstraint(
                fields=["seller"],
                name="one_default_dunning_policy",
                condition=Q(state=PolicyState.ACTIVE, is_default=True),
            ),
            models.CheckConstraint(
                name="dunning_policy_state_known", condition=Q(state__in=PolicyState.values)
            ),
            models.CheckConstraint(
                name="dunning_interest_within_100",
                condition=Q(interest_percent__isnull=True)
                | Q(interest_percent__gt=0, interest_percent__lte=100),
            ),
        ]
        triggers = [
            touched(),
            moves_only(pairs(POLICY_MOVES)),
            frozen(when="true", except_for=("state",)),
            never_truncated(),
            *audited(entity="seller_id"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.code}, revision {self.revision})"

    @property
    def entity_id(self):
        """A policy is within reach of those who reach its seller."""
        return self.seller_id


class DunningStep(AppendOnlyModel):
    """What happens so many days after the due day, once per invoice. Negative days: before it is due."""

    policy = models.ForeignKey(DunningPolicy, models.PROTECT, related_name="steps")
    position = models.PositiveSmallIntegerField()
    days_after_due = models.SmallIntegerField()
    effect = models.CharField(max_length=8, choices=Effect)
    template = models.CharField(max_length=16, choices=Template, blank=True, help_text="Of a reminder.")
    fee_basis = models.CharField(max_length=8, choices=FeeBasis, blank=True, help_text="Of a late fee.")

    class Meta(AppendOnlyModel.Meta):
        db_table = "dunning_steps"
        constraints = [
            models.UniqueConstraint(fields=["policy", "position"], name="dunning_steps_in_order"),
            models.CheckConstraint(
                name="dunning_step_has_what_its_effect_needs",
                condition=Q(effect=Effect.NOTIFY, template__in=Template.values, fee_basis="")
                | Q(effect=Effect.LATE_FEE, template="", fee_basis__in=FeeBasis.values)
                | Q(effect__in=[Effect.SUSPEND, Effect.STOP], template="", fee_basis=""),
            ),
            models.CheckConstraint(
                name="dunning_step_only_notes_before_due",
                condition=Q(days_after_due__gt=0) | Q(effect=Effect.NOTIFY),
            ),
            models.CheckConstraint(
                name="dunning_step_days_within_reason",
                condition=Q(days_after_due__gte=-90, days_after_due__lte=1000),
            ),
        ]
        triggers = [*append_only(), of_draft_policy("dunning_steps")]

    def __str__(self) -> str:
        return f"{self.position}. {self.what} {self.when}"

    @property
    def what(self) -> str:
        """ "Final notice", "Late fee: interest"."""
        if self.effect == Effect.NOTIFY:
            return str(Template(self.template).label)
        if self.effect == Effect.LATE_FEE:
            return f"{Effect(self.effect).label}: {FeeBasis(self.fee_basis).label.lower()}"
        return str(Effect(self.effect).label)

    @property
    def when(self) -> str:
        """ "14 days after the due day"."""
        days = abs(self.days_after_due)
        if not days:
            return "on the due day"
        return f"{days} {'day' if days == 1 else 'days'} {'after' if self.days_after_due > 0 else 'before'} the due day"


class DunningAmounts(AppendOnlyModel):
    """What a policy says per currency: below which sum nobody is reminded, and the flat late fee."""

    policy = models.ForeignKey(DunningPolicy, models.PROTECT, related_name="amounts")
    currency = CurrencyField()
    minimum_amount = MoneyField(default=0)
    fee_amount = MoneyField(null=True, blank=True)

    class Meta(AppendOnlyModel.Meta):
        db_table = "dunning_amounts"
        verbose_name_plural = "dunning amounts"
        constraints = [
            models.UniqueConstraint(fields=["policy", "currency"], name="dunning_amounts_once_per_currency"),
            payable("dunning_amounts_payable", "minimum_amount", "fee_amount"),
            models.CheckConstraint(
                name="dunning_amounts_not_negative",
                condition=Q(minimum_amount__gte=0) & (Q(fee_amount__isnull=True) | Q(fee_amount__gt=0)),
            ),
        ]
        triggers = [*append_only(), of_draft_policy("dunning_amounts")]

    def __str__(self) -> str:
        return f"{self.currency}: from {self.minimum_amount} on"


class DunningAssignment(BaseModel):
    """The policy of a customer and of all below it, from a day until another. Only its end may change.

    It names a revision, and means the code: what is active under the code is what is done.
    """

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="dunning_assignments")
    policy = models.ForeignKey(DunningPolicy, models.PROTECT, related_name="assignments")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive; empty: until further notice.")

    class Meta(BaseModel.Meta):
        db_table = "dunning_assignments"
        permissions = [
            ("assign_policy", "Can assign dunning policies to customers"),
            ("end_assignment", "Can end assignments of dunning policies"),
        ]
        constraints = [
            models.CheckConstraint(
                name="dunning_assignment_ends_after_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
            ),
            ExclusionConstraint(
                name="one_dunning_policy_at_a_time",
                expressions=[
                    (one_uuid("customer_id"), RangeOperators.OVERLAPS),
                    (one_uuid("seller_id"), RangeOperators.OVERLAPS),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The customer has a dunning policy for that time.",
            ),
        ]
        triggers = [
            touched(),
            frozen(when="true", except_for=("ends_on",)),
            assigned_below_the_seller(),
            never_truncated(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} goes by {self.policy_id} from {self.starts_on}"

    @property
    def entity_id(self):
        """An assignment is within reach of those who reach its customer."""
        return self.customer_id
