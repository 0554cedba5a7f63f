"""Rules by which cost is allocated: drafted, tried out, activated, followed by their next version, retired."""

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from billing.access.api.permissions import require
from billing.entities.api.fields import ActingPermission, EntityField, seen_or_done
from billing.invoicing import queries, services
from billing.invoicing.allocation.models.rules import DRIVERS, TARGET_KINDS
from billing.invoicing.api.filters import AllocationRuleFilter
from billing.invoicing.models import (
    AllocationRule,
    AllocationRuleVersion,
    AllocationTarget,
    LineKind,
    RuleKind,
)
from billing.invoicing.states import RuleState
from billing.kernel.api import fields
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet

TARGETS_MAX = 200
CODE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"


class TargetRead(ReadSerializer):
    percent = fields.ExactAmountField(read_only=True)

    class Meta:
        model = AllocationTarget
        fields = (
            "position",
            "kind",
            "department_code",
            "percent",
            "amount",
            "currency",
            "driver",
            "driver_meter",
        )
        read_only_fields = fields


class RuleVersionRead(ReadSerializer):
    """`starts_on` is included, `ends_on` is not: days on which a line's service may start."""

    targets = TargetRead(many=True, read_only=True)

    class Meta:
        model = AllocationRuleVersion
        fields = (
            "id",
            "number",
            "state",
            "kind",
            "priority",
            "product",
            "meter",
            "gl_code",
            "line_kind",
            "currency",
            "starts_on",
            "ends_on",
            "targets",
            "created_at",
        )
        read_only_fields = fields


class RuleRead(ReadSerializer):
    state = serializers.ChoiceField(choices=RuleState.choices, read_only=True)
    versions = RuleVersionRead(many=True, read_only=True, source="listed_versions")

    class Meta:
        model = AllocationRule
        fields = ("id", "entity", "code", "name", "state", "versions", "version", "created_at", "updated_at")
        read_only_fields = fields


class TargetWrite(StrictSerializer):
    """The figures of its kind and no others."""

    kind = fields.StrictChoiceField(choices=TARGET_KINDS)
    department_code = fields.StrictCharField(
        max_length=64, required=False, help_text="Every kind but a driver names one."
    )
    percent = fields.ExactAmountField(
        required=False,
        above=0,
        max_value=100,
        help_text="percent, driver: of the line, four decimals at most.",
    )
    amount = fields.MoneyAmountField(
        required=False, above=0, help_text="fixed: never more than what is left."
    )
    currency = fields.CurrencyCodeField(required=False, help_text="fixed.")
    driver = fields.StrictChoiceField(choices=DRIVERS, required=False)
    driver_meter = fields.IdField(
        source="driver_meter_id", required=False, help_text="driver usage: whose units count."
    )


class TermsWrite(StrictSerializer):
    """Which lines a version divides, and how. What is left out means any."""

    kind = fields.StrictChoiceField(
        choices=RuleKind.choices,
        default=RuleKind.STANDARD,
        help_text="override: lines that name a department too.",
    )
    priority = fields.StrictIntegerField(
        default=0,
        min_value=-1000,
        max_value=1000,
        help_text="Of equally specific rules the highest goes first.",
    )
    product = fields.IdField(source="product_id", required=False, allow_null=True)
    meter = fields.IdField(source="meter_id", required=False, allow_null=True)
    gl_code = fields.StrictCharField(max_length=64, required=False, help_text="As it is on the line.")
    line_kind = fields.StrictChoiceField(choices=LineKind.choices, required=False)
    starts_on = fields.StrictDateField()
    ends_on = fields.StrictDateField(
        required=False, allow_null=True, help_text="Exclusive; empty: until further notice."
    )
    targets = TargetWrite(many=True, max_length=TARGETS_MAX, allow_empty=False)


class RuleCreate(TermsWrite):
    entity = EntityField(help_text="Whose lines it divides, and of those below it.")
    code = serializers.RegexField(CODE)
    name = fields.StrictCharField(max_length=200)


class RuleRetire(StrictSerializer):
    ends_on = fields.StrictDateField(help_text="Exclusive: lines whose service starts from then on.")
    reason = fields.StrictCharField(max_length=1000, multiline=True)


