"""Credit notes in the console: issued from the invoice, looked at before, then applied or paid back."""

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import F
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from billing.entities.queries import today_at
from billing.invoicing import queries, services
from billing.invoicing.credit_notes.services.issue import CreditParts
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.states import CreditRemainder, InvoiceState
from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import today
from billing.kernel.console.tables import Table, link, money, number
from billing.kernel.errors import NotFound

DAY = {"widget": forms.DateInput(), "initial": today}
LINES_MAX = 40  # more are credited by an amount, or by the API
_AMOUNT = {"max_digits": 19, "decimal_places": 4, "required": False}


class CreditForm(forms.Form):
    issued_on = forms.DateField(**DAY)
    net_amount = forms.DecimalField(
        **_AMOUNT,
        min_value=0,
        help_text="Without tax, spread over what is left of the lines. Empty: the lines named below, or all of it.",
    )
    remainder_to = forms.ChoiceField(
        choices=CreditRemainder.choices,
        label="What the invoice no longer owes",
    )
    reason = forms.CharField(
        max_length=1000, widget=forms.Textarea(attrs={"rows": 3}), help_text="Printed on the credit note."
    )


def _offer_lines(form: forms.Form, invoices: list[Invoice]) -> None:
    """A field for every line of which something is left, if one invoice is asked about."""
    if len(invoices) != 1:
        return
    for line, left in queries.creditable_lines(invoices[0])[:LINES_MAX]:
        form.fields[f"line_{line.pk.hex}"] = forms.DecimalField(
            **_AMOUNT,
            label=f"{line.position}. {line.description}"[:120],
            help_text=f"Net; {money(left, line.currency)} is left.",
        )


def _terms(invoice: Invoice, given: dict) -> dict:
    lines = {
        line.pk: amount
        for line, _ in queries.creditable_lines(invoice)
        if (amount := given.pop(f"line_{line.pk.hex}", None)) is not None
    }
    return {"invoice_id": invoice.pk, "lines": lines or None, **given}


def _credit(request, invoice, **given):
    services.issue_credit_note(actor=actor_of(request), version=invoice.version, **_terms(invoice, given))


def _preview(request, invoice, **given) -> list[Table]:
    note, parts = services.preview_credit_note(**_terms(invoice, given))
    return [*tables_of(note, parts, title=f"Credit of {invoice.number}"), _effect(note, invoice)]


def _effect(note: CreditNote, invoice: Invoice) -> Table:
    return Table(
        title="What it settles",
        headers=["Open now", "Settled by it", "Open after", "To the customer's balance"],
        rows=[
            [
                money(amount, note.currency)
                for amount in (
                    invoice.balance_amount,
                    note.applied_amount,
                    invoice.balance_amount - note.applied_amount,
                    note.unapplied_amount,
                )
            ]
        ],
        note="What goes to the balance is to be paid back."
        if note.remainder_to == CreditRemainder.REFUND and note.unapplied_amount
        else "",
    )


CREDIT = ConsoleAction(
    name="credit",
    description="Credit…",
    effect="What you name is taken back with its tax, and goes back to the departments that bore it. It settles"
    " what is open first.",
    permission="invoicing.issue_credit_note",
    asks="approvals.request_credit_note",
    run=_credit,
    form=CreditForm,
    prepare=_offer_lines,
    preview=_preview,
    preview_label="Show what it takes back",
    icon="undo",
    danger=True,
    applies=lambda invoice: invoice.state in (InvoiceState.ISSUED, InvoiceState.PAID),
)


class RecoverForm(forms.Form):
    recovered_on = forms.DateField(**DAY)
    amount = forms.DecimalField(
        **_AMOUNT, min_value=0, help_text="What came after all. Empty: all that was written off."
    )
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


def _recover(request, invoice, **given):
    services.recover_invoice(actor=actor_of(request), invoice_id=invoice.pk, **given)


RECOVER = ConsoleAction(
    name="recover",
    description="Recover…",
    effect="What was written off is open again, so that a payment can settle it. The bad debt is booked back.",
    permission="invoicing.recover_invoice",
    run=_recover,
    form=RecoverForm,
    icon="currency_exchange",
    applies=lambda invoice: invoice.state == InvoiceState.UNCOLLECTIBLE,
)


class ApplyForm(forms.Form):
    invoice_number = forms.CharField(max_length=64)
    amount = forms.DecimalField(max_digits=19, decimal_places=4, min_value=0)


def _apply(request, note, *, invoice_number, amount):
    within = queries.invoices_for(request.user, "invoicing.apply_credit")
    invoice = within.filter(seller_id=note.seller_id, number=invoice_number.strip()).first()
    if invoice is None:
        raise NotFound(f"There is no invoice {invoice_number}.")
    services.apply_credit(
        actor=actor_of(request),
        credit_note_id=note.pk,
        invoice_id=invoice.pk,
        amount=amount,
        applied_on=today_at(note.seller),
    )


class RedirectForm(forms.Form):
    remainder_to = forms.ChoiceField(choices=CreditRemainder.choices, label="What is left of it")
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


def _redirect(request, note, **given):
    services.redirect_credit(actor=actor_of(request), credit_note_id=note.pk, **given)


