"""Roles: granted by one person, confirmed by another, taken away."""

import django_filters as filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action

from billing.access.api.permissions import require
from billing.access.api.serializers import AccountBrief
from billing.access.roles import Role
from billing.entities import queries, services
from billing.entities.api.fields import AccountField, ActingPermission, DepartmentField, EntityField
from billing.entities.api.naming import by_code, by_email, one_of
from billing.entities.api.serializers import DepartmentBrief, EntityBrief, LimitRead, StateReason
from billing.entities.models import RoleGrant
from billing.entities.reach import may
from billing.entities.states import GrantState
from billing.kernel.api.fields import (
    CurrencyCodeField,
    IdField,
    MoneyAmountField,
    StrictCharField,
    StrictChoiceField,
    StrictDateField,
    StrictDateTimeField,
)
from billing.kernel.api.serializers import NoInput, ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet

GRANT = "entities.grant_role"
VIEW_LIMITS = "entities.view_grant_limits"
LIMITS_MAX = 50


class RoleGrantRead(ReadSerializer):
    """`limits` are shown to controllers, auditors, who holds the role and who granted it; absent for others. Without
    any the role has no limit."""

    user = IdField(source="user_id")
    entity = IdField(source="entity_id")
    entity_code = serializers.CharField(source="entity.code")
    department = IdField(source="department_id", allow_null=True)
    limits = LimitRead(many=True, required=False)
    state = serializers.ChoiceField(choices=GrantState.choices)
    granted_by = IdField(source="granted_by_id", allow_null=True)
    confirmed_by = IdField(source="confirmed_by_id", allow_null=True)

    class Meta:
        model = RoleGrant
        fields = (
            "id",
            "user",
            "role",
            "entity",
            "entity_code",
            "department",
            "starts_on",
            "ends_on",
            "ends_at",
            "limits",
            "state",
            "granted_by",
            "confirmed_by",
            "confirmed_at",
            "revoked_at",
            "reason",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def to_representation(self, grant):
        data, reader = super().to_representation(grant), self.context["request"].user
        involved = reader.pk in {grant.user_id, grant.granted_by_id}
        if "limits" in data and not involved and not may(reader, VIEW_LIMITS, grant):
            del data["limits"]
        return data


class GrantLimit(StrictSerializer):
    amount = MoneyAmountField(min_value=0)
    currency = CurrencyCodeField()


class RoleGrantCreate(StrictSerializer):
    """Who grants may not look companies and people up: they are named by id, or by code and e-mail."""

    user = AccountField(required=False, help_text="Or `email`.")
    email = StrictCharField(max_length=254, required=False, help_text="Of an active account; or `user`.")
    role = StrictChoiceField(choices=Role.choices)
    entity = EntityField(required=False, help_text="Or `entity_code`.")
    entity_code = StrictCharField(max_length=64, required=False, help_text="Or `entity`.")
    department = DepartmentField(required=False, help_text="Narrows the role to it and those below.")
    department_code = StrictCharField(max_length=64, required=False, help_text="Or `department`.")
    starts_on = StrictDateField(required=False, help_text="Default: today (UTC).")
    ends_on = StrictDateField(required=False, help_text="Exclusive.")
    ends_at = StrictDateTimeField(required=False, help_text="For less than a day.")
    limits = GrantLimit(
        many=True, required=False, max_length=LIMITS_MAX, help_text="The largest amounts. None: no limit."
    )
    reason = StrictCharField(max_length=1000, multiline=True)

    def validate_limits(self, given):
        limits = {limit["currency"]: limit["amount"] for limit in given}
        if len(limits) < len(given):
            raise serializers.ValidationError("Each currency once.")
        return limits

    def validate(self, given):
        granter = self.context["request"].user
        one_of(given, "user", "email")
        one_of(given, "entity", "entity_code")
        one_of(given, "department", "department_code", required=False)
        if "email" in given:
            given["user"] = by_email(given.pop("email"))
        if "entity_code" in given:
            within = queries.entities_for(granter, GRANT)
            given["entity"] = by_code(within, "entity_code", given.pop("entity_code"))
        if "department_code" in given:
            parts = queries.departments_for(granter, GRANT).filter(entity=given["entity"])
            given["department"] = by_code(parts, "department_code", given.pop("department_code"))
        return given


class RoleGrantFilter(filters.FilterSet):
    """`?state=proposed`: what waits for who confirms it."""

    user = filters.UUIDFilter(field_name="user_id")
    role = filters.MultipleChoiceFilter(choices=Role.choices)
    entity = filters.UUIDFilter(field_name="entity_id")
    department = filters.UUIDFilter(field_name="department_id")
    state = filters.MultipleChoiceFilter(choices=GrantState.choices)

    class Meta:
        model = RoleGrant
        fields = ()


class RoleGrantViewSet(ActingPermission, ServiceViewSet):
    """Who holds which role where, from when to when, and who said so. People only: a key never grants."""

    serializer_class = RoleGrantRead
    filterset_class = RoleGrantFilter
    lookup_url_kwarg = "role_grant_id"
    ordering_fields = ("created_at", "starts_on", "ends_on")
    search_fields = ("user__name", "user__email", "entity__code", "entity__name")
    expandable = {
        "user": AccountBrief,
        "entity": EntityBrief,
        "department": DepartmentBrief,
        "granted_by": AccountBrief,
        "confirmed_by": AccountBrief,
    }
    expand_related = {name: ("select", name) for name in expandable}
    approval_actions = frozenset({"confirm"})
    conditional_reads = False  # the day decides its state, and who asks which fields are shown
    action_permissions = {
        "list": queries.VIEW_GRANT,
        "retrieve": queries.VIEW_GRANT,
        "create": GRANT,
        "confirm": "entities.confirm_grant",
        "revoke": "entities.revoke_grant",
    }

    def get_queryset(self) -> QuerySet[RoleGrant]:
        grants = queries.grants_with_state(queries.grants_for(self.request.user))
        return grants.select_related("entity", "department").prefetch_related("limits")

    @extend_schema(request=RoleGrantCreate, responses={201: RoleGrantRead})
    def create(self, request):
        """Grant a role over an entity and all below it, or a department: in effect once somebody else confirms it."""
        order = self.parse(RoleGrantCreate)
        user, entity, department = order.pop("user"), order.pop("entity"), order.pop("department", None)
        require(request.user, GRANT, department or entity)
        grant = services.grant_role(
            actor=self.actor,
            user_id=user.pk,
            entity_id=entity.pk,
            department_id=department and department.pk,
            **{"starts_on": timezone.now().date()} | order,
        )
        return self.reply(grant, created=True)

    @extend_schema(request=NoInput, responses=RoleGrantRead)
    @action(detail=True, methods=["post"])
    def confirm(self, request, role_grant_id):
        """Put a proposed role into effect: neither by who granted it nor by who receives it."""
        self.parse(NoInput)
        grant = services.confirm_grant(
            actor=self.actor, grant_id=self.get_object().pk, version=self.expected_version()
        )
        return self.reply(grant)

    @extend_schema(request=StateReason, responses=RoleGrantRead)
    @action(detail=True, methods=["post"])
    def revoke(self, request, role_grant_id):
        """Take a role away, with the next request of its holder. Doing it again changes nothing."""
        order = self.parse(StateReason)
        grant = services.revoke_grant(
            actor=self.actor, grant_id=self.get_object().pk, version=self.expected_version(), **order
        )
        return self.reply(grant)
