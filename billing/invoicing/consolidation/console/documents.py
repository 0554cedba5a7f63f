"""Consolidated invoices and exchange rates in the console: looked at before they are made, then only voided."""

from datetime import timedelta
from functools import partial

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from billing.access.creating import CreatesByService, ScopedForm
from billing.entities import queries as entities
from billing.invoicing import queries, services
from billing.invoicing.consolidation.console.tables import document_tables, preview_tables
from billing.invoicing.invoices.core.billing_horizon import require_near
from billing.invoicing.models import ConsolidatedInvoice, ExchangeRate
from billing.invoicing.states import ConsolidatedPaymentState, ConsolidatedState
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import today
from billing.kernel.console.tables import money, number
from billing.kernel.errors import NotFound

CONSOLIDATE = "invoicing.consolidate_invoices"
ALREADY_CONSOLIDATED = "nothing new to gather; this is the document there is"
DAY = {"widget": forms.DateInput()}


class VoidConsolidatedForm(forms.Form):
    voided_on = forms.DateField(initial=today, **DAY)
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


class ConsolidateForm(forms.Form):
    payer_code = forms.CharField(max_length=64, help_text="The code of the entity that pays for its group.")
    first_day = forms.DateField(help_text="Invoices issued from this day on.", **DAY)
    last_day = forms.DateField(help_text="The last day of the period.", **DAY)
    issued_on = forms.DateField(initial=today, **DAY)
    allow_missing = forms.BooleanField(
        required=False,
        label="Leave drafts out",
        help_text="Otherwise nothing is consolidated while invoices of the group are still drafts.",
    )


def _void(request, document, *, voided_on, reason):
    services.void_consolidated_invoice(
        actor=actor_of(request),
        consolidated_invoice_id=document.pk,
        voided_on=voided_on,
        reason=reason,
        version=document.version,
    )


