"""Which acts need whose approval. A rule is changed by a new version, which somebody else confirms."""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from approvals.states import VERSION_MOVES, VersionState
from approvals.triggers import waits_for_acts
from billing.entities.models import BillingEntity, Department
from billing.kernel.fields import CurrencyField, MoneyField, array_up_to, payable
from billing.kernel.models import BaseModel
from billing.kernel.states import pairs
from billing.kernel.triggers import audited, frozen, moves_only, never_deleted, never_truncated, touched

LEVELS_MAX = 10
FIELDS_MAX = 20  # names, and values of each
FIELD_NAME_MAX = 64
FIELD_VALUE_MAX = 200
GL_CODE_MAX = 64
GL_CODES_MAX = 100


class ApprovalRule(BaseModel):
    """What does not change of a rule: where it holds, for which kind of act, and its name.

    It holds for acts of its entity and of all below it. A fallback catches what no other rule does; its kind may
    be empty: every kind.
    """

    entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="approval_rules")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=64, blank=True)
    is_fallback = models.BooleanField(default=False)

    class Meta(BaseModel.Meta):
        db_table = "approval_rules"
        permissions = [
            ("propose_rule", "Can propose rules and changes of rules"),
            ("confirm_rule", "Can confirm proposed rules"),
            ("withdraw_rule", "Can withdraw proposed rules"),
        ]
        constraints = [
            models.UniqueConstraint("entity", Lower("name"), name="approval_rule_name_unique"),
            models.UniqueConstraint(
                fields=["entity", "kind"], name="one_fallback_per_kind", condition=Q(is_fallback=True)
            ),
            models.CheckConstraint(
                name="only_a_fallback_is_of_every_kind", condition=~Q(kind="") | Q(is_fallback=True)
            ),
        ]
        triggers = [
            touched(),
            frozen(when="true", except_for=()),
            never_deleted(),
            never_truncated(),
            *audited(),
        ]

    def __str__(self) -> str:
        return self.name


class ApprovalRuleVersion(BaseModel):
    """The conditions and levels of a rule from its confirmation until the next version is confirmed.

    The band is (above_amount, up_to_amount] in `currency`, that of the group's root entity. `levels` is a list
    of {"mode": any | all | quorum, "quorum": n, "approvers": [{"kind": user | role | department_manager |
    manager_chain, …}]}. A version that is not enabled matches nothing: so a rule is switched off.
    """

    rule = models.ForeignKey(ApprovalRule, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=9, choices=VersionState, default=VersionState.PROPOSED)
    is_enabled = models.BooleanField(default=True)
    priority = models.SmallIntegerField(default=0)
    currency = CurrencyField()
    above_amount = MoneyField(null=True, blank=True)
    up_to_amount = MoneyField(null=True, blank=True)
    department = models.ForeignKey(Department, models.PROTECT, null=True, blank=True, related_name="+")
    gl_codes = ArrayField(
        models.CharField(max_length=GL_CODE_MAX), verbose_name="GL codes", default=list, blank=True
    )
    requesters = ArrayField(models.UUIDField(), default=list, blank=True)
    fields = models.JSONField(default=dict, blank=True, help_text="Name → the values that match.")
    levels = models.JSONField()
    due_days = models.PositiveSmallIntegerField(default=5)
    expires_days = models.PositiveSmallIntegerField(default=30)
    reason = models.TextField()
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta(BaseModel.Meta):
        db_table = "approval_rule_versions"
        constraints = [
            models.UniqueConstraint(fields=["rule", "number"], name="rule_version_number_unique"),
            models.UniqueConstraint(
                fields=["rule"],
                name="one_active_version_per_approval_rule",
                condition=Q(state=VersionState.ACTIVE),
            ),
            models.UniqueConstraint(
                fields=["rule"],
                name="one_proposed_version_per_rule",
                condition=Q(state=VersionState.PROPOSED),
            ),
            models.CheckConstraint(
                name="rule_version_state_known", condition=Q(state__in=VersionState.values)
            ),
            models.CheckConstraint(name="rule_takes_two", condition=~Q(confirmed_by=F("proposed_by"))),
            models.CheckConstraint(
                name="rule_version_confirmed_iff_in_force",
                condition=Q(
                    state__in=[VersionState.ACTIVE, VersionState.ENDED],
                    confirmed_by__isnull=False,
                    confirmed_at__isnull=False,
                )
                | Q(
                    state__in=[VersionState.PROPOSED, VersionState.WITHDRAWN],
                    confirmed_by__isnull=True,
                    confirmed_at__isnull=True,
                ),
            ),
            models.CheckConstraint(
                name="rule_band_not_empty",
                condition=Q(above_amount__isnull=True)
                | Q(up_to_amount__isnull=True)
                | Q(up_to_amount__gt=F("above_amount")),
            ),
            payable("rule_bounds_payable", "above_amount", "up_to_amount"),
            array_up_to("rule_levels_a_list", "levels", LEVELS_MAX),
            models.CheckConstraint(name="rule_has_levels", condition=~Q(levels=[])),
            models.CheckConstraint(
                name="rule_due_before_it_expires",
                condition=Q(due_days__gte=1, expires_days__gte=F("due_days")),
            ),
        ]
        triggers = [
            touched(),
            frozen(
                name="version_is_final",
                when="true",
                except_for=("state", "confirmed_by_id", "confirmed_at", "ended_at"),
            ),
            frozen(name="over_for_good", when="OLD.state IN ('ended', 'withdrawn')", except_for=()),
            moves_only(pairs(VERSION_MOVES)),
            waits_for_acts(
                pgtrigger.Insert | pgtrigger.UpdateOf("state"),
                condition=pgtrigger.Q(new__state=VersionState.ACTIVE),
            ),
            never_deleted(),
            never_truncated(),
            *audited(entity=""),
        ]

    def __str__(self) -> str:
        return f"{self.rule} (version {self.number})"
