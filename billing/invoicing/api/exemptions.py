"""Certificates by which customers pay no tax in a country."""

from rest_framework.decorators import action

from billing.access.api.permissions import require
from billing.entities.api.fields import ActingPermission, seen_or_done
from billing.invoicing import queries, services
from billing.invoicing.api import serializers
from billing.invoicing.api.filters import TaxExemptionFilter
from billing.kernel.api.viewsets import ServiceViewSet


class TaxExemptionViewSet(ActingPermission, ServiceViewSet):
    """Tax exemptions of customers, by country and from a day until another."""

    serializer_class = serializers.TaxExemptionRead
    filterset_class = TaxExemptionFilter
    lookup_url_kwarg = "exemption_id"
    ordering_fields = ("created_at", "starts_on", "ends_on", "country")
    search_fields = ("certificate", "customer__name", "customer__code")
    action_permissions = {
        "list": "invoicing.view_taxexemption",
        "retrieve": "invoicing.view_taxexemption",
        "create": "invoicing.create_tax_exemption",
        "end": "invoicing.end_tax_exemption",
    }

    def get_queryset(self):
        return seen_or_done(queries.exemptions_for, self, queries.VIEW_EXEMPTION)

    def create(self, request):
        order = self.parse(serializers.TaxExemptionCreate)
        customer = order.pop("customer")
        require(request.user, "invoicing.create_tax_exemption", customer)
        exemption = services.add_tax_exemption(actor=self.actor, customer_id=customer.pk, **order)
        return self.reply(exemption, created=True)

    @action(detail=True, methods=["post"])
    def end(self, request, exemption_id):
        """It ends on a day before the one on which it would: it was withdrawn, or is replaced."""
        order = self.parse(serializers.TaxExemptionEnd)
        exemption = services.end_tax_exemption(
            actor=self.actor,
            exemption_id=self.get_object().pk,
            version=self.expected_version(),
            **order,
        )
        return self.reply(exemption)
