"""Credit notes: issued over an invoice, then applied to others or paid back."""

import django_filters as filters
from django.db.models import F, Prefetch
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError

from billing.documents.api import PDF, PdfRenderer, pdf_response
from billing.entities import queries as entities
from billing.entities.api.fields import ActingPermission, seen_or_done
from billing.invoicing import queries, services
from billing.invoicing.api.serializers import InOrder, TaxRead
from billing.invoicing.models import (
    CreditApplication,
    CreditNote,
    CreditNoteLine,
    CreditNoteTax,
)
from billing.invoicing.states import CreditRemainder
from billing.kernel.api.fields import (
    IdField,
    MoneyAmountField,
    StrictCharField,
    StrictChoiceField,
    StrictDateField,
)
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceViewSet

LINES_MAX = 1000


class CreditLineRead(ReadSerializer):
    """`net_amount` is what is taken back of the invoice's line."""

    position = serializers.IntegerField(source="line.position", read_only=True)
    description = serializers.CharField(source="line.description", read_only=True)

    class Meta:
        model = CreditNoteLine
        list_serializer_class = InOrder
        order = staticmethod(lambda credit: credit.line.position)
        fields = ("id", "line", "position", "description", "net_amount", "currency")
        read_only_fields = fields


class CreditTaxRead(TaxRead):
    class Meta(TaxRead.Meta):
        model = CreditNoteTax


class CreditApplicationRead(ReadSerializer):
    invoice_number = serializers.CharField(source="invoice.number", read_only=True)

    class Meta:
        model = CreditApplication
        list_serializer_class = InOrder
        order = staticmethod(lambda application: application.pk)
        fields = ("id", "invoice", "invoice_number", "amount", "currency", "applied_on", "created_at")
        read_only_fields = fields


