"""Payments in the console: recorded once they have arrived, applied to invoices, never edited."""

from functools import partial

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display

from billing.entities import queries as entities
from billing.entities.reach import visible
from billing.invoicing.queries import consolidations_for, invoices_for
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import ReadOnlyAdmin
from billing.kernel.console.forms import today
from billing.kernel.console.tables import Table, link, money
from billing.kernel.errors import NotFound
from billing.kernel.money import currencies
from billing.payments import queries, services
from billing.payments.models import Payment
from billing.payments.states import PaymentMethodKind

RECORD, APPLY = "payments.record_payment", "payments.apply_payment"


class ApplyForm(forms.Form):
    invoice_number = forms.CharField(max_length=64, help_text="Of an invoice, or of a consolidated one.")
    amount = forms.DecimalField(max_digits=19, decimal_places=4, min_value=0)


class RecordForm(forms.Form):
    """What the bank's statement says. The oldest due invoices of the customer, or of the consolidated invoice that
    is named, are settled first."""

    customer_code = forms.CharField(max_length=64)
    amount = forms.DecimalField(max_digits=19, decimal_places=4, min_value=0)
    currency = forms.ChoiceField(choices=[(code, code) for code in currencies()], initial="EUR")
    received_on = forms.DateField(widget=forms.DateInput(), initial=today)
    method = forms.ChoiceField(choices=PaymentMethodKind.choices)
    reference = forms.CharField(max_length=100)
    consolidated_number = forms.CharField(
        max_length=64, required=False, help_text="If it is for a consolidated invoice: its number."
    )
    note = forms.CharField(max_length=1000, required=False, widget=forms.Textarea(attrs={"rows": 3}))


def _apply(request, payment, *, invoice_number, amount):
    numbered = {"seller_id": payment.seller_id, "number": invoice_number.strip()}
    invoice = invoices_for(request.user, APPLY).filter(**numbered).first()
    document = consolidations_for(request.user, APPLY).filter(**numbered).first()
    if invoice is None and document is None:
        raise NotFound(f"There is no invoice {invoice_number}.")
    services.apply_payment(
        actor=actor_of(request),
        payment_id=payment.pk,
        invoice_id=invoice.pk if invoice else None,
        consolidated_invoice_id=None if invoice else document.pk,
        amount=amount,
        applied_on=entities.today_at(payment.seller),
    )


class Unapplied(admin.SimpleListFilter):
    title, parameter_name = "balance", "unapplied"

    def lookups(self, request, model_admin):
        return [("yes", "Something is left to apply")]

    def queryset(self, request, queryset):
        return queries.unapplied(queryset) if self.value() else queryset


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    empty_hint = "Record what arrived at the bank: the invoices due first are settled first."
    list_display = ("received_on", "customer", "shown_amount", "shown_left", "method", "reference")
    list_filter = (Unapplied, "method", "currency", "received_on")
    list_select_related = ("customer", "seller")
    search_fields = ("reference", "customer__name", "customer__code")
    search_help_text = "Reference, or name or code of the customer"
    ordering = ("-id",)
    change_form_after_template = "admin/tables.html"
    fields = (
        ("seller", "customer"),
        ("shown_amount", "shown_applied", "shown_left"),
        ("received_on", "method", "reference"),
        "note",
        "created_at",
    )
    readonly_fields = ("shown_amount", "shown_applied", "shown_left", "created_at")
    console_actions = (
        ConsoleAction(
            name="apply",
            description="Apply…",
            effect="A part of what is left settles an invoice, and the customer's balance shrinks by it.",
            permission=APPLY,
            run=_apply,
            form=ApplyForm,
            icon="price_check",
            applies=lambda payment: payment.unapplied_amount > 0,
        ),
    )

    def scope(self, request, queryset):
        return visible(queryset, user=request.user, permission=queries.VIEW_PAYMENT, entity="customer")

    def has_add_permission(self, request, *args):
        return request.user.has_perm(RECORD)

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        """Record a payment. A second click finds the reference used by the same payment: nothing moves twice."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.form_page(
            request,
            RecordForm(request.POST or None),
            title="Record a payment",
            explanation="The oldest due invoices of the customer are settled first; what is left stays on the customer's"
            " balance.",
            submit_label="Record",
            save=partial(self._record, request),
            done=lambda payment: f"{payment}: recorded.",
        )

    def change_view(self, request, object_id, form_url="", extra_context=None):
        payment = self.get_object(request, unquote(object_id))
        tables = [_applications(payment)] if payment is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def _record(
        self, request: HttpRequest, *, customer_code: str, consolidated_number: str, **terms
    ) -> Payment:
        within = entities.entities_for(request.user, RECORD)
        customer = within.filter(code__iexact=customer_code.strip()).first()
        seller = customer and entities.seller_of(customer)
        if seller is None:
            raise NotFound(f"There is no customer {customer_code}.")
        if number := consolidated_number.strip():
            document = consolidations_for(request.user, RECORD).filter(seller=seller, number=number).first()
            if document is None:
                raise NotFound(f"There is no consolidated invoice {number}.")
            terms["consolidated_invoice_id"] = document.pk
        return services.record_payment(
            actor=actor_of(request),
            seller_id=seller.pk,
            customer_id=customer.pk,
            as_of=entities.today_at(seller),
            **terms,
        )

    @display(description="Amount", ordering="amount")
    def shown_amount(self, payment):
        return money(payment.amount, payment.currency)

    @display(description="Applied", ordering="applied_amount")
    def shown_applied(self, payment):
        return money(payment.applied_amount, payment.currency)

    @display(description="Left on the balance")
    def shown_left(self, payment):
        return money(payment.unapplied_amount, payment.currency)


def _applications(payment: Payment) -> Table:
    return Table(
        title="Settled with it",
        headers=["Invoice", "Customer", "Amount", "On"],
        rows=[
            [
                link(application.invoice, "invoicing_invoice"),
                str(application.invoice.customer),
                money(application.amount, application.currency),
                str(application.applied_on),
            ]
            for application in payment.applications.select_related("invoice__customer").order_by("pk")
        ],
    )
