"""An act that waits for approval, who is asked, and everything that was said. Decisions are never changed."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from approvals import triggers
from approvals.core.levels import Mode
from approvals.models.rules import ApprovalRuleVersion
from approvals.states import DECISIONS, LEVEL_MOVES, REQUEST_MOVES, ActionKind, LevelState, RequestState
from billing.entities.models import BillingEntity, Department
from billing.kernel.fields import CurrencyField, ExactField, MoneyField, payable
from billing.kernel.ids import uuid7
from billing.kernel.models import AppendOnlyModel, BaseModel
from billing.kernel.money import round_half_up
from billing.kernel.states import pairs
from billing.kernel.triggers import (
    append_only,
    audited,
    frozen,
    moves_only,
    never_deleted,
    never_truncated,
    touched,
)

PEOPLE = settings.AUTH_USER_MODEL
LEVEL_MODES = [(mode.value, mode.value) for mode in Mode]


class ApprovalRequest(BaseModel):
    """Everything but its state is as it was when it was made: what is asked for, and the rule that holds for it.

    `content` is what would be done; whoever decides names its `digest`. `base_amount` is `amount` × `rate` in
    the currency of the group's root entity, empty without a known rate. `matched_amount` is what the rule's band
    was compared with: together with what the same person asked for in the window before. `barred` are the
    persons who never decide: who asked, who gains, who edited, and who asked in the request this one supersedes.
    """

    kind = models.CharField(max_length=64)
    subject_id = models.UUIDField(help_text="What it is about, in the app that owns the kind.")
    title = models.CharField(max_length=200)
    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="approval_requests")
    department = models.ForeignKey(Department, models.PROTECT, null=True, blank=True, related_name="+")
    gl_code = models.CharField("GL code", max_length=64, blank=True)
    amount = MoneyField()
    currency = CurrencyField()
    rate = ExactField(null=True, blank=True)
    base_amount = MoneyField(null=True, blank=True)
    base_currency = CurrencyField()
    matched_amount = MoneyField(null=True, blank=True)
    fields = models.JSONField(default=dict, blank=True)
    content = models.JSONField()
    digest = models.CharField(max_length=64)
    rule_version = models.ForeignKey(ApprovalRuleVersion, models.PROTECT, related_name="requests")
    snapshot = models.JSONField(help_text="The rule as it was when the request was made.")
    state = models.CharField(max_length=10, choices=RequestState, default=RequestState.PENDING)
    requested_by = models.ForeignKey(PEOPLE, models.PROTECT, related_name="approval_requests")
    requester = models.ForeignKey(
        PEOPLE, models.PROTECT, related_name="+", help_text="The person who answers for who asked."
    )
    beneficiary = models.ForeignKey(PEOPLE, models.PROTECT, null=True, blank=True, related_name="+")
    barred = ArrayField(models.UUIDField())
    due_on = models.DateField()
    expires_on = models.DateField(help_text="Undecided on this day, it is void.")
    decided_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "approval_requests"
        permissions = [
            ("request_approval", "Can ask for approval"),
            ("request_credit_note", "Can ask for credit notes"),
            ("request_write_off", "Can ask for write-offs"),
            ("request_invoice", "Can ask for large invoices"),
            ("request_pay_back", "Can ask for credits to be paid back"),
            ("request_period_reopening", "Can ask for months to be reopened"),
            ("request_role_grant", "Can ask for roles to be confirmed"),
            ("request_payee_data", "Can ask for changes of payee and tax data"),
            ("cancel_request", "Can cancel own requests"),
            ("decide_request", "Can approve and reject"),
            ("comment_request", "Can comment on requests"),
            ("reassign_request", "Can ask another approver"),
            ("view_all_requests", "Can see requests of others"),
        ]
        constraints = [
            payable("approval_amount_payable", "amount"),
            payable("approval_base_payable", "base_amount", "matched_amount", currency="base_currency"),
            models.CheckConstraint(name="approval_amount_not_negative", condition=Q(amount__gte=0)),
            models.CheckConstraint(
                name="approval_rate_iff_base",
                condition=Q(rate__isnull=True, base_amount__isnull=True, matched_amount__isnull=True)
                | Q(rate__gt=0, base_amount__isnull=False, matched_amount__gte=F("base_amount")),
            ),
            models.CheckConstraint(
                name="approval_own_currency_at_par",
                condition=~Q(currency=F("base_currency")) | Q(rate=1, base_amount=F("amount")),
            ),
            models.CheckConstraint(
                name="approval_request_state_known", condition=Q(state__in=RequestState.values)
            ),
            models.CheckConstraint(
                name="approval_decided_iff_over",
                condition=Q(state=RequestState.PENDING, decided_at__isnull=True)
                | (~Q(state=RequestState.PENDING) & Q(decided_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="approval_due_before_expiry", condition=Q(expires_on__gte=F("due_on"))
            ),
            models.UniqueConstraint(
                fields=["kind", "subject_id", "entity"],
                name="one_pending_request_per_subject",
                condition=Q(state=RequestState.PENDING),
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "requester", "created_at"], name="approvals_in_window"),
            models.Index(fields=["subject_id"], name="approvals_of_subject"),
            models.Index(
                fields=["expires_on"], name="approvals_to_expire", condition=Q(state=RequestState.PENDING)
            ),
            models.Index(
                fields=["due_on"], name="approvals_to_chase", condition=Q(state=RequestState.PENDING)
            ),
        ]
        triggers = [
            touched(),
            frozen(name="request_is_final", when="true", except_for=("state", "decided_at")),
            moves_only(pairs(REQUEST_MOVES)),
            triggers.asked_by_the_involved(),
            triggers.decided_by_its_levels(),
            triggers.effect_with_approval(),
            never_deleted(),
            never_truncated(),
            *audited(),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def shown_amount(self) -> str:
        return f"{round_half_up(self.amount, self.currency)} {self.currency}"


class InboxRequest(ApprovalRequest):
    """A request as seen by who is to decide it. Not a table of its own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "request in my inbox"
        verbose_name_plural = "requests in my inbox"