class Period(StrictSerializer):
    """Half-open, by the day on which a line's service starts."""

    starts_on = fields.StrictDateField()
    ends_on = fields.StrictDateField(help_text="Exclusive.")

    def validate(self, given: dict) -> dict:
        if given["ends_on"] <= given["starts_on"]:
            raise serializers.ValidationError({"ends_on": ["It ends after the day on which it starts."]})
        return given


class ShiftRead(serializers.Serializer):
    department = fields.IdField(source="department.pk", read_only=True)
    department_code = serializers.CharField(source="department.code", read_only=True)
    entity = fields.IdField(source="department.entity_id", read_only=True)
    currency = serializers.CharField(read_only=True)
    before_amount = fields.MoneyAmountField(read_only=True)
    after_amount = fields.MoneyAmountField(read_only=True)
    difference_amount = fields.MoneyAmountField(read_only=True)


class SimulationRead(serializers.Serializer):
    """Net cost by department on the lines that the version would divide."""

    number = serializers.IntegerField(source="version.number", read_only=True)
    lines_in_scope = serializers.IntegerField(read_only=True)
    lines_divided = serializers.IntegerField(
        read_only=True, help_text="The others go by a better rule, or their customer lacks a department."
    )
    shifts = ShiftRead(many=True, read_only=True)


class AllocationRuleViewSet(ActingPermission, ServiceViewSet):
    """Rules by which cost that names no department is divided, with all their versions."""

    serializer_class = RuleRead
    filterset_class = AllocationRuleFilter
    lookup_url_kwarg = "rule_id"
    ordering_fields = ("created_at", "code", "name")
    search_fields = ("code", "name")
    action_permissions = {
        "list": "invoicing.view_allocationrule",
        "retrieve": "invoicing.view_allocationrule",
        "create": "invoicing.create_allocation_rule",
        "versions": "invoicing.create_allocation_rule",
        "activate": "invoicing.activate_allocation_rule",
        "retire": "invoicing.retire_allocation_rule",
        "simulate": "invoicing.simulate_allocation_rule",
    }

    def get_queryset(self):
        listed = AllocationRuleVersion.objects.order_by("number").prefetch_related("targets")
        rules = seen_or_done(queries.allocation_rules_for, self, queries.VIEW_RULE)
        return rules.prefetch_related(Prefetch("versions", listed, to_attr="listed_versions"))

    def create(self, request):
        """Draft a rule. It divides nothing until it is activated."""
        order = self.parse(RuleCreate)
        entity, code, name = order.pop("entity"), order.pop("code"), order.pop("name")
        require(request.user, "invoicing.create_allocation_rule", entity)
        rule = services.create_allocation_rule(
            actor=self.actor, entity_id=entity.pk, code=code, name=name, terms=_terms(order)
        )
        return self.reply(rule, created=True)

    @action(detail=True, methods=["post"])
    def versions(self, request, rule_id):
        """Write the rule's draft anew, or begin its next version as a draft."""
        order = self.parse(TermsWrite)
        rule = self.get_object()
        services.revise_allocation_rule(
            actor=self.actor, rule_id=rule.pk, terms=_terms(order), version=self.expected_version()
        )
        return self.reply(rule, status=201)

    @action(detail=True, methods=["post"])
    def activate(self, request, rule_id):
        """The draft divides lines that are issued from now on; the version before it ends where it starts."""
        rule = self.get_object()
        services.activate_allocation_rule(
            actor=self.actor, rule_id=rule.pk, version=self.expected_version(required=True)
        )
        return self.reply(rule)

    @action(detail=True, methods=["post"])
    def retire(self, request, rule_id):
        """Lines whose service starts from a day on are no longer divided by it. What is posted stays."""
        order = self.parse(RuleRetire)
        rule = services.retire_allocation_rule(
            actor=self.actor, rule_id=self.get_object().pk, version=self.expected_version(), **order
        )
        return self.reply(rule)

    @extend_schema(request=Period, responses=SimulationRead)
    @action(detail=True, methods=["post"])
    def simulate(self, request, rule_id):
        """What the posted cost of a period would have looked like by the draft, else by the active version."""
        order = self.parse(Period)
        simulated = services.simulate_allocation_rule(rule_id=self.get_object().pk, **order)
        return Response(SimulationRead(simulated).data)


def _terms(order: dict) -> services.RuleTerms:
    targets = [services.TargetTerms(**target) for target in order.pop("targets")]
    return services.RuleTerms(targets=targets, **order)
