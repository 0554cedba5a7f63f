"""Invoices, billing runs, tax rates and number series in the console: looked at freely, changed by actions."""

from datetime import timedelta
from decimal import Decimal

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display

from billing.access.creating import CreatesByService, ScopedForm
from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import entities_for, today_at
from billing.entities.reach import visible
from billing.invoicing import console, queries, services
from billing.invoicing.allocation.console import gl_codes, rules  # noqa: F401  (registers its pages)
from billing.invoicing.billing_runs.console import runs  # noqa: F401  (registers its pages)
from billing.invoicing.consolidation.console import documents  # noqa: F401  (registers its pages)
from billing.invoicing.credit_notes.console import CREDIT, RECOVER
from billing.invoicing.discounts import console as discounts  # noqa: F401  (registers its pages)
from billing.invoicing.drafting.console.one_off import DELETE, REVISE, OneOffInvoices
from billing.invoicing.invoices.core.billing_horizon import require_near
from billing.invoicing.models import CostAllocation, Invoice, NumberSeries, TaxExemption, TaxRate
from billing.invoicing.states import InvoiceState
from billing.kernel.console import tables
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin, names_of_actors
from billing.kernel.console.forms import today

DAY = {"widget": forms.DateInput(), "initial": today}


class IssueForm(forms.Form):
    issued_on = forms.DateField(**DAY)


class VoidForm(forms.Form):
    voided_on = forms.DateField(**DAY)
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


class WriteOffForm(forms.Form):
    written_off_on = forms.DateField(**DAY)
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


class RerateForm(forms.Form):
    as_of = forms.DateField(**DAY)
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


class Overdue(admin.SimpleListFilter):
    title, parameter_name = "overdue", "overdue"

    def lookups(self, request, model_admin):
        return [("yes", "Overdue today")]

    def queryset(self, request, queryset):
        return queries.overdue(queryset, as_of=timezone.now().date()) if self.value() else queryset


def _issue(request, invoice, *, issued_on):
    services.issue_invoice(actor=actor_of(request), invoice_id=invoice.pk, issued_on=issued_on)


def _void(request, invoice, *, voided_on, reason):
    services.void_invoice(actor=actor_of(request), invoice_id=invoice.pk, voided_on=voided_on, reason=reason)


def _write_off(request, invoice, *, written_off_on, reason):
    services.write_off_invoice(
        actor=actor_of(request), invoice_id=invoice.pk, written_off_on=written_off_on, reason=reason
    )


def _rerate(request, invoice, *, as_of, reason):
    require_near(as_of, today=today_at(invoice.seller))
    services.rerate_invoice(actor=actor_of(request), invoice_id=invoice.pk, as_of=as_of, reason=reason)


