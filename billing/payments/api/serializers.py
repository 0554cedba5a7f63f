"""Shapes on the wire. Input serializers check form; whether it is allowed is the service's business."""

from rest_framework import serializers

from billing.entities.api.fields import EntityField
from billing.kernel.api.fields import (
    CurrencyCodeField,
    IdField,
    MoneyAmountField,
    StrictCharField,
    StrictChoiceField,
    StrictDateField,
)
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer
from billing.payments.models import Payment, PaymentApplication
from billing.payments.services.payment_input import REFERENCE_LENGTH_MAX
from billing.payments.states import PaymentMethodKind

APPLICATIONS_MAX = 1000


class ApplicationRead(ReadSerializer):
    invoice_number = serializers.CharField(source="invoice.number", read_only=True)

    class Meta:
        model = PaymentApplication
        fields = ("id", "invoice", "invoice_number", "amount", "currency", "applied_on", "created_at")
        read_only_fields = fields


class PaymentRead(ReadSerializer):
    """`unapplied_amount` is what is left of it on the customer's balance."""

    customer_name = serializers.CharField(source="customer.name", read_only=True)
    unapplied_amount = MoneyAmountField(read_only=True)
    applications = ApplicationRead(many=True, read_only=True)

    class Meta:
        model = Payment
        fields = (
            "id",
            "seller",
            "customer",
            "customer_name",
            "method",
            "state",
            "amount",
            "applied_amount",
            "unapplied_amount",
            "currency",
            "received_on",
            "reference",
            "note",
            "applications",
            "version",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class Application(StrictSerializer):
    """The payment's currency is that of the amount."""

    invoice = IdField()
    amount = MoneyAmountField(above=0)


class PaymentRecord(StrictSerializer):
    """Without `applications` the oldest due invoices of the customer are settled first; `[]` settles none.

    With `consolidated_invoice` it is for what is open on that in the currency, the oldest due first.
    """

    customer = EntityField()
    seller = EntityField(required=False, help_text="Default: who sells to the customer.")
    amount = MoneyAmountField(above=0)
    currency = CurrencyCodeField()
    received_on = StrictDateField()
    method = StrictChoiceField(choices=PaymentMethodKind.choices)
    reference = StrictCharField(max_length=REFERENCE_LENGTH_MAX)
    note = StrictCharField(max_length=1000, multiline=True, required=False, allow_blank=True, default="")
    applications = Application(many=True, required=False, max_length=APPLICATIONS_MAX)
    consolidated_invoice = IdField(required=False)


class PaymentApply(StrictSerializer):
    """To an invoice, or to what is open on a consolidated one, the oldest due first."""

    invoice = IdField(required=False)
    consolidated_invoice = IdField(required=False)
    amount = MoneyAmountField(above=0)
    applied_on = StrictDateField(required=False, help_text="Default: today, where the seller is.")
