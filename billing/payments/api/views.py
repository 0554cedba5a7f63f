from django.db.models import Prefetch
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError

from billing.access.api.permissions import require
from billing.entities import queries as entities
from billing.entities.api.fields import ActingPermission, seen_or_done
from billing.invoicing.queries import consolidations_for, invoices_for
from billing.kernel.api.viewsets import ServiceViewSet
from billing.payments import queries, services
from billing.payments.api import serializers
from billing.payments.api.filters import PaymentFilter


class PaymentViewSet(ActingPermission, ServiceViewSet):
    serializer_class = serializers.PaymentRead
    filterset_class = PaymentFilter
    lookup_url_kwarg = "payment_id"
    ordering_fields = ("created_at", "received_on", "amount")
    search_fields = ("reference", "note", "customer__name", "customer__code")
    idempotency_required_actions = frozenset({"create", "apply"})
    action_permissions = {
        "list": "payments.view_payment",
        "retrieve": "payments.view_payment",
        "create": "payments.record_payment",
        "apply": "payments.apply_payment",
    }

    def get_queryset(self):
        payments = seen_or_done(queries.payments_for, self, queries.VIEW_PAYMENT)
        return payments.prefetch_related(Prefetch("applications", queries.applications()))

    def create(self, request):
        """The same method and reference with the same content again is the payment there is."""
        order = self.parse(serializers.PaymentRecord)
        customer = order.pop("customer")
        seller = order.pop("seller", None) or entities.seller_of(customer)
        if seller is None:
            raise ValidationError({"seller": ["Nobody sells to the customer: name the seller."]})
        require(request.user, "payments.record_payment", customer)
        payment = services.record_payment(
            actor=self.actor,
            seller_id=seller.pk,
            customer_id=customer.pk,
            as_of=entities.today_at(seller),
            applications=self._within_reach(order.pop("applications", None)),
            consolidated_invoice_id=self._consolidated(order.pop("consolidated_invoice", None)),
            **order,
        )
        return self.reply(payment, created=True)

    @action(detail=True, methods=["post"])
    def apply(self, request, payment_id):
        order = self.parse(serializers.PaymentApply)
        payment = self.get_object()
        if "invoice" in order:
            self._within_reach([order])
        payment = services.apply_payment(
            actor=self.actor,
            payment_id=payment.pk,
            invoice_id=order.get("invoice"),
            consolidated_invoice_id=self._consolidated(order.get("consolidated_invoice")),
            amount=order["amount"],
            applied_on=order.get("applied_on") or entities.today_at(payment.seller),
            version=self.expected_version(),
        )
        return self.reply(payment)

    def _consolidated(self, wanted):
        """Those of others are ones that do not exist."""
        seen = seen_or_done(consolidations_for, self, "invoicing.view_consolidatedinvoice")
        if wanted is not None and not seen.filter(pk=wanted).exists():
            raise ValidationError({"consolidated_invoice": [f"There is no consolidated invoice {wanted}."]})
        return wanted

    def _within_reach(self, applications: list[dict] | None) -> list[tuple] | None:
        """As the service takes them. Invoices of others are invoices that do not exist."""
        if applications is None:
            return None
        wanted = [application["invoice"] for application in applications]
        seen = seen_or_done(invoices_for, self, "invoicing.view_invoice").filter(pk__in=wanted)
        found = set(seen.values_list("pk", flat=True))
        if missing := [str(pk) for pk in wanted if pk not in found]:
            raise ValidationError({"invoice": [f"There is no invoice {missing[0]}."]})
        return [(application["invoice"], application["amount"]) for application in applications]
