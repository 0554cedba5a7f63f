"""One-off invoices in the console: a page with rows for their lines, and what can be done with a draft."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.queries import departments_for, entities_for, today_at
from billing.invoicing import services
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.adminverbs import AdminVerb, actor_of, styled, today
from billing.kernel.errors import DomainError
from billing.kernel.money import currencies
from billing.subscriptions.queries import products_for

DRAFT = "invoicing.draft_invoice"
LINE_ROWS = 5
FIGURE = {"max_digits": 28, "decimal_places": 12, "required": False}


class OneOffForm(forms.Form):
    seller = forms.ModelChoiceField(BillingEntity.objects.none())
    customer = forms.ModelChoiceField(BillingEntity.objects.none())
    currency = forms.ChoiceField(choices=[(code, code) for code in currencies()], initial="EUR")
    key = forms.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z",
        required=False,
        help_text="An order's number, for example: a second invoice of it is refused.",
    )
    issue_on = forms.DateField(
        widget=forms.DateInput(),
        required=False,
        help_text="The billing run of that day issues it. Empty: you issue it.",
    )

    def __init__(self, *args, user: User, **kwargs):
        super().__init__(*args, **kwargs)
        within = entities_for(user, DRAFT).order_by("code")
        self.fields["seller"].queryset = within.filter(is_seller=True)
        self.fields["seller"].initial = within.filter(is_seller=True).first()
        self.fields["customer"].queryset = within


class LineForm(forms.Form):
    product = forms.ChoiceField(required=False)
    description = forms.CharField(max_length=300, required=False, help_text="Empty: the product's name.")
    quantity = forms.DecimalField(**FIGURE, initial=1)
    unit_price = forms.DecimalField(**FIGURE, help_text="Below zero it is a credit.")
    tax_inclusive = forms.BooleanField(required=False, label="Price includes tax")
    service_starts_on = forms.DateField(label="From", widget=forms.DateInput(), required=False, initial=today)
    last_day = forms.DateField(label="Last day", widget=forms.DateInput(), required=False, initial=today)
    department = forms.ChoiceField(required=False)

    def __init__(self, *args, products: list[tuple[str, str]], departments: list[tuple[str, str]], **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["product"].choices = [("", "–"), *products]
        self.fields["department"].choices = [("", "the default department"), *departments]
        for name in ("quantity", "unit_price"):
            self.fields[name].widget.attrs["step"] = "any"

    def clean(self) -> dict:
        given = super().clean()
        if given.get("product"):
            for name in ("quantity", "unit_price", "service_starts_on", "last_day"):
                if given.get(name) is None and name not in self.errors:
                    self.add_error(name, "A line needs it.")
        return given


LineForms = forms.formset_factory(
    LineForm, extra=LINE_ROWS, max_num=services.ONE_OFF_LINES_MAX, validate_max=True
)


class OneOffLines:
    """For the admin of invoices: "add" drafts a one-off invoice."""

    def has_add_permission(self, request, *args):
        return request.user.has_perm(DRAFT)

    def add_view(self, request: HttpRequest, form_url="", extra_context=None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        asked = request.POST if request.method == "POST" else None
        form = OneOffForm(asked, user=request.user)
        lines = _rows(asked, request.user)
        if asked is not None and all([form.is_valid(), lines.is_valid()]):
            try:
                invoice = _draft(request, lines=lines, **form.cleaned_data)
            except DomainError as refusal:
                form.add_error(None, refusal.detail)
            else:
                self.message_user(request, "Drafted. Look at the totals, then issue it.", messages.SUCCESS)
                return HttpResponseRedirect(reverse("admin:invoicing_invoice_change", args=[invoice.pk]))
        return _page(self, request, form=form, lines=lines)


def _rows(asked, user: User):
    return LineForms(
        asked,
        prefix="lines",
        form_kwargs={"products": sold_products(user), "departments": charged_departments(user)},
    )


def _page(shown: ModelAdmin, request: HttpRequest, *, form: OneOffForm, lines) -> TemplateResponse:
    context = {
        **shown.admin_site.each_context(request),
        "title": "New one-off invoice",
        "opts": shown.opts,
        "form": styled(form),
        "lines": lines,
        "row_count": LINE_ROWS,
        "rows": [styled(line) for line in lines],
        "back": reverse("admin:invoicing_invoice_changelist"),
    }
    return TemplateResponse(request, "admin/invoicing/one_off_form.html", context)


def sold_products(user: User) -> list[tuple[str, str]]:
    """Read once for all rows of the form."""
    within = products_for(user, DRAFT).filter(is_active=True)
    return [(str(product.pk), f"{product} – {product.entity.code}") for product in within.order_by("code")]


def charged_departments(user: User) -> list[tuple[str, str]]:
    within = departments_for(user, DRAFT).select_related("entity").order_by("entity__code", "code")
    return [(str(each.pk), f"{each.entity.code}: {each}") for each in within]


def _draft(request: HttpRequest, *, lines, seller, customer, **terms) -> Invoice:
    return services.draft_one_off_invoice(
        actor=actor_of(request),
        seller_id=seller.pk,
        customer_id=customer.pk,
        lines=_written(line.cleaned_data for line in lines),
        as_of=today_at(seller),
        **terms,
    )


def _written(rows: Iterable[dict]) -> list[services.OneOffLine]:
    return [
        services.OneOffLine(
            product_id=UUID(row["product"]),
            description=row["description"],
            quantity=Decimal(row["quantity"]),
            unit_price=Decimal(row["unit_price"]),
            tax_inclusive=row["tax_inclusive"],
            service_starts_on=row["service_starts_on"],
            service_ends_on=row["last_day"] + timedelta(days=1),
            department_id=UUID(row["department"]) if row["department"] else None,
        )
        for row in rows
        if row.get("product")
    ]


def _delete(request, invoice):
    services.delete_one_off_invoice(actor=actor_of(request), invoice_id=invoice.pk)


DELETE = AdminVerb(
    name="delete_one_off",
    description="Delete draft…",
    effect="The draft is gone, with its lines. It had no number.",
    permission=DRAFT,
    run=_delete,
    icon="delete",
    danger=True,
    applies=lambda invoice: (
        invoice.state == InvoiceState.DRAFT and invoice.billing_key.startswith("one_off:")
    ),
)