class CreditNoteRead(ReadSerializer):
    """Amounts are positive. `unapplied_amount` is what is left of it on the customer's balance."""

    invoice_number = serializers.CharField(source="invoice.number", read_only=True)
    customer_name = serializers.CharField(source="customer.name", read_only=True)
    unapplied_amount = MoneyAmountField(read_only=True)
    lines = CreditLineRead(many=True, read_only=True)
    taxes = CreditTaxRead(many=True, read_only=True)
    applications = CreditApplicationRead(many=True, read_only=True)

    class Meta:
        model = CreditNote
        fields = (
            "id",
            "number",
            "invoice",
            "invoice_number",
            "seller",
            "customer",
            "customer_name",
            "currency",
            "issued_on",
            "net_amount",
            "tax_amount",
            "total_amount",
            "applied_amount",
            "unapplied_amount",
            "remainder_to",
            "reason",
            "lines",
            "taxes",
            "applications",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class CreditLine(StrictSerializer):
    line = IdField()
    net_amount = MoneyAmountField(help_text="Of the line's sign: a discount is taken back by less than zero.")


class CreditNoteIssue(StrictSerializer):
    """With `lines`, or with a `net_amount` that is spread over what is left of the lines; with neither: all of it."""

    invoice = IdField()
    issued_on = StrictDateField(required=False, help_text="Default: today, where the seller is.")
    lines = CreditLine(many=True, required=False, min_length=1, max_length=LINES_MAX)
    net_amount = MoneyAmountField(required=False, above=0)
    remainder_to = StrictChoiceField(
        choices=CreditRemainder.choices,
        required=False,
        help_text="What becomes of what the invoice does not take. Default: balance.",
    )
    reason = StrictCharField(max_length=1000, multiline=True)


class CreditApply(StrictSerializer):
    invoice = IdField()
    amount = MoneyAmountField(above=0)
    applied_on = StrictDateField(required=False, help_text="Default: today, where the seller is.")


class CreditRedirect(StrictSerializer):
    remainder_to = StrictChoiceField(choices=CreditRemainder.choices)
    reason = StrictCharField(max_length=1000, multiline=True)


class CreditNoteFilter(filters.FilterSet):
    """`unapplied=true`: something is left on the customer's balance. `…_after` includes the day."""

    seller = filters.UUIDFilter(field_name="seller_id")
    customer = filters.UUIDFilter(field_name="customer_id")
    invoice = filters.UUIDFilter(field_name="invoice_id")
    currency = filters.CharFilter()
    number = filters.CharFilter()
    remainder_to = filters.ChoiceFilter(choices=CreditRemainder.choices)
    issued_after = filters.DateFilter(field_name="issued_on", lookup_expr="gte")
    issued_before = filters.DateFilter(field_name="issued_on", lookup_expr="lt")
    unapplied = filters.BooleanFilter(method="by_unapplied")

    class Meta:
        model = CreditNote
        fields = ()

    def by_unapplied(self, queryset, name, value):
        left = queryset.filter(applied_amount__lt=F("total_amount"))
        return left if value else queryset.exclude(pk__in=left.values("pk"))


class CreditNoteViewSet(ActingPermission, ServiceViewSet):
    serializer_class = CreditNoteRead
    filterset_class = CreditNoteFilter
    lookup_url_kwarg = "credit_note_id"
    ordering_fields = ("created_at", "issued_on", "number", "total_amount")
    search_fields = ("number", "reason", "invoice__number", "customer__name", "customer__code")
    idempotency_required_actions = frozenset({"create", "apply"})
    approval_actions = frozenset({"create", "redirect"})
    action_permissions = {
        "list": "invoicing.view_creditnote",
        "retrieve": "invoicing.view_creditnote",
        "pdf": "invoicing.view_creditnote",
        "create": "invoicing.issue_credit_note",
        "apply": "invoicing.apply_credit",
        "redirect": "invoicing.redirect_credit",
    }

    def get_queryset(self):
        notes = seen_or_done(queries.credit_notes_for, self, queries.VIEW_CREDIT_NOTE)
        return notes.prefetch_related(
            Prefetch("lines", CreditNoteLine.objects.select_related("line")),
            "taxes",
            Prefetch("applications", CreditApplication.objects.select_related("invoice")),
        )

    @extend_schema(request=CreditNoteIssue, responses={201: CreditNoteRead})
    def create(self, request):
        """It takes the tax and the departments' cost back with it, and settles what is open of the invoice first."""
        order = self.parse(CreditNoteIssue)
        invoice = self._invoice(order.pop("invoice"), permission="invoicing.issue_credit_note")
        if lines := order.pop("lines", None):
            order["lines"] = self._nets(lines)
        note = services.issue_credit_note(
            actor=self.actor,
            invoice_id=invoice.pk,
            issued_on=order.pop("issued_on", None) or entities.today_at(invoice.seller),
            **order,
        )
        return self.reply(note, created=True)

    @extend_schema(request=CreditApply, responses=CreditNoteRead)
    @action(detail=True, methods=["post"])
    def apply(self, request, credit_note_id):
        """Settle an open invoice of the customer with what is left of it."""
        order = self.parse(CreditApply)
        note = self.get_object()
        invoice = self._invoice(order["invoice"], permission="invoicing.view_invoice")
        note = services.apply_credit(
            actor=self.actor,
            credit_note_id=note.pk,
            invoice_id=invoice.pk,
            amount=order["amount"],
            applied_on=order.get("applied_on") or entities.today_at(note.seller),
            version=self.expected_version(),
        )
        return self.reply(note)

    @extend_schema(request=CreditRedirect, responses=CreditNoteRead)
    @action(detail=True, methods=["post"])
    def redirect(self, request, credit_note_id):
        """What is left of it is kept for other invoices, or is to be paid back."""
        note = services.redirect_credit(
            actor=self.actor,
            credit_note_id=self.get_object().pk,
            version=self.expected_version(),
            **self.parse(CreditRedirect),
        )
        return self.reply(note)

    @extend_schema(responses={(200, PDF): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"], renderer_classes=[*ServiceViewSet.renderer_classes, PdfRenderer])
    def pdf(self, request, credit_note_id):
        """The credit note as PDF in its customer's language: made once, always the same bytes."""
        note = self.get_object()
        document = services.render_credit_note_document(actor=self.actor, credit_note_id=note.pk)
        return pdf_response(request, document, number=note.number)

    def _invoice(self, invoice_id, *, permission: str):
        """Invoices of others are invoices that do not exist."""
        invoice = queries.invoices_for(self.request.user, permission).filter(pk=invoice_id).first()
        if invoice is None:
            raise ValidationError({"invoice": [f"There is no invoice {invoice_id}."]})
        return invoice

    def _nets(self, lines: list[dict]) -> dict:
        nets = {credit["line"]: credit["net_amount"] for credit in lines}
        if len(nets) < len(lines):
            raise ValidationError({"lines": ["A line is named more than once."]})
        return nets