@admin.register(Invoice)
class InvoiceAdmin(OneOffInvoices, ReadOnlyAdmin):
    empty_hint = "Invoices come from billing runs. Start one, or write an invoice by hand."
    list_display = (
        "shown_number",
        "customer",
        "shown_state",
        "issued_on",
        "due_on",
        "shown_total",
        "shown_balance",
    )
    list_filter = ("state", Overdue, "currency", "issued_on", "due_on")
    list_select_related = ("customer", "seller")
    search_fields = ("number", "customer__name", "customer__code")
    search_help_text = "Number, or name or code of the customer"
    ordering = ("-id",)
    list_before_template = "admin/invoicing/totals.html"
    change_form_after_template = "admin/tables.html"
    fieldsets = (
        ("", {"fields": (("number", "shown_state"), ("seller", "customer"), ("issued_on", "due_on"))}),
        (
            "Amounts",
            {
                "fields": (
                    ("shown_net", "shown_tax", "shown_total"),
                    ("shown_paid", "shown_credited", "shown_balance"),
                )
            },
        ),
        (
            "As it was issued",
            {
                "fields": (
                    "shown_parties",
                    ("shown_period", "run", "shown_consolidation"),
                    "shown_document",
                    "shown_failure",
                )
            },
        ),
    )
    readonly_fields = (
        "shown_state",
        "shown_net",
        "shown_tax",
        "shown_total",
        "shown_paid",
        "shown_credited",
        "shown_balance",
        "shown_parties",
        "shown_period",
        "shown_consolidation",
        "shown_document",
        "shown_failure",
    )
    console_actions = (
        ConsoleAction(
            name="issue",
            description="Issue…",
            effect="The invoice takes its number, is allocated and booked, and never changes again.",
            permission="invoicing.issue_invoice",
            asks="approvals.request_invoice",
            run=_issue,
            form=IssueForm,
            icon="send",
            applies=lambda invoice: invoice.state == InvoiceState.DRAFT,
        ),
        REVISE,
        ConsoleAction(
            name="void",
            description="Void…",
            effect="The invoice keeps its number, its booking is mirrored and what it billed can be billed again.",
            permission="invoicing.void_invoice",
            run=_void,
            form=VoidForm,
            icon="block",
            danger=True,
            applies=lambda invoice: invoice.state == InvoiceState.ISSUED,
        ),
        CREDIT,
        ConsoleAction(
            name="write_off",
            description="Write off…",
            effect="What is open is given up and booked as bad debt. The invoice is uncollectible for good.",
            permission="invoicing.write_off_invoice",
            asks="approvals.request_write_off",
            run=_write_off,
            form=WriteOffForm,
            icon="money_off",
            danger=True,
            applies=lambda invoice: invoice.state == InvoiceState.ISSUED,
        ),
        RECOVER,
        ConsoleAction(
            name="rerate",
            description="Re-rate…",
            effect="Its usage is rated anew at today's prices and events. A draft is made anew; an issued invoice"
            " is voided and drafted anew, for you to look at and issue.",
            permission="invoicing.rerate_invoice",
            run=_rerate,
            form=RerateForm,
            icon="calculate",
            danger=True,
            applies=lambda invoice: (
                invoice.state in (InvoiceState.DRAFT, InvoiceState.ISSUED)
                and not invoice.paid_amount
                and not invoice.billing_key.startswith("one_off:")
            ),
        ),
        DELETE,
    )

    def scope(self, request, queryset):
        return visible(queryset, user=request.user, permission=queries.VIEW_INVOICE, entity="customer")

    def changelist_view(self, request, extra_context=None):
        response = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", {}).get("cl")
        if shown is not None:
            response.context_data["totals"] = {
                "headers": ["Currency", "Invoices", "Total", "Open"],
                "rows": console.totals_of(shown.queryset),
            }
        return response

    def change_view(self, request, object_id, form_url="", extra_context=None):
        invoice = self.get_object(request, unquote(object_id))
        tables = []
        if invoice is not None:
            names = names_of_actors(console.actors_of(invoice))
            tables = console.invoice_tables(invoice, names=names)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    @display(description="Number", ordering="number")
    def shown_number(self, invoice):
        return invoice.number or "draft"

    @display(
        description="State",
        ordering="state",
        label={"draft": "info", "issued": "warning", "paid": "success", "void": "danger"},
    )
    def shown_state(self, invoice):
        return Labelled(invoice.state, InvoiceState)

    def described(self, invoice):
        total = tables.money(invoice.total_amount, invoice.currency)
        return f"{invoice}, {total}, to {invoice.customer}"

    @display(description="Net")
    def shown_net(self, invoice):
        return tables.money(invoice.net_amount, invoice.currency)

    @display(description="Tax")
    def shown_tax(self, invoice):
        return tables.money(invoice.tax_amount, invoice.currency)

    @display(description="Total", ordering="total_amount")
    def shown_total(self, invoice):
        return tables.money(invoice.total_amount, invoice.currency)

    @display(description="Paid")
    def shown_paid(self, invoice):
        return tables.money(invoice.paid_amount, invoice.currency)

    @display(description="Credited and written off")
    def shown_credited(self, invoice):
        return tables.money(invoice.credited_amount + invoice.written_off_amount, invoice.currency)

    @display(description="Open", ordering="balance_amount")
    def shown_balance(self, invoice):
        return tables.money(invoice.balance_amount, invoice.currency)

    @display(description="Parties and terms")
    def shown_parties(self, invoice):
        if not invoice.snapshot:
            return "Noted when it is issued."
        seller, customer = invoice.snapshot["seller"], invoice.snapshot["customer"]
        terms = invoice.snapshot["payment_terms_days"]
        return f"{_party(seller)} → {_party(customer)}, {terms} days"

    @display(description="Period")
    def shown_period(self, invoice):
        return f"{invoice.period_starts_on} – {invoice.period_ends_on - timedelta(days=1)}"

    @display(description="Part of")
    def shown_consolidation(self, invoice):
        document = queries.live_consolidations([invoice.pk]).get(invoice.pk)
        return tables.link(document, "invoicing_consolidatedinvoice") if document else "–"

    @display(description="Document")
    def shown_document(self, invoice):
        if invoice.number is None:
            return "Made once it is issued."
        return format_html(
            '<a class="underline" href="{}">PDF</a>', reverse("invoice-pdf", args=[invoice.pk])
        )

    @display(description="Why it could not be issued")
    def shown_failure(self, invoice):
        return f"{invoice.failure['code']}: {invoice.failure['detail']}" if invoice.failure else "–"


def _party(party: dict) -> str:
    return f"{party['legal_name']} ({party['code']}, {party['country']})"


