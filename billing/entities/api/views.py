from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from billing.access.api.permissions import require
from billing.access.permissions import PERMISSIONS
from billing.entities import queries, services
from billing.entities.api import serializers
from billing.entities.api.fields import ActingPermission, seen_or_done
from billing.entities.api.filters import DepartmentFilter, EntityFilter
from billing.entities.editing import CONTACT, DEPARTMENT, LEGAL
from billing.entities.models import BillingEntity, Department
from billing.entities.reach import live_grants_of, only_proposes
from billing.kernel.api.viewsets import ServiceView, ServiceViewSet


class EntityViewSet(ActingPermission, ServiceViewSet):
    serializer_class = serializers.EntityRead
    filterset_class = EntityFilter
    lookup_url_kwarg = "entity_id"
    ordering = "-created_at"
    ordering_fields = ("created_at", "updated_at", "code", "name")
    search_fields = ("code", "name", "legal_name", "external_reference")
    expandable = {"parent": serializers.EntityBrief}
    expand_related = {"parent": ("select", "parent")}
    approval_actions = frozenset({"update", "partial_update"})
    conditional_reads = False  # who asks decides which fields are shown
    action_permissions = {
        "list": "entities.view_billingentity",
        "retrieve": "entities.view_billingentity",
        "hierarchy": "entities.view_billingentity",
        "create": "entities.create_entity",
        "update": "entities.update_entity",
        "partial_update": "entities.update_entity",
        "move": "entities.move_entity",
        "cancel_move": "entities.move_entity",
        "activate": "entities.activate_entity",
        "suspend": "entities.suspend_entity",
        "resume": "entities.resume_entity",
        "close": "entities.close_entity",
    }

    def get_queryset(self):
        return seen_or_done(queries.entities_for, self, queries.VIEW_ENTITY)

    def create(self, request):
        facts = self.parse(serializers.EntityCreate)
        parent = facts.pop("parent")
        require(request.user, "entities.create_entity", parent)
        facts.setdefault("starts_on", queries.today_at(parent))
        as_draft = only_proposes(request.user, "entities.create_entity", parent)
        entity = services.create_entity(actor=self.actor, parent_id=parent.pk, as_draft=as_draft, **facts)
        return self.reply(entity, created=True)

    def update(self, request, entity_id):
        given = self.parse(serializers.EntityUpdate)
        return self.reply(self._change(_with_defaults(BillingEntity, CONTACT, given)))

    def partial_update(self, request, entity_id):
        return self.reply(self._change(self.parse(serializers.EntityUpdate, partial=True)))

    @extend_schema(responses=serializers.EntityNode)
    @action(detail=True, methods=["get"])
    def hierarchy(self, request, entity_id):
        tree = queries.entity_tree(self.get_object(), request.user)
        return Response(serializers.EntityNode(tree).data)

    @action(detail=True, methods=["post"])
    def move(self, request, entity_id):
        order = self.parse(serializers.EntityMove)
        entity, parent = self.get_object(), order.pop("parent")
        require(request.user, "entities.move_entity", parent)
        entity = services.move_entity(
            actor=self.actor,
            entity_id=entity.pk,
            parent_id=parent.pk,
            as_of=queries.today_at(entity),
            version=self.expected_version(),
            **order,
        )
        return self.reply(entity)

    @action(detail=True, methods=["post"], url_path="cancel-move")
    def cancel_move(self, request, entity_id):
        order = self.parse(serializers.StateReason)
        entity = self.get_object()
        services.cancel_move(actor=self.actor, entity_id=entity.pk, **order)
        return self.reply(entity)

    @action(detail=True, methods=["post"])
    def activate(self, request, entity_id):
        order = self.parse(serializers.OptionalStateReason)
        entity = services.activate_entity(actor=self.actor, entity_id=self.get_object().pk, **order)
        return self.reply(entity)

    @action(detail=True, methods=["post"])
    def suspend(self, request, entity_id):
        order = self.parse(serializers.StateReason)
        entity = services.suspend_entity(actor=self.actor, entity_id=self.get_object().pk, **order)
        return self.reply(entity)

    @action(detail=True, methods=["post"])
    def resume(self, request, entity_id):
        order = self.parse(serializers.OptionalStateReason)
        entity = services.resume_entity(actor=self.actor, entity_id=self.get_object().pk, **order)
        return self.reply(entity)

    @action(detail=True, methods=["post"])
    def close(self, request, entity_id):
        order = self.parse(serializers.StateReason)
        entity = services.close_entity(actor=self.actor, entity_id=self.get_object().pk, **order)
        return self.reply(entity)

    def _change(self, changes: dict) -> BillingEntity:
        entity = self.get_object()
        legal = {field for field in LEGAL & set(changes) if changes[field] != getattr(entity, field)}
        if legal:
            require(self.request.user, "entities.update_entity_legal", entity)
        return services.update_entity(
            actor=self.actor,
            entity_id=entity.pk,
            changes={field: changes[field] for field in changes if field not in LEGAL - legal},
            version=self.expected_version(),
        )


