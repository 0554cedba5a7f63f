"""The cost of a department: what was posted to it, and moving some of a line's cost to it."""

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from billing.entities import queries as entities
from billing.entities.api.fields import ActingPermission
from billing.invoicing import queries, services
from billing.invoicing.api import serializers
from billing.invoicing.api.filters import AllocationFilter
from billing.invoicing.models import CostAllocation, InvoiceLine
from billing.kernel.api.viewsets import ServiceViewSet


class DepartmentAllocationViewSet(ActingPermission, ServiceViewSet):
    queryset = CostAllocation.objects.none()  # what the schema looks at
    serializer_class = serializers.AllocationRead
    filterset_class = AllocationFilter
    lookup_url_kwarg = "allocation_id"
    ordering_fields = ("created_at", "net_amount", "gl_code")
    idempotency_required_actions = frozenset({"create"})
    action_permissions = {
        "list": "invoicing.view_costallocation",
        "create": "invoicing.allocate_cost",
    }

    def get_queryset(self):
        permission = self.action_permissions[self.action]
        return queries.allocations_for(self.request.user, permission).filter(
            department=self._department(permission)
        )

    @extend_schema(request=serializers.AllocationCreate, responses={201: serializers.Allocated})
    def create(self, request, department_id):
        """The shares it touches are taken back and posted anew; the answer are the new ones."""
        department = self._department("invoicing.allocate_cost")
        order = self.parse(serializers.AllocationCreate)
        line = self._line(order)
        giver = order.get("from_department")
        posted = services.allocate_cost(
            actor=self.actor,
            department_id=department.pk,
            line_id=line.pk,
            amount=order["amount"],
            reason=order["reason"],
            posted_on=entities.today_at(line.invoice.seller),
            from_department_id=giver and giver.pk,
        )
        shown = queries.allocations_for(request.user, "invoicing.allocate_cost")
        shown = shown.filter(pk__in=[share.pk for share in posted]).order_by("pk")
        return Response(serializers.Allocated({"results": shown}).data, status=201)

    def _department(self, permission: str):
        departments = entities.departments_for(self.request.user, permission)
        department = departments.filter(pk=self.kwargs["department_id"]).first()
        if department is None:
            raise Http404
        return department

    def _line(self, order: dict) -> InvoiceLine:
        within = queries.invoices_for(self.request.user, "invoicing.allocate_cost")
        line = (
            InvoiceLine.objects.filter(pk=order["line"], invoice__in=within)
            .select_related("invoice__seller")
            .first()
        )
        if line is None:
            raise ValidationError({"line": ["There is no such object."]})
        if line.currency != order["currency"]:
            raise ValidationError({"currency": [f"The line is in {line.currency}."]})
        return line