@admin.register(CostAllocation)
class CostAllocationAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "department",
        "gl_code",
        "shown_net",
        "shown_tax",
        "invoice",
        "basis",
        "rule_version",
        "takes_back",
        "reason",
    )
    list_filter = ("basis", "currency", "created_at")
    list_select_related = ("department", "invoice", "rule_version__rule")
    search_fields = ("invoice__number", "department__code", "department__name", "gl_code")
    search_help_text = "Invoice number, department or GL code"
    ordering = ("-id",)
    exclude = ("division", "weights")
    readonly_fields = ("shown_weights",)

    def scope(self, request, queryset):
        return visible(
            queryset,
            user=request.user,
            permission=queries.VIEW_ALLOCATION,
            entity="entity",
            department="department",
        )

    @display(description="Net", ordering="net_amount")
    def shown_net(self, share):
        return tables.money(share.net_amount, share.currency)

    @display(description="Tax", ordering="tax_amount")
    def shown_tax(self, share):
        return tables.money(share.tax_amount, share.currency)

    @display(description="Weighed")
    def shown_weights(self, share):
        weighed = sorted((share.weights or {}).values(), key=lambda each: each["driver"])
        told = (
            f"{tables.number(Decimal(each['weight']))} of {tables.number(Decimal(each['of']))} by {each['driver']}"
            for each in weighed
        )
        return ", ".join(told) or "–"

    @display(description="Takes back", boolean=True)
    def takes_back(self, share):
        return share.reverses_id is not None


@admin.register(TaxRate)
class TaxRateAdmin(ReadOnlyAdmin):
    list_display = ("country", "category", "shown_percent", "starts_on", "created_at")
    list_filter = ("category", "country")
    search_fields = ("country",)
    ordering = ("country", "category", "-starts_on")

    @display(description="Percent", ordering="percent")
    def shown_percent(self, rate):
        return f"{tables.number(rate.percent)} %"


def _end_exemption(request, exemption, *, ends_on, reason):
    services.end_tax_exemption(
        actor=actor_of(request), exemption_id=exemption.pk, ends_on=ends_on, reason=reason
    )


class EndForm(forms.Form):
    ends_on = forms.DateField(**DAY, help_text="The first day on which tax is due again.")
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


class ExemptionForm(ScopedForm):
    customer = forms.ModelChoiceField(BillingEntity.objects.none())
    country = forms.CharField(
        max_length=2, help_text="Whose tax the customer does not pay, as two letters: DE."
    )
    starts_on = forms.DateField(**DAY)
    ends_on = forms.DateField(
        widget=forms.DateInput(),
        required=False,
        help_text="The first day on which tax is due again, if known.",
    )

    class Meta:
        model = TaxExemption
        fields = ("customer", "country", "certificate", "starts_on", "ends_on")

    def limit_to(self, user: User) -> None:
        within = entities_for(user, "invoicing.create_tax_exemption")
        self.fields["customer"].queryset = within.order_by("code")


@admin.register(TaxExemption)
class TaxExemptionAdmin(CreatesByService, ReadOnlyAdmin):
    empty_hint = "Customers pay tax as the rates say, unless a certificate of theirs is recorded here."
    creates = "invoicing.create_tax_exemption"
    create_form = ExemptionForm
    list_display = ("certificate", "customer", "country", "starts_on", "shown_end")
    list_filter = ("country",)
    list_select_related = ("customer",)
    search_fields = ("certificate", "customer__code", "customer__name")
    ordering = ("customer__code", "country", "-starts_on")
    fields = (("customer", "country", "certificate"), ("starts_on", "shown_end"), "created_at")
    readonly_fields = ("shown_end", "created_at")
    console_actions = (
        ConsoleAction(
            name="end",
            description="End…",
            effect="Invoices drafted from now on bear tax again for supplies from that day. What is issued stays.",
            permission="invoicing.end_tax_exemption",
            run=_end_exemption,
            form=EndForm,
            icon="event_busy",
        ),
    )

    def get_queryset(self, request):
        return queries.exemptions_for(request.user).select_related("customer").order_by(*self.ordering)

    def create(self, request, given):
        customer = given.pop("customer")
        return services.add_tax_exemption(actor=actor_of(request), customer_id=customer.pk, **given)

    @display(description="Last day", ordering="ends_on")
    def shown_end(self, exemption):
        return exemption.ends_on - timedelta(days=1) if exemption.ends_on else "until further notice"


@admin.register(NumberSeries)
class NumberSeriesAdmin(ReadOnlyAdmin):
    list_display = ("seller", "series", "fiscal_year", "last", "last_issued_on")
    list_filter = ("fiscal_year", "series")
    list_select_related = ("seller",)
    ordering = ("seller__code", "series", "-fiscal_year")

    def scope(self, request, queryset):
        return visible(queryset, user=request.user, permission="invoicing.view_numberseries", entity="seller")
