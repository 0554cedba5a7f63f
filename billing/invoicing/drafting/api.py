"""One-off invoices: drafted, previewed, replaced and deleted by hand. Issuing them is the action of every draft."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from billing.access.api.permissions import require
from billing.entities import queries as entities
from billing.entities.api.fields import DepartmentField, EntityField
from billing.invoicing import services
from billing.invoicing.api.serializers import LineRead, TaxRead
from billing.kernel.api.fields import (
    CurrencyCodeField,
    ExactAmountField,
    IdField,
    MoneyAmountField,
    StrictBooleanField,
    StrictCharField,
    StrictDateField,
)
from billing.kernel.api.serializers import StrictSerializer

VERB = "invoicing.draft_invoice"
LINES_MAX = services.ONE_OFF_LINES_MAX


class OneOffLineWrite(StrictSerializer):
    """`unit_price` is before tax unless `tax_inclusive`; below zero it is a credit.

    Without `department` it is the cost of the default department.
    """

    product = IdField(source="product_id")
    description = StrictCharField(max_length=300, default="", help_text="Empty: the product's name.")
    quantity = ExactAmountField(above=0)
    unit_price = ExactAmountField()
    service_starts_on = StrictDateField()
    service_ends_on = StrictDateField(help_text="Exclusive.")
    department = DepartmentField(required=False)
    tax_inclusive = StrictBooleanField(default=False)


class OneOffReplace(StrictSerializer):
    """All lines anew. With `issue_on` the first billing run of that day or later issues it."""

    lines = OneOffLineWrite(many=True, allow_empty=False, max_length=LINES_MAX)
    issue_on = StrictDateField(required=False)


class OneOffTerms(OneOffReplace):
    seller = EntityField()
    customer = EntityField()
    currency = CurrencyCodeField()


class OneOffCreate(OneOffTerms):
    key = serializers.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z",
        required=False,
        help_text="Your own name for it, such as an order's number: a repeat is the same invoice.",
    )


class InvoicePreviewRead(serializers.Serializer):
    """What the draft would be: nothing has been kept."""

    currency = CurrencyCodeField(source="invoice.currency")
    net_amount = MoneyAmountField(source="invoice.net_amount", currency_source="invoice.currency")
    tax_amount = MoneyAmountField(source="invoice.tax_amount", currency_source="invoice.currency")
    total_amount = MoneyAmountField(source="invoice.total_amount", currency_source="invoice.currency")
    lines = LineRead(many=True)
    taxes = TaxRead(many=True)


class OneOffInvoices:
    """For the viewset of invoices."""

    @extend_schema(request=OneOffCreate)
    def create(self, request):
        """Draft an invoice of the lines given; `POST …/issue` makes it a claim."""
        invoice = services.draft_one_off_invoice(actor=self.actor, **self._terms(self.parse(OneOffCreate)))
        return self.reply(invoice, created=True)

    @extend_schema(request=OneOffTerms, responses=InvoicePreviewRead)
    @action(detail=False, methods=["post"], url_path="preview-one-off")
    def preview_one_off(self, request):
        """What the draft would come to, by the code that drafts it."""
        shown = services.preview_one_off_invoice(**self._terms(self.parse(OneOffTerms)))
        return Response(InvoicePreviewRead(shown).data)

    @extend_schema(request=OneOffReplace)
    def update(self, request, invoice_id):
        """Replace the lines of a one-off draft."""
        order = self.parse(OneOffReplace)
        invoice = self.get_object()
        revised = services.revise_one_off_invoice(
            actor=self.actor,
            invoice_id=invoice.pk,
            lines=_lines(order["lines"]),
            issue_on=order.get("issue_on"),
            as_of=entities.today_at(invoice.seller),
            version=self.expected_version(required=True),
        )
        return self.reply(revised)

    def destroy(self, request, invoice_id):
        """Delete a one-off draft. It had no number."""
        services.delete_one_off_invoice(
            actor=self.actor,
            invoice_id=self.get_object().pk,
            version=self.expected_version(required=True),
        )
        return Response(status=204)

    def _terms(self, order: dict) -> dict:
        seller, customer = order.pop("seller"), order.pop("customer")
        require(self.request.user, VERB, customer)
        return order | {
            "seller_id": seller.pk,
            "customer_id": customer.pk,
            "lines": _lines(order["lines"]),
            "as_of": entities.today_at(seller),
        }


def _lines(given: list[dict]) -> list[services.OneOffLine]:
    return [
        services.OneOffLine(
            **{name: value for name, value in line.items() if name != "department"},
            department_id=line["department"].pk if "department" in line else None,
        )
        for line in given
    ]