@admin.register(ConsolidatedInvoice)
class ConsolidatedInvoiceAdmin(ReadOnlyAdmin):
    empty_hint = "One document for a group of companies: issue their invoices first, then gather them here."
    list_display = (
        "number",
        "payer",
        "shown_period",
        "shown_payment_state",
        "issued_on",
        "due_on",
        "shown_open",
    )
    list_filter = ("state", "issued_on", "due_on")
    list_select_related = ("payer", "seller")
    search_fields = ("number", "payer__name", "payer__code")
    search_help_text = "Number, or name or code of the payer"
    ordering = ("-id",)
    change_form_after_template = "admin/tables.html"
    fieldsets = (
        (
            "",
            {
                "fields": (
                    ("number", "shown_state", "shown_payment_state"),
                    ("seller", "payer"),
                    ("shown_period", "issued_on", "due_on"),
                    "shown_document",
                )
            },
        ),
        ("Amounts", {"fields": (("shown_total", "shown_open"), ("shown_converted", "shown_count"))}),
    )
    readonly_fields = (
        "shown_state",
        "shown_payment_state",
        "shown_period",
        "shown_total",
        "shown_open",
        "shown_converted",
        "shown_count",
        "shown_document",
    )
    console_actions = (
        ConsoleAction(
            name="void",
            description="Void…",
            effect="It keeps its number, and its invoices are each collected by themselves again.",
            permission="invoicing.void_consolidated_invoice",
            run=_void,
            form=VoidConsolidatedForm,
            icon="block",
            danger=True,
            applies=lambda document: document.state == ConsolidatedState.ISSUED,
        ),
    )

    def get_queryset(self, request):
        documents = queries.consolidations_for(request.user)
        return queries.with_open_amounts(documents).order_by(*self.ordering)

    def has_add_permission(self, request, *args):
        return request.user.has_perm(CONSOLIDATE)

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        """Name the payer and the period, look at what would be gathered, consolidate it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self.form_page(
            request,
            ConsolidateForm(request.POST or None),
            title="Add consolidated invoice",
            explanation="The open invoices issued in the period to the payer, and to the companies that roll up to it,"
            " become one document. First look at what is gathered, then confirm.",
            submit_label="Consolidate",
            save=partial(_consolidate, request),
            done=lambda document: f"{document}: {'issued' if document.is_new else ALREADY_CONSOLIDATED}.",
            preview=partial(_gathered, request),
            preview_label="Show what is gathered",
        )

    def change_view(self, request, object_id, form_url="", extra_context=None):
        document = self.get_object(request, unquote(object_id))
        tables = document_tables(document) if document is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def described(self, document):
        return f"{document}, {self.shown_total(document)}, to {document.payer}"

    @display(description="Document")
    def shown_document(self, document):
        return format_html(
            '<a class="underline" href="{}">PDF</a>', reverse("consolidated-invoice-pdf", args=[document.pk])
        )

    @display(description="State", ordering="state", label={"issued": "info", "void": "danger"})
    def shown_state(self, document):
        return Labelled(document.state, ConsolidatedState)

    @display(
        description="Payment",
        label={"open": "warning", "partially_paid": "info", "paid": "success", "void": "danger"},
    )
    def shown_payment_state(self, document):
        return Labelled(document.payment_state, ConsolidatedPaymentState)

    @display(description="Invoices issued", ordering="period_starts_on")
    def shown_period(self, document):
        later = f", part {document.part}" if document.part > 1 else ""
        last = document.period_ends_on - timedelta(days=1)
        days = f"{last}" if last == document.period_starts_on else f"{document.period_starts_on} – {last}"
        return f"{days}{later}"

    @display(description="Due in total")
    def shown_total(self, document):
        return " + ".join(money(total.total_amount, total.currency) for total in document.totals.all())

    @display(description="Open")
    def shown_open(self, document):
        return " + ".join(money(total.open_amount, total.currency) for total in document.totals.all())

    @display(description="Invoices in it")
    def shown_count(self, document):
        return document.child_count

    @display(description="At the rates shown")
    def shown_converted(self, document):
        return money(document.converted_amount, document.currency)


def _terms(request: HttpRequest, given: dict) -> dict:
    """Raises NotFound for a payer out of reach or without a seller, TooFarAhead."""
    within = entities.entities_for(request.user, CONSOLIDATE)
    payer = within.filter(code__iexact=given["payer_code"].strip()).first()
    seller = payer and entities.seller_of(payer)
    if seller is None:
        raise NotFound(f"There is no customer {given['payer_code']}.")
    require_near(given["issued_on"], today=entities.today_at(seller))
    return {
        "payer_id": payer.pk,
        "seller_id": seller.pk,
        "period_starts_on": given["first_day"],
        "period_ends_on": given["last_day"] + timedelta(days=1),
        "issued_on": given["issued_on"],
    }


def _gathered(request: HttpRequest, given: dict) -> list:
    return preview_tables(services.preview_consolidation(**_terms(request, given)))


def _consolidate(request: HttpRequest, **given) -> ConsolidatedInvoice:
    consolidated = services.consolidate_invoices(
        actor=actor_of(request), allow_missing=given["allow_missing"], **_terms(request, given)
    )
    consolidated.document.is_new = consolidated.is_new
    return consolidated.document


class ExchangeRateForm(ScopedForm):
    rate_on = forms.DateField(initial=today, **DAY)

    class Meta:
        model = ExchangeRate
        fields = ("from_currency", "to_currency", "rate", "rate_on", "source")


@admin.register(ExchangeRate)
class ExchangeRateAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Needed only where a group has invoices in several currencies."
    creates = "invoicing.create_exchange_rate"
    create_form = ExchangeRateForm
    list_display = ("rate_on", "from_currency", "to_currency", "shown_rate", "source", "created_at")
    list_filter = ("from_currency", "to_currency", "rate_on")
    search_fields = ("from_currency", "to_currency", "source")
    search_help_text = "Currency or source"
    ordering = ("-rate_on", "-id")
    fields = (("from_currency", "to_currency", "shown_rate"), ("rate_on", "source"), "created_at")
    readonly_fields = ("shown_rate", "created_at")

    def create(self, request, given):
        return services.add_exchange_rate(actor=actor_of(request), **given)

    @display(description="Rate", ordering="rate")
    def shown_rate(self, rate):
        return number(rate.rate)
