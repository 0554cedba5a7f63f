"""Rules: every change is a proposal of one controller that another confirms."""

import django_filters as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action

from approvals import queries, services
from approvals.api.serializers import TEXT, Explained
from approvals.models import ApprovalRule, ApprovalRuleVersion
from approvals.models.requests import LEVEL_MODES
from approvals.models.rules import (
    FIELD_NAME_MAX,
    FIELD_VALUE_MAX,
    FIELDS_MAX,
    GL_CODE_MAX,
    GL_CODES_MAX,
    LEVELS_MAX,
)
from approvals.routing import APPROVER_KINDS
from approvals.services.rules import APPROVERS_MAX, RuleTerms
from approvals.states import VersionState
from billing.access.api.permissions import require
from billing.entities.api.fields import (
    ActingPermission,
    ColleagueField,
    DepartmentField,
    EntityField,
    seen_or_done,
)
from billing.kernel.api.fields import (
    MoneyAmountField,
    StrictBooleanField,
    StrictCharField,
    StrictChoiceField,
    StrictIntegerField,
)
from billing.kernel.api.serializers import NoInput, ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet

PROPOSE = "approvals.propose_rule"


class RuleField(StrictSerializer):
    """One of the values must be that of the request's own field of this name."""

    name = StrictCharField(max_length=FIELD_NAME_MAX)
    any_of = serializers.ListField(
        child=StrictCharField(max_length=FIELD_VALUE_MAX), min_length=1, max_length=FIELDS_MAX
    )


class ApprovalRuleVersionRead(ReadSerializer):
    """The band is (above_amount, up_to_amount] in `currency`."""

    match_fields = serializers.SerializerMethodField()

    class Meta:
        model = ApprovalRuleVersion
        fields = (
            "number",
            "state",
            "is_enabled",
            "priority",
            "currency",
            "above_amount",
            "up_to_amount",
            "department",
            "gl_codes",
            "requesters",
            "match_fields",
            "levels",
            "due_days",
            "expires_days",
            "reason",
            "proposed_by",
            "confirmed_by",
            "confirmed_at",
            "ended_at",
            "created_at",
        )
        read_only_fields = fields

    @extend_schema_field(RuleField(many=True))
    def get_match_fields(self, version) -> list[dict]:
        return [{"name": name, "any_of": values} for name, values in sorted(version.fields.items())]


