"""Which GL code cost is posted under, before those of products and departments are asked."""

from rest_framework.decorators import action

from billing.access.api.permissions import require
from billing.entities.api.fields import ActingPermission, DepartmentField, EntityField, seen_or_done
from billing.invoicing import queries, services
from billing.invoicing.api.filters import GLCodeMappingFilter
from billing.invoicing.models import GLCodeMapping
from billing.kernel.api import fields
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet
from billing.tax.core.tax import TaxTreatment


class MappingRead(ReadSerializer):
    class Meta:
        model = GLCodeMapping
        fields = (
            "id",
            "entity",
            "product",
            "department",
            "tax_category",
            "gl_code",
            "starts_on",
            "ends_on",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class MappingCreate(StrictSerializer):
    """At least one of product, department and tax category; the more it names, the sooner it is taken."""

    entity = EntityField(help_text="For what is billed to it and to those below it.")
    product = fields.IdField(source="product_id", required=False, allow_null=True)
    department = DepartmentField(required=False, allow_null=True)
    tax_category = fields.StrictChoiceField(choices=TaxTreatment.choices, required=False)
    gl_code = fields.StrictCharField(max_length=64)
    starts_on = fields.StrictDateField(help_text="The first day on which a line's service may start.")
    ends_on = fields.StrictDateField(
        required=False, allow_null=True, help_text="Exclusive; empty: until further notice."
    )


class MappingEnd(StrictSerializer):
    ends_on = fields.StrictDateField(help_text="Exclusive.")
    reason = fields.StrictCharField(max_length=1000, multiline=True)


class GLCodeMappingViewSet(ActingPermission, ServiceViewSet):
    """GL codes by product, department and tax category, from a day until another."""

    serializer_class = MappingRead
    filterset_class = GLCodeMappingFilter
    lookup_url_kwarg = "mapping_id"
    ordering_fields = ("created_at", "gl_code", "starts_on", "ends_on")
    search_fields = ("gl_code",)
    action_permissions = {
        "list": "invoicing.view_glcodemapping",
        "retrieve": "invoicing.view_glcodemapping",
        "create": "invoicing.create_gl_code_mapping",
        "end": "invoicing.end_gl_code_mapping",
    }

    def get_queryset(self):
        return seen_or_done(queries.gl_code_mappings_for, self, queries.VIEW_MAPPING)

    def create(self, request):
        order = self.parse(MappingCreate)
        entity, department = order.pop("entity"), order.pop("department", None)
        require(request.user, "invoicing.create_gl_code_mapping", entity)
        mapping = services.add_gl_code_mapping(
            actor=self.actor, entity_id=entity.pk, department_id=department and department.pk, **order
        )
        return self.reply(mapping, created=True)

    @action(detail=True, methods=["post"])
    def end(self, request, mapping_id):
        """It ends on a day before the one on which it would. What is posted stays."""
        order = self.parse(MappingEnd)
        mapping = services.end_gl_code_mapping(
            actor=self.actor, mapping_id=self.get_object().pk, version=self.expected_version(), **order
        )
        return self.reply(mapping)
