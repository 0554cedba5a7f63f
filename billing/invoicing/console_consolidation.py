"""Consolidated invoices and exchange rates in the console: looked at before they are made, then only voided."""

from datetime import timedelta
from functools import partial
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from billing.access.creating import CreatesByService, ScopedForm
from billing.entities import queries as entities
from billing.invoicing import queries, services
from billing.invoicing.consolidation_tables import document_tables, preview_tables
from billing.invoicing.horizon import require_near
from billing.invoicing.models import ConsolidatedInvoice, ExchangeRate
from billing.invoicing.services.consolidating import Consolidated
from billing.invoicing.states import ConsolidatedPaymentState, ConsolidatedState
from billing.kernel.console.actions import AdminVerb, actor_of, previewed, styled, today
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.tables import money, number
from billing.kernel.errors import DomainError, NotFound
from billing.kernel.retrying import retrying
from billing.kernel.write_once import claim_once

CONSOLIDATE = "invoicing.consolidate_invoices"
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
    verbs = (
        AdminVerb(
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
        form = ConsolidateForm(request.POST or None)
        seen = previewed(form, partial(_gathered, request)) if request.method == "POST" else None
        if "confirm" in request.POST and self.agreed(request, seen):
            made = self._consolidate(request, form)
            if made is not None:
                return made
        context = {
            **self.admin_site.each_context(request),
            "title": "Add consolidated invoice",
            "opts": self.opts,
            "form": styled(form),
            "seen": seen,
            "preview_variant": "default" if seen else "primary",
            "once": request.POST.get("once") or uuid4().hex,
            "back": reverse("admin:invoicing_consolidatedinvoice_changelist"),
        }
        return TemplateResponse(request, "admin/invoicing/consolidate.html", context)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        document = self.get_object(request, unquote(object_id))
        tables = document_tables(document) if document is not None else []
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def described(self, document):
        return f"{document}, {self.shown_total(document)}, to {document.payer}"

    def _consolidate(self, request: HttpRequest, form: ConsolidateForm) -> HttpResponse | None:
        """None if a rule refuses: the form then says why."""
        try:
            made = retrying(_consolidate_once)(request, form.cleaned_data)
        except DomainError as error:
            form.add_error(None, error.detail)
            return None
        if made is None:
            said = "This was confirmed before; nothing was done twice."
            self.message_user(request, said, messages.WARNING)
            return HttpResponseRedirect(reverse("admin:invoicing_consolidatedinvoice_changelist"))
        said = "issued" if made.is_new else "nothing new to gather; this is the document there is"
        self.message_user(request, f"{made.document}: {said}.", messages.SUCCESS)
        here = reverse("admin:invoicing_consolidatedinvoice_change", args=[made.document.pk])
        return HttpResponseRedirect(here)

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


@transaction.atomic
def _consolidate_once(request: HttpRequest, given: dict) -> Consolidated | None:
    """Claimed and made together: what a rule refused can be confirmed again, what was made cannot."""
    key = f"admin:consolidate:{request.POST.get('once', '')}"[:255]
    if not claim_once(principal=actor_of(request), key=key, route=request.path[:255]):
        return None
    return services.consolidate_invoices(
        actor=actor_of(request), allow_missing=given["allow_missing"], **_terms(request, given)
    )


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