class ApprovalRuleRead(ReadSerializer):
    """`state` is `proposed` while a change waits for its confirmation, else that of the newest version in force."""

    state = serializers.SerializerMethodField()
    active = serializers.SerializerMethodField()
    proposed = serializers.SerializerMethodField()

    class Meta:
        model = ApprovalRule
        fields = (
            "id",
            "entity",
            "name",
            "kind",
            "is_fallback",
            "state",
            "active",
            "proposed",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_state(self, rule) -> str:
        states = [version.state for version in rule.versions.all()]
        return next((state for state in states if state != VersionState.WITHDRAWN), VersionState.WITHDRAWN)

    @extend_schema_field(ApprovalRuleVersionRead(allow_null=True))
    def get_active(self, rule) -> dict | None:
        return _version(rule, VersionState.ACTIVE)

    @extend_schema_field(ApprovalRuleVersionRead(allow_null=True))
    def get_proposed(self, rule) -> dict | None:
        return _version(rule, VersionState.PROPOSED)


def _version(rule: ApprovalRule, state: str) -> dict | None:
    found = next((version for version in rule.versions.all() if version.state == state), None)
    return ApprovalRuleVersionRead(found).data if found else None


class RuleApprover(StrictSerializer):
    """`user` with kind user, `role` with kind role, nothing with the others."""

    kind = StrictChoiceField(choices=APPROVER_KINDS)
    user = ColleagueField(required=False)
    role = StrictChoiceField(choices=["AP", "FC"], required=False)


class RuleLevel(StrictSerializer):
    """`quorum` with mode quorum: how many must agree."""

    mode = StrictChoiceField(choices=LEVEL_MODES)
    quorum = StrictIntegerField(min_value=1, max_value=APPROVERS_MAX, required=False)
    approvers = RuleApprover(many=True, min_length=1, max_length=APPROVERS_MAX)


class RuleConditions(StrictSerializer):
    """What is left out does not restrict. Amounts are in the currency of the group's root entity, the band is above
    one and up to the other. `is_enabled: false` switches the rule off."""

    is_enabled = StrictBooleanField(required=False)
    priority = StrictIntegerField(min_value=-1000, max_value=1000, required=False)
    above_amount = MoneyAmountField(required=False, min_value=0)
    up_to_amount = MoneyAmountField(required=False, min_value=0)
    department = DepartmentField(required=False)
    gl_codes = serializers.ListField(
        child=StrictCharField(max_length=GL_CODE_MAX), required=False, max_length=GL_CODES_MAX
    )
    requesters = serializers.ListField(child=ColleagueField(), required=False, max_length=APPROVERS_MAX)
    match_fields = RuleField(many=True, required=False, max_length=FIELDS_MAX)
    levels = RuleLevel(many=True, min_length=1, max_length=LEVELS_MAX)
    due_days = StrictIntegerField(min_value=1, max_value=366, required=False)
    expires_days = StrictIntegerField(min_value=1, max_value=366, required=False)
    reason = StrictCharField(**TEXT)

    def validate_match_fields(self, given):
        named = {each["name"]: each["any_of"] for each in given}
        if len(named) < len(given):
            raise serializers.ValidationError("Each name once.")
        return named


class ApprovalRuleCreate(RuleConditions):
    entity = EntityField(help_text="The rule holds here and for all below.")
    name = StrictCharField(max_length=100)
    kind = StrictCharField(max_length=64, allow_blank=True, help_text="Empty, for a fallback: every kind.")
    is_fallback = StrictBooleanField(required=False, default=False)


class RuleFilter(filters.FilterSet):
    entity = filters.UUIDFilter(field_name="entity_id")
    kind = filters.CharFilter()
    is_fallback = filters.BooleanFilter()

    class Meta:
        model = ApprovalRule
        fields = ()


class RuleViewSet(ActingPermission, ServiceViewSet):
    """Which acts need whose approval."""

    serializer_class = ApprovalRuleRead
    filterset_class = RuleFilter
    lookup_url_kwarg = "approval_rule_id"
    ordering_fields = ("created_at", "name")
    search_fields = ("name",)
    action_permissions = {
        "list": queries.VIEW_RULE,
        "retrieve": queries.VIEW_RULE,
        "create": PROPOSE,
        "update": PROPOSE,
        "confirm": "approvals.confirm_rule",
        "withdraw": "approvals.withdraw_rule",
    }

    def get_queryset(self):
        return seen_or_done(queries.rules_for, self, queries.VIEW_RULE)

    @extend_schema(request=ApprovalRuleCreate, responses={201: ApprovalRuleRead})
    def create(self, request):
        """Propose a rule: in force once another controller confirms it."""
        order = self.parse(ApprovalRuleCreate)
        entity = order.pop("entity")
        require(request.user, PROPOSE, entity)
        rule = services.propose_rule(
            actor=self.actor,
            entity_id=entity.pk,
            name=order.pop("name"),
            kind=order.pop("kind"),
            is_fallback=order.pop("is_fallback"),
            terms=_terms(order),
        )
        return self.reply(rule, created=True)

    @extend_schema(request=RuleConditions, responses=ApprovalRuleRead)
    def update(self, request, approval_rule_id):
        """Propose other terms: all of them, in force in the place of the present ones once another confirms."""
        order = self.parse(RuleConditions)
        rule = services.propose_rule_version(
            actor=self.actor,
            rule_id=self.get_object().pk,
            terms=_terms(order),
            version=self.expected_version(),
        )
        return self.reply(rule)

    @extend_schema(request=NoInput, responses=ApprovalRuleRead)
    @action(detail=True, methods=["post"])
    def confirm(self, request, approval_rule_id):
        """Put the proposed version into force: by another controller than who proposed it."""
        self.parse(NoInput)
        rule = services.confirm_rule(
            actor=self.actor, rule_id=self.get_object().pk, version=self.expected_version()
        )
        return self.reply(rule)

    @extend_schema(request=Explained, responses=ApprovalRuleRead)
    @action(detail=True, methods=["post"])
    def withdraw(self, request, approval_rule_id):
        """Drop the proposed version; what is in force stays."""
        order = self.parse(Explained)
        rule = services.withdraw_rule(actor=self.actor, rule_id=self.get_object().pk, reason=order["comment"])
        return self.reply(rule)


def _terms(order: dict) -> RuleTerms:
    department = order.pop("department", None)
    return RuleTerms(
        levels=[_level(level) for level in order.pop("levels")],
        department_id=department and department.pk,
        requesters=[person.pk for person in order.pop("requesters", ())],
        fields=order.pop("match_fields", {}),
        **order,
    )


def _level(level: dict) -> dict:
    approvers = [
        approver | ({"user": str(approver["user"].pk)} if "user" in approver else {})
        for approver in level["approvers"]
    ]
    return dict(level) | {"approvers": [dict(approver) for approver in approvers]}