class StuckRequest(ApprovalRequest):
    """A request whose open levels ask too few people who may still decide. Not a table of its own."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = "stuck request"


class ApprovalLevel(BaseModel):
    """The approvers one level of a request asks, and how many of them must agree."""

    request = models.ForeignKey(ApprovalRequest, models.PROTECT, related_name="levels")
    position = models.PositiveSmallIntegerField(help_text="From 1.")
    mode = models.CharField(max_length=6, choices=LEVEL_MODES)
    needed = models.PositiveSmallIntegerField()
    approvers = ArrayField(models.UUIDField())
    state = models.CharField(max_length=8, choices=LevelState, default=LevelState.WAITING)

    class Meta(BaseModel.Meta):
        db_table = "approval_levels"
        constraints = [
            models.UniqueConstraint(fields=["request", "position"], name="approval_level_position_unique"),
            models.UniqueConstraint(
                fields=["request"],
                name="one_pending_level_per_request",
                condition=Q(state=LevelState.PENDING),
            ),
            models.CheckConstraint(
                name="approval_level_state_known", condition=Q(state__in=LevelState.values)
            ),
            models.CheckConstraint(
                name="approval_level_can_be_filled",
                condition=Q(needed__gte=1, approvers__len__gte=F("needed")),
            ),
        ]
        triggers = [
            touched(),
            frozen(name="level_is_final", when="true", except_for=("state", "approvers")),
            moves_only(pairs(LEVEL_MOVES)),
            triggers.asks_the_uninvolved(),
            triggers.filled_by_its_votes(),
            never_deleted(),
            never_truncated(),
            *audited(entity=""),
        ]

    def __str__(self) -> str:
        return f"level {self.position}: {self.needed} of {len(self.approvers)}"


class ApprovalAction(models.Model):
    """Something somebody did to a request. `number`, `at` and the chain are given by the database.

    `person` answers for `actor` (a service account's owner); none for tasks. `on_behalf_of` is the approver in
    whose place a delegate decides.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.ForeignKey(ApprovalRequest, models.PROTECT, related_name="actions")
    number = models.PositiveIntegerField(default=0)
    action = models.CharField(max_length=10, choices=ActionKind)
    level = models.PositiveSmallIntegerField(null=True)
    actor = models.CharField(max_length=128)
    person = models.ForeignKey(PEOPLE, models.PROTECT, null=True, related_name="+")
    on_behalf_of = models.ForeignKey(PEOPLE, models.PROTECT, null=True, related_name="+")
    content_digest = models.CharField(max_length=64, help_text="Of what the actor was shown.")
    comment = models.TextField(blank=True)
    detail = models.TextField(blank=True)
    at = models.CharField(max_length=27, blank=True, help_text="UTC, to the microsecond.")
    previous_digest = models.CharField(max_length=64, blank=True)
    digest = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "approval_actions"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["request", "number"], name="approval_action_number_unique"),
            models.UniqueConstraint(
                fields=["request", "level", "person"],
                name="one_decision_per_person_and_level",
                condition=Q(action__in=DECISIONS),
            ),
            models.UniqueConstraint(
                fields=["request", "level", "detail"],
                name="one_reminder_per_level_and_stage",
                condition=Q(action=ActionKind.REMIND),
            ),
            models.UniqueConstraint(
                fields=["request", "level"],
                name="one_escalation_per_level",
                condition=Q(action=ActionKind.ESCALATE),
            ),
            models.CheckConstraint(name="approval_action_known", condition=Q(action__in=ActionKind.values)),
            models.CheckConstraint(
                name="chased_on_a_level",
                condition=~Q(action__in=[ActionKind.REMIND, ActionKind.ESCALATE]) | Q(level__isnull=False),
            ),
            models.CheckConstraint(
                name="decision_has_person_and_level",
                condition=~Q(action__in=DECISIONS) | Q(person__isnull=False, level__isnull=False),
            ),
            models.CheckConstraint(
                name="rejection_says_why", condition=~Q(action=ActionKind.REJECT) | ~Q(comment="")
            ),
        ]
        triggers = [*append_only(), triggers.decision_by_who_is_asked(), triggers.chained()]

    def __str__(self) -> str:
        return f"{self.number}. {self.action}"


