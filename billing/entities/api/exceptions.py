"""Roles that one person may not hold together: what was allowed for a time, and what is held."""

import django_filters as filters
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action

from billing.access.api.permissions import require
from billing.access.api.serializers import AccountBrief
from billing.access.roles import Role
from billing.entities import queries, services
from billing.entities.api.fields import AccountField, ActingPermission, EntityField
from billing.entities.api.naming import by_email, one_of
from billing.entities.api.serializers import EntityBrief, StateReason
from billing.entities.models import RoleException
from billing.entities.role_conflicts import RoleConflict, count_conflicts, role_conflicts
from billing.entities.states import ExceptionState
from billing.kernel.api.fields import IdField, StrictCharField, StrictChoiceField, StrictDateField
from billing.kernel.api.pagination import ReportPagination
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceView, ServiceViewSet

APPROVE = "entities.approve_exception"


class RoleExceptionRead(ReadSerializer):
    """`person` may hold `role` and `other_role` together, over the entity and all below it."""

    person = IdField(source="person_id")
    entity = IdField(source="entity_id")
    entity_code = serializers.CharField(source="entity.code")
    state = serializers.ChoiceField(choices=ExceptionState.choices)
    approved_by = IdField(source="approved_by_id")

    class Meta:
        model = RoleException
        fields = (
            "id",
            "person",
            "role",
            "other_role",
            "entity",
            "entity_code",
            "starts_on",
            "ends_on",
            "state",
            "approved_by",
            "revoked_at",
            "reason",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class RoleExceptionCreate(StrictSerializer):
    person = AccountField(required=False, help_text="Or `email`.")
    email = StrictCharField(max_length=254, required=False, help_text="Of an active account; or `person`.")
    role = StrictChoiceField(choices=Role.choices)
    other_role = StrictChoiceField(choices=Role.choices)
    entity = EntityField()
    starts_on = StrictDateField()
    ends_on = StrictDateField(help_text="Exclusive; at most a year later.")
    reason = StrictCharField(max_length=1000, multiline=True)

    def validate(self, given):
        one_of(given, "person", "email")
        if "email" in given:
            given["person"] = by_email(given.pop("email"))
        return given


class RoleExceptionFilter(filters.FilterSet):
    person = filters.UUIDFilter(field_name="person_id")
    role = filters.ChoiceFilter(choices=Role.choices, method="of_role", help_text="Either of the two.")
    entity = filters.UUIDFilter(field_name="entity_id")
    state = filters.MultipleChoiceFilter(choices=ExceptionState.choices)

    class Meta:
        model = RoleException
        fields = ()

    def of_role(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(Q(role=value) | Q(other_role=value))


class RoleExceptionViewSet(ActingPermission, ServiceViewSet):
    """Conflicting roles that a controller has allowed a person to hold together for a time."""

    serializer_class = RoleExceptionRead
    filterset_class = RoleExceptionFilter
    lookup_url_kwarg = "role_exception_id"
    ordering_fields = ("created_at", "starts_on", "ends_on")
    search_fields = ("person__name", "person__email", "entity__code", "entity__name")
    expandable = {"person": AccountBrief, "entity": EntityBrief, "approved_by": AccountBrief}
    expand_related = {name: ("select", name) for name in expandable}
    conditional_reads = False  # the day decides its state
    action_permissions = {
        "list": queries.VIEW_EXCEPTION,
        "retrieve": queries.VIEW_EXCEPTION,
        "create": APPROVE,
        "revoke": "entities.revoke_exception",
    }

    def get_queryset(self) -> QuerySet[RoleException]:
        return queries.exceptions_with_state(queries.exceptions_for(self.request.user)).select_related(
            "entity"
        )

    @extend_schema(request=RoleExceptionCreate, responses={201: RoleExceptionRead})
    def create(self, request):
        """Allow somebody else to hold two conflicting roles: they are then granted as usual, and end with it."""
        order = self.parse(RoleExceptionCreate)
        person, entity = order.pop("person"), order.pop("entity")
        require(request.user, APPROVE, entity)
        exception = services.approve_exception(
            actor=self.actor, person_id=person.pk, entity_id=entity.pk, **order
        )
        return self.reply(exception, created=True)

    @extend_schema(request=StateReason, responses=RoleExceptionRead)
    @action(detail=True, methods=["post"])
    def revoke(self, request, role_exception_id):
        """Take it back, once one of the two roles is revoked. Doing it again changes nothing."""
        order = self.parse(StateReason)
        exception = services.revoke_exception(
            actor=self.actor, exception_id=self.get_object().pk, version=self.expected_version(), **order
        )
        return self.reply(exception)


class RoleConflictRead(serializers.Serializer):
    """Two grants of a person. `allowed_by` and what follows are of the exception that covers them, or null. A grant
    and its place are null where the reader does not reach."""

    id = IdField(help_text="Of this pair of grants.")
    person = IdField(source="person_id")
    person_name = serializers.CharField(source="person")
    person_email = serializers.EmailField(source="email")
    grant = IdField(source="grant_id", allow_null=True)
    role = serializers.ChoiceField(choices=Role.choices)
    place = serializers.CharField(allow_null=True, help_text="Codes: the entity, or entity / department.")
    other_grant = IdField(source="other_grant_id", allow_null=True)
    other_role = serializers.ChoiceField(choices=Role.choices)
    other_place = serializers.CharField(allow_null=True)
    starts_on = serializers.DateField()
    ends_on = serializers.DateField(allow_null=True, help_text="Exclusive.")
    exception = IdField(allow_null=True)
    allowed_by = serializers.CharField(allow_null=True, help_text="The name of a controller.")
    allowed_from = serializers.DateField(allow_null=True)
    allowed_until = serializers.DateField(allow_null=True, help_text="Exclusive.")
    reason = serializers.CharField(allow_null=True)


class AsOf(StrictSerializer):
    as_of = StrictDateField(
        required=False, help_text="What is held on this day (UTC) or later. Default: today."
    )


class RoleConflictsView(ServiceView):
    """The auditor's report: who holds conflicting roles together, by person, and who allowed it."""

    serializer_class = RoleConflictRead
    pagination_class = ReportPagination
    ordering = "person"
    actions = {"get": "list"}
    list_actions = frozenset({"list"})
    query_serializers = {"list": AsOf}
    action_permissions = {"list": queries.VIEW_EXCEPTION}

    def get(self, request):
        """List conflicting roles that are held together."""
        terms = {"as_of": timezone.now().date(), "within": request.user} | self.query()
        pages = ReportPagination()
        rows = pages.paginate_report(
            lambda **part: role_conflicts(**terms, **part),
            count=lambda: count_conflicts(**terms),
            key_of=RoleConflict.key.fget,
            request=request,
            view=self,
        )
        return pages.get_paginated_response(RoleConflictRead(rows, many=True).data)