class DepartmentViewSet(ActingPermission, ServiceViewSet):
    serializer_class = serializers.DepartmentRead
    filterset_class = DepartmentFilter
    lookup_url_kwarg = "department_id"
    ordering = "-created_at"
    ordering_fields = ("created_at", "updated_at", "code", "name")
    search_fields = ("code", "name", "cost_centre", "external_reference")
    expandable = {"entity": serializers.EntityBrief}
    expand_related = {"entity": ("select", "entity")}
    action_permissions = {
        "list": "entities.view_department",
        "retrieve": "entities.view_department",
        "create": "entities.create_department",
        "update": "entities.update_department",
        "partial_update": "entities.update_department",
    }

    def get_queryset(self):
        found = seen_or_done(queries.departments_for, self, queries.VIEW_DEPARTMENT)
        return found.select_related("entity")

    def create(self, request):
        facts = _by_id(self.parse(serializers.DepartmentCreate))
        entity = facts.pop("entity")
        require(request.user, "entities.create_department", entity)
        if facts.get("default_gl_code"):
            require(request.user, "entities.update_department_gl_code", entity)
        facts.setdefault("starts_on", queries.today_at(entity))
        department = services.create_department(actor=self.actor, entity_id=entity.pk, **facts)
        return self.reply(department, created=True)

    def update(self, request, department_id):
        given = _by_id(self.parse(serializers.DepartmentUpdate))
        return self.reply(self._change(_with_defaults(Department, DEPARTMENT, given)))

    def partial_update(self, request, department_id):
        return self.reply(self._change(_by_id(self.parse(serializers.DepartmentUpdate, partial=True))))

    def _change(self, changes: dict) -> Department:
        department = self.get_object()
        if changes.get("default_gl_code", department.default_gl_code) != department.default_gl_code:
            require(self.request.user, "entities.update_department_gl_code", department)
        else:
            changes.pop("default_gl_code", None)
        return services.update_department(
            actor=self.actor,
            department_id=department.pk,
            changes=changes,
            version=self.expected_version(),
        )


class MeView(ServiceView):
    """Who am I, which roles do I hold, and what may I do?"""

    signed_in_is_enough = True
    serializer_class = serializers.Me

    def get(self, request):
        user, key = request.user, request.auth
        grants = live_grants_of(user).select_related("entity", "department").prefetch_related("limits")
        body = {
            "id": user.pk,
            "kind": user.kind,
            "email": user.email,
            "name": user.name,
            "language": user.language,
            "time_zone": user.time_zone,
            "key": key,
            "grants": grants,
            "permissions": sorted(permission for permission in PERMISSIONS if user.has_perm(permission)),
        }
        return Response(serializers.Me(body).data)


def _with_defaults(model, editable: frozenset[str], given: dict) -> dict:
    """A PUT: what it leaves out goes back to what a new object has."""
    blank = model()
    return {field: getattr(blank, field) for field in editable} | given


def _by_id(given: dict) -> dict:
    """References as the service takes them."""
    return {
        f"{name}_id" if name in {"parent", "manager"} else name: (value and value.pk)
        if name in {"parent", "manager"}
        else value
        for name, value in given.items()
    }
