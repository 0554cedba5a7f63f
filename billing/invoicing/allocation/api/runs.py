"""Posted cost allocated anew, a period at a time: by a rule, or department after department."""

from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError

from billing.access.api.permissions import require
from billing.entities import queries as entities
from billing.entities.api.fields import ActingPermission, EntityField, seen_or_done
from billing.invoicing import queries, services
from billing.invoicing.allocation.api.rules import Period
from billing.invoicing.api.filters import AllocationRunFilter
from billing.invoicing.models import AllocationRule, AllocationRun
from billing.kernel.api import fields
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet

STEPS_MAX = 100


class AllocationRunRead(ReadSerializer):
    """`starts_on` is included, `ends_on` is not. `rule_version` is empty and `steps` are not for a step-down."""

    rule = fields.IdField(source="rule_version.rule_id", read_only=True, allow_null=True)
    rule_code = serializers.CharField(source="rule_version.rule.code", read_only=True, allow_null=True)

    class Meta:
        model = AllocationRun
        fields = (
            "id",
            "entity",
            "kind",
            "rule",
            "rule_code",
            "rule_version",
            "steps",
            "starts_on",
            "ends_on",
            "posted_on",
            "reason",
            "state",
            "lines_moved",
            "lines_kept",
            "reversed_on",
            "reversal_reason",
            "requested_by",
            "finished_at",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class Weight(StrictSerializer):
    department_code = fields.StrictCharField(max_length=64)
    weight = fields.ExactAmountField(min_value=0)


class StepWrite(StrictSerializer):
    """What the department bears goes to others in proportion to `weights`; without them, to headcount."""

    department_code = fields.StrictCharField(max_length=64)
    weights = Weight(many=True, required=False, allow_empty=False, max_length=STEPS_MAX)


class AllocationRunCreate(Period):
    """Either `rule`, or `entity` and `steps` for a step-down of the entity's departments."""

    rule = fields.IdField(required=False)
    entity = EntityField(required=False)
    steps = StepWrite(many=True, required=False, allow_empty=False, max_length=STEPS_MAX)
    reason = fields.StrictCharField(max_length=1000, multiline=True)

    def validate(self, given: dict) -> dict:
        by_rule, stepping = {"rule"} & given.keys(), {"entity", "steps"} & given.keys()
        if bool(by_rule) == bool(stepping) or len(stepping) == 1:
            raise serializers.ValidationError({"rule": ["Name a rule, or an entity and steps."]})
        return super().validate(given)


class AllocationRunReverse(StrictSerializer):
    reason = fields.StrictCharField(max_length=1000, multiline=True)


class AllocationRunViewSet(ActingPermission, ServiceViewSet):
    """Runs that allocate posted cost anew. They are booked on the day they are asked for."""

    serializer_class = AllocationRunRead
    filterset_class = AllocationRunFilter
    lookup_url_kwarg = "allocation_run_id"
    ordering_fields = ("created_at", "starts_on", "finished_at")
    idempotency_required_actions = frozenset({"create", "reverse"})
    action_permissions = {
        "list": "invoicing.view_allocationrun",
        "retrieve": "invoicing.view_allocationrun",
        "create": "invoicing.run_allocation",
        "reverse": "invoicing.reverse_allocation_run",
    }

    def get_queryset(self):
        return seen_or_done(queries.allocation_runs_for, self, queries.VIEW_ALLOCATION_RUN)

    def create(self, request):
        """Queue a run. One that was broken off goes on when it is asked for again."""
        order = self.parse(AllocationRunCreate)
        rule_id, entity, steps = (order.pop(name, None) for name in ("rule", "entity", "steps"))
        rule = self._rule(rule_id) if rule_id else None
        entity = rule.entity if rule else entity
        require(request.user, "invoicing.run_allocation", entity)
        order |= {"actor": self.actor, "posted_on": entities.today_at(entity)}
        run, job = (
            services.run_allocation_rule(rule_id=rule.pk, **order)
            if rule
            else services.step_down_costs(entity_id=entity.pk, steps=_steps(steps), **order)
        )
        return self.accepted(job, run=str(run.pk))

    @action(detail=True, methods=["post"])
    def reverse(self, request, allocation_run_id):
        """Put the shares back that the run replaced."""
        order = self.parse(AllocationRunReverse)
        run = self.get_object()
        run, job = services.reverse_allocation_run(
            actor=self.actor,
            run_id=run.pk,
            reversed_on=entities.today_at(run.entity),
            version=self.expected_version(required=True),
            **order,
        )
        return self.accepted(job, run=str(run.pk))

    def _rule(self, rule_id) -> AllocationRule:
        within = queries.allocation_rules_for(self.request.user, "invoicing.run_allocation")
        rule = within.filter(pk=rule_id).select_related("entity").first()
        if rule is None:
            raise ValidationError({"rule": ["There is no such object."]})
        return rule


def _steps(steps: list[dict]) -> list[services.StepTerms]:
    return [
        services.StepTerms(
            department_code=step["department_code"],
            weights={each["department_code"]: each["weight"] for each in step["weights"]}
            if "weights" in step
            else None,
        )
        for step in steps
    ]
