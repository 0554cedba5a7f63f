"""What has been done about an unpaid invoice: the case, its steps, pauses, suspensions and late fees."""

from datetime import date, timedelta

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Q

from billing.dunning.models.mails import DunningMail
from billing.dunning.models.policies import DunningPolicy, DunningStep
from billing.dunning.states import (
    CASE_MOVES,
    FEE_MOVES,
    CaseState,
    FeeBasis,
    FeeState,
    Outcome,
    PauseKind,
)
from billing.dunning.triggers import (
    case_as_the_invoice_stands,
    notice_of_the_cases_policy,
    waived_unless_billed,
)
from billing.entities.models import BillingEntity
from billing.invoicing.models import Invoice
from billing.kernel.fields import CurrencyField, MoneyField, payable
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.ranges import days, one_uuid
from billing.kernel.states import pairs
from billing.kernel.triggers import append_only, audited, frozen, moves_only, never_truncated, touched
from billing.subscriptions.models import Subscription


class DunningCase(BaseModel):
    """The dunning of one invoice, by the policy revision that was in force when its first step was due."""

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="dunning_cases")
    invoice = models.OneToOneField(Invoice, models.PROTECT, related_name="dunning_case")
    policy = models.ForeignKey(DunningPolicy, models.PROTECT, related_name="cases")
    state = models.CharField(max_length=11, choices=CaseState, default=CaseState.OPEN)
    opened_on = models.DateField()
    closed_on = models.DateField(null=True)
    closed_because = models.CharField(max_length=13, blank=True, help_text="The invoice's state by then.")

    class Meta(BaseModel.Meta):
        db_table = "dunning_cases"
        constraints = [
            models.CheckConstraint(name="dunning_case_state_known", condition=Q(state__in=CaseState.values)),
            models.CheckConstraint(
                name="dunning_case_closed_iff_dated",
                condition=Q(state=CaseState.CLOSED, closed_on__isnull=False)
                | (~Q(state=CaseState.CLOSED) & Q(closed_on__isnull=True, closed_because="")),
            ),
        ]
        indexes = [models.Index(fields=["customer", "state"], name="dunning_case_by_customer")]
        triggers = [
            touched(),
            moves_only(pairs(CASE_MOVES)),
            frozen(when="true", except_for=("state", "closed_on", "closed_because")),
            case_as_the_invoice_stands(),
            never_truncated(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"dunning of {self.invoice}"

    @property
    def entity_id(self):
        return self.customer_id


class DunningNotice(AppendOnlyModel):
    """A step that was taken for an invoice, or passed over: at most once each.

    `collectable_amount` is what was asked for: open, less what was paused on the day.
    """

    case = models.ForeignKey(DunningCase, models.PROTECT, related_name="notices")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="dunning_notices")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    step = models.ForeignKey(DunningStep, models.PROTECT, related_name="notices")
    outcome = models.CharField(max_length=7, choices=Outcome)
    noticed_on = models.DateField()
    days_late = models.IntegerField(help_text="Without the days on which everything was paused.")
    open_amount = MoneyField()
    collectable_amount = MoneyField()
    currency = CurrencyField()
    mail = models.ForeignKey(DunningMail, models.PROTECT, null=True, related_name="notices")
    detail = models.JSONField(default=dict, help_text="Why it was passed over, or what it came to.")

    class Meta(AppendOnlyModel.Meta):
        db_table = "dunning_notices"
        constraints = [
            models.UniqueConstraint(fields=["invoice", "step"], name="one_dunning_notice_per_step"),
            models.CheckConstraint(name="dunning_outcome_known", condition=Q(outcome__in=Outcome.values)),
            payable("dunning_notice_payable", "open_amount", "collectable_amount"),
            models.CheckConstraint(
                name="dunning_notice_asks_within_open",
                condition=Q(collectable_amount__gte=0, collectable_amount__lte=F("open_amount")),
            ),
            models.CheckConstraint(
                name="dunning_notice_taken_asks_for_something",
                condition=~Q(outcome=Outcome.TAKEN) | Q(collectable_amount__gt=0),
            ),
            models.CheckConstraint(
                name="dunning_skipped_sends_nothing",
                condition=Q(outcome=Outcome.TAKEN) | Q(mail__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["customer", "-noticed_on"], name="dunning_notice_by_customer")]
        triggers = [*append_only(), notice_of_the_cases_policy(), *audited(entity="customer_id")]

    def __str__(self) -> str:
        return f"{self.step}: {self.outcome}"

    @property
    def entity_id(self):
        return self.customer_id


class DunningPause(BaseModel):
    """No reminder asks for `amount` of the invoice (empty: for the whole) from a day until another."""

    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="dunning_pauses")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=PauseKind, default=PauseKind.OTHER)
    amount = MoneyField(null=True, blank=True, help_text="Empty: the whole invoice.")
    currency = CurrencyField()
    reason = models.TextField()
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True, help_text="Exclusive; empty: until it is ended.")

    class Meta(BaseModel.Meta):
        db_table = "dunning_pauses"
        permissions = [
            ("pause_dunning", "Can pause dunning"),
            ("resume_dunning", "Can end pauses of dunning"),
        ]
        constraints = [
            payable("dunning_pause_payable", "amount"),
            models.CheckConstraint(
                name="dunning_pause_of_something", condition=Q(amount__isnull=True) | Q(amount__gt=0)
            ),
            models.CheckConstraint(name="dunning_pause_kind_known", condition=Q(kind__in=PauseKind.values)),
            models.CheckConstraint(
                name="dunning_pause_ends_not_before_start",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
            ),
            models.CheckConstraint(
                name="dunning_promise_has_a_day",
                condition=~Q(kind=PauseKind.PROMISE_TO_PAY) | Q(ends_on__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["invoice"], name="dunning_pause_by_invoice")]
        triggers = [
            touched(),
            frozen(when="true", except_for=("ends_on",)),
            never_truncated(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"pause from {self.starts_on}"

    @property
    def entity_id(self):
        return self.customer_id


class DunningSuspension(BaseModel):
    """A subscription that is paused because of an invoice, until the invoice's case is closed."""

    case = models.ForeignKey(DunningCase, models.PROTECT, related_name="suspensions")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="dunning_suspensions")
    suspended_on = models.DateField()
    lifted_on = models.DateField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "dunning_suspensions"
        constraints = [
            models.UniqueConstraint(fields=["case", "subscription"], name="one_dunning_suspension_per_case"),
        ]
        triggers = [
            touched(),
            frozen(when="true", except_for=("lifted_on",)),
            frozen(name="lifted_once", when="OLD.lifted_on IS NOT NULL", except_for=()),
            never_truncated(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id} since {self.suspended_on}"


class LateFee(BaseModel):
    """What a step found to be due for paying late, with how it came about. `LateFeeClaim` says which line bills it.

    Interest: Σ amount × days × percent / 100 / 365 over the interest_periods of the derivation, rounded half-up once.
    `starts_on` and `ends_on` (exclusive) are the days charged for; a flat fee has none.
    """

    notice = models.OneToOneField(DunningNotice, models.PROTECT, related_name="late_fee")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="late_fees")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    step = models.ForeignKey(DunningStep, models.PROTECT, related_name="late_fees")
    basis = models.CharField(max_length=8, choices=FeeBasis)
    amount = MoneyField()
    currency = CurrencyField()
    charged_on = models.DateField()
    starts_on = models.DateField(null=True)
    ends_on = models.DateField(null=True, help_text="Exclusive.")
    percent = models.DecimalField(max_digits=7, decimal_places=4, null=True)
    reference = models.CharField(max_length=200, blank=True)
    derivation = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=FeeState, default=FeeState.TO_BE_BILLED)

    class Meta(BaseModel.Meta):
        db_table = "late_fees"
        permissions = [("waive_late_fee", "Can waive late fees")]
        constraints = [
            models.UniqueConstraint(fields=["invoice", "step"], name="one_late_fee_per_step"),
            payable("late_fee_payable", "amount"),
            models.CheckConstraint(name="late_fee_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="late_fee_state_known", condition=Q(state__in=FeeState.values)),
            models.CheckConstraint(
                name="late_fee_has_what_its_basis_needs",
                condition=Q(
                    basis=FeeBasis.FLAT, starts_on__isnull=True, ends_on__isnull=True, percent__isnull=True
                )
                | Q(
                    basis=FeeBasis.INTEREST,
                    starts_on__isnull=False,
                    ends_on__gt=F("starts_on"),
                    percent__gt=0,
                ),
            ),
            ExclusionConstraint(
                name="no_day_bears_interest_twice",
                expressions=[
                    (one_uuid("invoice_id"), RangeOperators.OVERLAPS),
                    (days("starts_on", "ends_on"), RangeOperators.OVERLAPS),
                ],
                condition=Q(basis=FeeBasis.INTEREST),
            ),
        ]
        triggers = [
            touched(),
            moves_only(pairs(FEE_MOVES)),
            frozen(when="true", except_for=("state",)),
            waived_unless_billed(),
            never_truncated(),
            *audited(entity="customer_id"),
        ]

    def __str__(self) -> str:
        return f"{FeeBasis(self.basis).label} for {self.invoice}"

    @property
    def days(self) -> tuple[date, date]:
        """From the first of them until the last, exclusive; a flat fee is of the day on which it was charged."""
        if self.starts_on is None:
            return self.charged_on, self.charged_on + timedelta(days=1)
        return self.starts_on, self.ends_on

    @property
    def entity_id(self):
        return self.customer_id
