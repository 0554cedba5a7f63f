"""Consolidated invoices: gathered, looked at child by child and line by line, taken back."""

import django_filters as filters
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from billing.access.api.permissions import require
from billing.documents.api import PDF, PdfRenderer, pdf_response
from billing.entities import queries as entities
from billing.entities.api.fields import ActingPermission, EntityField, seen_or_done
from billing.invoicing import queries, services
from billing.invoicing.api.serializers import LineRead
from billing.invoicing.invoices.core.billing_horizon import require_near
from billing.invoicing.models import (
    ConsolidatedChild,
    ConsolidatedInvoice,
    ConsolidatedTotal,
    Invoice,
    InvoiceLine,
)
from billing.invoicing.states import ConsolidatedPaymentState, ConsolidatedState
from billing.kernel.api.fields import (
    CurrencyCodeField,
    ExactAmountField,
    IdField,
    MoneyAmountField,
    StrictBooleanField,
    StrictCharField,
    StrictDateField,
)
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet

PREVIEW_CHILDREN_MAX = 1000


class ConsolidatedTotalRead(ReadSerializer):
    """What the children come to in one currency: this is what is due. `open_amount` is what is open of it.

    `converted_amount` is the sum of the children, each converted at `rate` and rounded once.
    """

    open_amount = MoneyAmountField(read_only=True)
    converted_amount = MoneyAmountField(read_only=True, currency_source="converted_currency")

    class Meta:
        model = ConsolidatedTotal
        fields = (
            "currency",
            "child_count",
            "net_amount",
            "tax_amount",
            "total_amount",
            "open_amount",
            "rate",
            "rate_on",
            "rate_source",
            "converted_amount",
            "converted_currency",
        )
        read_only_fields = fields