class Unapplied(admin.SimpleListFilter):
    title, parameter_name = "balance", "unapplied"

    def lookups(self, request, model_admin):
        return [("yes", "Something is left")]

    def queryset(self, request, queryset):
        return queryset.filter(applied_amount__lt=F("total_amount")) if self.value() else queryset


@admin.register(CreditNote)
class CreditNoteAdmin(ReadOnlyAdmin):
    empty_hint = "A credit note is issued from its invoice: open the invoice and choose “Credit…”."
    list_display = (
        "number",
        "customer",
        "invoice",
        "issued_on",
        "shown_total",
        "shown_left",
        "shown_remainder",
    )
    list_filter = (Unapplied, "remainder_to", "currency", "issued_on")
    search_fields = ("number", "invoice__number", "customer__name", "customer__code", "reason")
    search_help_text = "Number of the note or its invoice, or name or code of the customer"
    ordering = ("-id",)
    change_form_after_template = "admin/tables.html"
    fields = (
        ("number", "shown_invoice", "issued_on"),
        ("seller", "customer"),
        ("shown_net", "shown_tax", "shown_total"),
        ("shown_applied", "shown_left", "shown_remainder"),
        ("reason", "shown_document"),
    )
    readonly_fields = (
        "shown_invoice",
        "shown_net",
        "shown_tax",
        "shown_total",
        "shown_applied",
        "shown_left",
        "shown_remainder",
        "shown_document",
    )
    console_actions = (
        ConsoleAction(
            name="apply",
            description="Apply…",
            effect="A part of what is left settles an invoice, and the customer's balance shrinks by it.",
            permission="invoicing.apply_credit",
            run=_apply,
            form=ApplyForm,
            icon="price_check",
            applies=lambda note: note.unapplied_amount > 0 and note.remainder_to == CreditRemainder.BALANCE,
        ),
        ConsoleAction(
            name="redirect",
            description="Keep or pay back…",
            effect="What is left is kept for other invoices, or is to be paid back to the customer.",
            permission="invoicing.redirect_credit",
            asks="approvals.request_pay_back",
            run=_redirect,
            form=RedirectForm,
            icon="alt_route",
            applies=lambda note: note.unapplied_amount > 0,
        ),
    )

    def get_queryset(self, request):
        return queries.credit_notes_for(request.user).order_by(*self.ordering)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        note = self.get_object(request, unquote(object_id))
        tables = []
        if note is not None:
            lines = list(note.lines.select_related("line").order_by("line__position"))
            shares = list(note.allocations.select_related("department", "line").order_by("pk"))
            taxes = list(note.taxes.order_by("category", "percent"))
            tables = [*tables_of(note, CreditParts(lines, taxes, shares)), _applications(note)]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "tables": tables})

    def described(self, note):
        return f"{note}, {money(note.total_amount, note.currency)}, to {note.customer}"

    @display(description="Invoice")
    def shown_invoice(self, note):
        return link(note.invoice, "invoicing_invoice")

    @display(description="Document")
    def shown_document(self, note):
        return format_html(
            '<a class="underline" href="{}">PDF</a>', reverse("credit-note-pdf", args=[note.pk])
        )

    @display(description="Net")
    def shown_net(self, note):
        return money(note.net_amount, note.currency)

    @display(description="Tax")
    def shown_tax(self, note):
        return money(note.tax_amount, note.currency)

    @display(description="Total", ordering="total_amount")
    def shown_total(self, note):
        return money(note.total_amount, note.currency)

    @display(description="Applied")
    def shown_applied(self, note):
        return money(note.applied_amount, note.currency)

    @display(description="Left")
    def shown_left(self, note):
        return money(note.unapplied_amount, note.currency)

    @display(description="What is left", label={"balance": "info", "refund": "warning"})
    def shown_remainder(self, note):
        return Labelled(note.remainder_to, CreditRemainder)


def tables_of(note: CreditNote, parts: CreditParts, *, title: str = "Taken back") -> list[Table]:
    """Lines, tax and departments, with the note's totals."""
    return [
        Table(
            title=title,
            headers=["#", "What", "Net"],
            rows=[
                [
                    str(credit.line.position),
                    credit.line.description,
                    money(credit.net_amount, credit.currency),
                ]
                for credit in parts.lines
            ],
        ),
        Table(
            title="Tax",
            headers=["Category", "Rate", "Taxable", "Tax"],
            rows=[
                [
                    tax.get_category_display(),
                    f"{number(tax.percent)} %",
                    money(tax.taxable_amount, tax.currency),
                    money(tax.tax_amount, tax.currency),
                ]
                for tax in parts.taxes
            ],
            note=f"Total with tax: {money(note.total_amount, note.currency)}",
        ),
        Table(
            title="Cost that goes back",
            headers=["#", "Department", "GL code", "Net", "Tax"],
            rows=[
                [
                    str(share.line.position),
                    str(share.department),
                    share.gl_code,
                    money(share.net_amount, share.currency),
                    money(share.tax_amount, share.currency),
                ]
                for share in parts.shares
            ],
        ),
    ]


def _applications(note: CreditNote) -> Table:
    return Table(
        title="Settled with it",
        headers=["Invoice", "Amount", "On"],
        rows=[
            [
                link(application.invoice, "invoicing_invoice"),
                money(application.amount, application.currency),
                str(application.applied_on),
            ]
            for application in note.applications.select_related("invoice").order_by("pk")
        ],
    )
