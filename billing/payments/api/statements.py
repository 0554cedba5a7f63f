"""What an entity owes a seller: its statement of account, and its balance on any day."""

from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from billing.documents.api import PDF, PdfRenderer, pdf_response
from billing.entities import queries as entities
from billing.entities.api.fields import EntityField
from billing.kernel.api.fields import CurrencyCodeField, IdField, MoneyAmountField, StrictDateField
from billing.kernel.api.serializers import StrictSerializer
from billing.kernel.api.viewsets import ServiceView
from billing.payments import queries, services
from billing.payments.queries import statements


class StatementQuestion(StrictSerializer):
    """From `period_start`, included, to `period_end`, excluded."""

    seller = EntityField(required=False, help_text="Default: who sells to the entity.")
    currency = CurrencyCodeField(required=False, help_text="Default: the entity's.")
    period_start = StrictDateField()
    period_end = StrictDateField()

    def validate(self, attrs):
        if attrs["period_end"] <= attrs["period_start"]:
            raise serializers.ValidationError({"period_end": ["The period ends after it starts."]})
        return attrs


class BalanceQuestion(StrictSerializer):
    seller = EntityField(required=False, help_text="Default: who sells to the entity.")
    as_of = StrictDateField(required=False, help_text="At the end of the day. Default: today.")


class MovementRead(serializers.Serializer):
    day = StrictDateField()
    kind = serializers.CharField(help_text="Of the document: invoice, credit_note, payment, or entry.")
    event = serializers.CharField(help_text="What became of it: issued, received, applied, reversed…")
    reference = serializers.CharField()
    description = serializers.CharField()
    currency = CurrencyCodeField()
    debit = MoneyAmountField()
    credit = MoneyAmountField()
    balance = MoneyAmountField()


class OpenItemRead(serializers.Serializer):
    """`open_amount` is less than zero for what is not applied of payments and credit notes."""

    kind = serializers.CharField()
    id = IdField()
    reference = serializers.CharField()
    day = StrictDateField()
    due_on = StrictDateField(allow_null=True)
    currency = CurrencyCodeField()
    amount = MoneyAmountField()
    open_amount = MoneyAmountField()


class AgeRead(serializers.Serializer):
    label = serializers.CharField(help_text="not_due, overdue_30 (1 to 30 days) … overdue_more, unapplied.")
    currency = CurrencyCodeField()
    amount = MoneyAmountField()


class StatementRead(serializers.Serializer):
    """Opening balance + movements = closing balance = what the open items come to."""

    seller = IdField(source="seller.pk")
    entity = IdField(source="customer.pk")
    currency = CurrencyCodeField()
    period_start = StrictDateField(source="starts_on")
    period_end = StrictDateField(source="ends_on")
    opening_balance = MoneyAmountField()
    debit_amount = MoneyAmountField()
    credit_amount = MoneyAmountField()
    closing_balance = MoneyAmountField()
    movements = MovementRead(many=True)
    open_items = OpenItemRead(many=True)
    ageing = AgeRead(many=True)


class BalanceRow(serializers.Serializer):
    """Per currency: what is open on invoices, what of it is overdue, what is not applied, and what is owed in all."""

    currency = CurrencyCodeField()
    receivable_amount = MoneyAmountField()
    overdue_amount = MoneyAmountField()
    unapplied_amount = MoneyAmountField()
    balance_amount = MoneyAmountField()


class BalanceRead(serializers.Serializer):
    seller = IdField()
    entity = IdField()
    as_of = StrictDateField()
    results = BalanceRow(many=True)


class _AccountView(ServiceView):
    """Of an entity within reach, with a seller."""

    def parties(self, entity_id, asked):
        within = entities.entities_for(self.request.user, queries.VIEW_ACCOUNT)
        customer = get_object_or_404(within, pk=entity_id)
        seller = asked.get("seller") or entities.seller_of(customer)
        if seller is None:
            raise ValidationError({"seller": ["Nobody sells to the entity: name the seller."]})
        return seller, customer


class StatementView(_AccountView):
    """The statement of account of an entity with a seller, in one currency."""

    action_permissions = {"get": queries.VIEW_ACCOUNT}
    query_serializers = {"get": StatementQuestion}

    @extend_schema(parameters=[StatementQuestion], responses=StatementRead)
    def get(self, request, entity_id):
        asked = self.query()
        seller, customer = self.parties(entity_id, asked)
        statement = statements.statement_of(
            seller=seller,
            customer=customer,
            currency=asked.get("currency") or customer.currency,
            starts_on=asked["period_start"],
            ends_on=asked["period_end"],
        )
        return Response(StatementRead(statement).data)


class StatementDocumentView(_AccountView):
    """The same as PDF, in the entity's language."""

    action_permissions = {"get": queries.VIEW_ACCOUNT}
    query_serializers = {"get": StatementQuestion}
    renderer_classes = [*ServiceView.renderer_classes, PdfRenderer]

    @extend_schema(parameters=[StatementQuestion], responses={(200, PDF): OpenApiTypes.BINARY})
    def get(self, request, entity_id):
        asked = self.query()
        seller, customer = self.parties(entity_id, asked)
        document = services.render_statement(
            actor=self.actor,
            seller_id=seller.pk,
            customer_id=customer.pk,
            currency=asked.get("currency") or customer.currency,
            starts_on=asked["period_start"],
            ends_on=asked["period_end"],
        )
        name = f"{customer.code} {document.currency} {document.starts_on} {document.ends_on}"
        return pdf_response(request, document, number=name)


class BalanceView(_AccountView):
    """What an entity owes a seller at the end of a day, by currency."""

    action_permissions = {"get": queries.VIEW_ACCOUNT}
    query_serializers = {"get": BalanceQuestion}

    @extend_schema(parameters=[BalanceQuestion], responses=BalanceRead)
    def get(self, request, entity_id):
        asked = self.query()
        seller, customer = self.parties(entity_id, asked)
        as_of = asked.get("as_of") or entities.today_at(seller)
        rows = statements.balances_of(seller=seller, customer=customer, as_of=as_of)
        body = {"seller": seller.pk, "entity": customer.pk, "as_of": as_of, "results": rows}
        return Response(BalanceRead(body).data)