class ConsolidatedRead(ReadSerializer):
    """`payment_state` is derived: paid once nothing is open on any child. `part` 2 and more: gathered later."""

    seller_name = serializers.CharField(source="seller.name", read_only=True)
    payer_name = serializers.CharField(source="payer.name", read_only=True)
    payment_state = serializers.ChoiceField(choices=ConsolidatedPaymentState.choices, read_only=True)
    totals = ConsolidatedTotalRead(many=True, read_only=True)

    class Meta:
        model = ConsolidatedInvoice
        fields = (
            "id",
            "number",
            "state",
            "payment_state",
            "seller",
            "seller_name",
            "payer",
            "payer_name",
            "currency",
            "period_starts_on",
            "period_ends_on",
            "part",
            "issued_on",
            "due_on",
            "child_count",
            "totals",
            "converted_amount",
            "voided_on",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class ConsolidatedChildRead(ReadSerializer):
    """An invoice in the consolidation. `released_at` is set once that is void."""

    invoice_number = serializers.CharField(source="invoice.number", read_only=True)
    customer_code = serializers.CharField(source="customer.code", read_only=True)
    customer_name = serializers.CharField(source="customer.name", read_only=True)
    issued_on = StrictDateField(source="invoice.issued_on", read_only=True)
    due_on = StrictDateField(source="invoice.due_on", read_only=True)
    balance_amount = MoneyAmountField(source="invoice.balance_amount", read_only=True)
    converted_amount = MoneyAmountField(read_only=True, currency_source="consolidated_invoice.currency")

    class Meta:
        model = ConsolidatedChild
        fields = (
            "id",
            "invoice",
            "invoice_number",
            "customer",
            "customer_code",
            "customer_name",
            "issued_on",
            "due_on",
            "currency",
            "net_amount",
            "tax_amount",
            "total_amount",
            "balance_amount",
            "converted_amount",
            "released_at",
        )
        read_only_fields = fields


class ConsolidatedLineRead(LineRead):
    """A line of a child, with the invoice and the customer it is of."""

    invoice_number = serializers.CharField(source="invoice.number", read_only=True)
    customer = IdField(source="invoice.customer_id", read_only=True)
    customer_name = serializers.CharField(source="invoice.customer.name", read_only=True)

    class Meta(LineRead.Meta):
        fields = ("invoice", "invoice_number", "customer", "customer_name", *LineRead.Meta.fields)
        read_only_fields = fields


class MissingChildRead(ReadSerializer):
    """A draft of the group, over time before the period's end."""

    customer_code = serializers.CharField(source="customer.code", read_only=True)
    customer_name = serializers.CharField(source="customer.name", read_only=True)

    class Meta:
        model = Invoice
        fields = (
            "id",
            "customer",
            "customer_code",
            "customer_name",
            "currency",
            "period_starts_on",
            "period_ends_on",
            "total_amount",
        )
        read_only_fields = fields


class Consolidation(serializers.Serializer):
    """The document, whether it is new, and the drafts of the group that are not on it."""

    consolidated_invoice = ConsolidatedRead()
    created = serializers.BooleanField()
    missing = MissingChildRead(many=True)


class ConsolidationSpan(StrictSerializer):
    """The payer's group, and the days on which its invoices were issued."""

    payer = EntityField()
    seller = EntityField(required=False, help_text="Default: who sells to the payer.")
    period_starts_on = StrictDateField()
    period_ends_on = StrictDateField(help_text="Exclusive.")
    issued_on = StrictDateField(help_text="What was issued after this day is left for a further document.")


class ConsolidationCreate(ConsolidationSpan):
    allow_missing = StrictBooleanField(
        required=False, default=False, help_text="Leave drafts of the group out; they are listed."
    )


class ConsolidatedVoid(StrictSerializer):
    voided_on = StrictDateField()
    reason = StrictCharField(max_length=1000, multiline=True)


class GatheredTotal(serializers.Serializer):
    currency = CurrencyCodeField()
    child_count = serializers.IntegerField()
    net_amount = MoneyAmountField()
    tax_amount = MoneyAmountField()
    total_amount = MoneyAmountField()
    rate = ExactAmountField(source="rate.rate", default=None, allow_null=True, help_text="null: 1.")
    rate_on = StrictDateField(source="rate.rate_on", default=None, allow_null=True)
    rate_source = serializers.CharField(source="rate.source", default="")
    converted_amount = MoneyAmountField(currency_source="converted_currency")
    converted_currency = CurrencyCodeField()


class GatheredChild(serializers.Serializer):
    invoice = IdField(source="invoice_id")
    invoice_number = serializers.CharField(source="number")
    customer = IdField(source="customer_id")
    customer_code = serializers.CharField()
    customer_name = serializers.CharField()
    issued_on = StrictDateField()
    currency = CurrencyCodeField()
    net_amount = MoneyAmountField()
    tax_amount = MoneyAmountField()
    total_amount = MoneyAmountField()
    balance_amount = MoneyAmountField()


class ConsolidationPreview(serializers.Serializer):
    """What would be gathered now. Of the children the first 1,000 are listed; the totals are over all of them."""

    currency = CurrencyCodeField()
    child_count = serializers.IntegerField()
    converted_amount = MoneyAmountField()
    totals = GatheredTotal(many=True)
    children = GatheredChild(many=True)
    missing = MissingChildRead(many=True)


class ConsolidatedFilter(filters.FilterSet):
    """`?payer=…&state=issued&issued_after=2026-11-01`; `…_after` includes the day."""

    state = filters.MultipleChoiceFilter(choices=ConsolidatedState.choices)
    payer = filters.UUIDFilter(field_name="payer_id")
    seller = filters.UUIDFilter(field_name="seller_id")
    invoice = filters.UUIDFilter(field_name="children__invoice_id", help_text="Those it is or was in.")
    number = filters.CharFilter()
    period_starts_on = filters.DateFilter()
    issued_after = filters.DateFilter(field_name="issued_on", lookup_expr="gte")
    issued_before = filters.DateFilter(field_name="issued_on", lookup_expr="lt")

    class Meta:
        model = ConsolidatedInvoice
        fields = ()


class ConsolidatedInvoiceViewSet(ActingPermission, ServiceViewSet):
    """The open invoices of a payer's group and a period, as one document; due per currency."""

    serializer_class = ConsolidatedRead
    filterset_class = ConsolidatedFilter
    lookup_url_kwarg = "consolidated_invoice_id"
    ordering_fields = ("created_at", "issued_on", "due_on", "number")
    search_fields = ("number", "payer__name", "payer__code")
    conditional_reads = False  # what is open changes with the children
    idempotency_required_actions = frozenset({"create", "void"})
    action_permissions = {
        "list": "invoicing.view_consolidatedinvoice",
        "retrieve": "invoicing.view_consolidatedinvoice",
        "pdf": "invoicing.view_consolidatedinvoice",
        "create": "invoicing.consolidate_invoices",
        "preview": "invoicing.consolidate_invoices",
        "void": "invoicing.void_consolidated_invoice",
    }

    def get_queryset(self):
        return queries.with_open_amounts(
            seen_or_done(queries.consolidations_for, self, queries.VIEW_CONSOLIDATION)
        )

    @extend_schema(request=ConsolidationCreate, responses={200: Consolidation, 201: Consolidation})
    def create(self, request):
        """Gather what is open. With nothing new to gather the period's last document is returned (200)."""
        order = self._order(ConsolidationCreate)
        made = services.consolidate_invoices(actor=self.actor, **order)
        shown = self.get_queryset().get(pk=made.document.pk)
        answer = {"consolidated_invoice": shown, "created": made.is_new, "missing": made.missing}
        return Response(Consolidation(answer).data, status=201 if made.is_new else 200)

    @extend_schema(request=ConsolidationSpan, responses=ConsolidationPreview)
    @action(detail=False, methods=["post"])
    def preview(self, request):
        """What would be gathered, at which rates, and which drafts would be missing. Changes nothing."""
        found = services.preview_consolidation(**self._order(ConsolidationSpan))
        totals = [vars(total) | {"converted_currency": found.currency} for total in found.totals]
        answer = {
            "currency": found.currency,
            "child_count": found.child_count,
            "converted_amount": found.converted_amount,
            "totals": totals,
            "children": found.children(PREVIEW_CHILDREN_MAX),
            "missing": found.missing,
        }
        return Response(ConsolidationPreview(answer).data)

    @extend_schema(request=ConsolidatedVoid, responses=ConsolidatedRead)
    @action(detail=True, methods=["post"])
    def void(self, request, consolidated_invoice_id):
        """Take it back: its children are each collected by itself again. Not once money moved on one."""
        order = self.parse(ConsolidatedVoid)
        document = services.void_consolidated_invoice(
            actor=self.actor,
            consolidated_invoice_id=self.get_object().pk,
            version=self.expected_version(required=True),
            **order,
        )
        return self.reply(document)

    @extend_schema(responses={(200, PDF): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], renderer_classes=[*ServiceViewSet.renderer_classes, PdfRenderer])
    def pdf(self, request, consolidated_invoice_id):
        """The consolidated invoice as PDF in its payer's language: made once, always the same bytes."""
        document = self.get_object()
        kept = services.render_consolidated_document(actor=self.actor, consolidated_invoice_id=document.pk)
        return pdf_response(request, kept, number=document.number)

    def _order(self, shape):
        """As the service takes it. What is asked for must be allowed at the payer."""
        order = self.parse(shape)
        payer = order.pop("payer")
        require(self.request.user, "invoicing.consolidate_invoices", payer)
        seller = order.pop("seller", None) or entities.seller_of(payer)
        if seller is None:
            raise serializers.ValidationError({"seller": ["Nobody sells to the payer: name the seller."]})
        require_near(order["issued_on"], today=entities.today_at(seller))
        return {"payer_id": payer.pk, "seller_id": seller.pk, **order}


class _OfDocument(ServiceViewSet):
    """What hangs on a consolidated invoice within reach."""

    action_permissions = {"list": "invoicing.view_consolidatedinvoice"}

    @property
    def document(self) -> ConsolidatedInvoice:
        wanted = self.kwargs["consolidated_invoice_id"]
        found = queries.consolidations_for(self.request.user).filter(pk=wanted).first()
        if found is None:
            raise Http404
        return found


class ConsolidatedChildViewSet(_OfDocument):
    queryset = ConsolidatedChild.objects.none()  # what the schema looks at
    serializer_class = ConsolidatedChildRead
    ordering = "id"  # as they were gathered: by the tree, then by the day of issue

    def get_queryset(self):
        return ConsolidatedChild.objects.filter(consolidated_invoice=self.document).select_related(
            "invoice", "customer", "consolidated_invoice"
        )


class ConsolidatedLineViewSet(_OfDocument):
    queryset = InvoiceLine.objects.none()
    serializer_class = ConsolidatedLineRead
    ordering = ("invoice_id", "position")

    def get_queryset(self):
        children = ConsolidatedChild.objects.filter(consolidated_invoice=self.document)
        return InvoiceLine.objects.filter(invoice__in=children.values("invoice")).select_related(
            "invoice__customer"
        )