class ApprovalVote(AppendOnlyModel):
    """An approver's approval as it counts on a level; `person` cast it, by `action`."""

    level = models.ForeignKey(ApprovalLevel, models.PROTECT, related_name="votes")
    approver = models.ForeignKey(PEOPLE, models.PROTECT, related_name="+")
    person = models.ForeignKey(PEOPLE, models.PROTECT, related_name="+")
    action = models.ForeignKey(ApprovalAction, models.PROTECT, related_name="votes")

    class Meta(AppendOnlyModel.Meta):
        db_table = "approval_votes"
        constraints = [
            models.UniqueConstraint(fields=["level", "approver"], name="one_vote_per_approver_and_level"),
            models.UniqueConstraint(fields=["level", "person"], name="one_vote_per_person_and_level"),
        ]
        triggers = [*append_only(), triggers.vote_of_a_decision()]

    def __str__(self) -> str:
        return f"{self.approver_id} by {self.person_id}"


class ApprovalEffect(AppendOnlyModel):
    """That what was approved was carried out: once, in the transaction that approved it."""

    request = models.OneToOneField(ApprovalRequest, models.PROTECT, related_name="effect")
    digest = models.CharField(max_length=64)
    outcome = models.JSONField(default=dict)

    class Meta(AppendOnlyModel.Meta):
        db_table = "approval_effects"
        triggers = [*append_only(), triggers.effect_of_an_approval()]

    def __str__(self) -> str:
        return f"effect of {self.request_id}"
