"""The rows of a one-off invoice on its pages in the console, and what they come to."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from django import forms
from django.http import QueryDict

from billing.access.models import User
from billing.entities.queries import departments_for
from billing.invoicing import services
from billing.invoicing.console import lines_table, taxes_table
from billing.invoicing.drafting.services.one_off_invoices import InvoicePreview
from billing.invoicing.drafting.services.one_off_lines import as_written
from billing.invoicing.models import Invoice, InvoiceLine
from billing.kernel.console.forms import today
from billing.kernel.console.tables import Table, money
from billing.kernel.money import plain
from billing.subscriptions.queries import products_for

DRAFT = "invoicing.draft_invoice"
NEW_ROWS = 5
PREFIX = "lines"
FIGURE = {"max_digits": 28, "decimal_places": 12, "required": False}
NEEDED = ("quantity", "unit_price", "service_starts_on", "last_day")
Choices = list[tuple[str, str]]


class LineForm(forms.Form):
    product = forms.ChoiceField(required=False)
    description = forms.CharField(max_length=300, required=False, help_text="Empty: the product's name.")
    department = forms.ChoiceField(required=False)
    tax_inclusive = forms.BooleanField(required=False, label="Price includes tax")
    quantity = forms.DecimalField(**FIGURE, initial=1)
    unit_price = forms.DecimalField(**FIGURE, help_text="Below zero it is a credit.")
    service_starts_on = forms.DateField(
        label="First day", widget=forms.DateInput(), required=False, initial=today
    )
    last_day = forms.DateField(label="Last day", widget=forms.DateInput(), required=False, initial=today)

    def __init__(self, *args, products: Choices, departments: Choices, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["product"].choices = [("", "–"), *products]
        self.fields["department"].choices = [("", "The default department"), *departments]
        for name in ("quantity", "unit_price"):
            self.fields[name].widget.attrs["step"] = "any"

    def clean(self) -> dict:
        """What is written without a product would be left out unseen."""
        given = super().clean()
        if given.get("product"):
            for name in NEEDED:
                if given.get(name) is None and name not in self.errors:
                    self.add_error(name, "A line needs it.")
        elif "product" not in self.errors and (given.get("description") or given.get("unit_price")):
            self.add_error("product", "Choose one, or leave the line out.")
        return given


class LineRows(forms.BaseFormSet):
    def add_fields(self, form, index):
        super().add_fields(form, index)
        form.fields["DELETE"].label = "Leave this line out"

    def written(self) -> list[services.OneOffLine]:
        return [
            services.OneOffLine(
                product_id=UUID(row["product"]),
                description=row["description"],
                quantity=row["quantity"],
                unit_price=row["unit_price"],
                tax_inclusive=row["tax_inclusive"],
                service_starts_on=row["service_starts_on"],
                service_ends_on=row["last_day"] + timedelta(days=1),
                department_id=UUID(row["department"]) if row["department"] else None,
            )
            for row in (form.cleaned_data for form in self.forms)
            if row.get("product") and not row.get("DELETE")
        ]


LineForms = forms.formset_factory(
    LineForm,
    formset=LineRows,
    extra=NEW_ROWS,
    max_num=services.ONE_OFF_LINES_MAX,
    validate_max=True,
    can_delete=True,
)


def line_rows(
    asked: QueryDict | None, *, products: Choices, departments: Choices, lines: Iterable[InvoiceLine] = ()
) -> LineRows:
    """As they were sent; else those of `lines`, with room for one more, or empty ones."""
    if asked is not None and "more" in asked:
        asked = _with_more_rows(asked)
    stored = [_as_row(line) for line in lines]
    rows = LineForms(
        asked,
        prefix=PREFIX,
        initial=None if asked else stored,
        form_kwargs={"products": products, "departments": departments},
    )
    rows.extra = 1 if stored else NEW_ROWS
    return rows


def _with_more_rows(asked: QueryDict) -> QueryDict:
    """With some rows more, filled in as new rows are."""
    asked = asked.copy()
    before = LineForms(asked, prefix=PREFIX, form_kwargs={"products": [], "departments": []})
    known = before.total_form_count()
    total = min(known + NEW_ROWS, services.ONE_OFF_LINES_MAX)
    asked[f"{PREFIX}-TOTAL_FORMS"] = str(max(known, total))
    for number in range(known, total):
        for name in NEEDED:
            initial = LineForm.base_fields[name].initial
            if initial is not None:
                asked[f"{PREFIX}-{number}-{name}"] = str(initial() if callable(initial) else initial)
    return asked


def _as_row(line: InvoiceLine) -> dict:
    written = as_written(line)
    return {
        "product": str(written.product_id),
        "description": written.description,
        "department": str(written.department_id or ""),
        "tax_inclusive": written.tax_inclusive,
        "quantity": plain(written.quantity),
        "unit_price": plain(written.unit_price),
        "service_starts_on": written.service_starts_on,
        "last_day": written.service_ends_on - timedelta(days=1),
    }


def sold_products(user: User) -> Choices:
    """Read once for all rows of the form."""
    within = products_for(user, DRAFT).filter(is_active=True)
    return [(str(product.pk), f"{product} – {product.entity.code}") for product in within.order_by("code")]


def charged_departments(user: User) -> Choices:
    within = departments_for(user, DRAFT).select_related("entity").order_by("entity__code", "code")
    return [(str(each.pk), f"{each.entity.code}: {each}") for each in within]


def products_of(invoice: Invoice, user: User) -> Choices:
    """What the invoice's seller sells, and what its lines name though it is sold no more: no line may lose it."""
    offered = products_for(user, DRAFT).filter(entity=invoice.seller_id, is_active=True).order_by("code")
    choices = {str(product.pk): str(product) for product in offered}
    for line in invoice.lines.select_related("product"):
        choices.setdefault(str(line.product_id), f"{line.product} (no longer sold)")
    return list(choices.items())


def departments_of(invoice: Invoice) -> Choices:
    return [(str(each.pk), str(each)) for each in invoice.customer.departments.order_by("code")]


def preview_tables(shown: InvoicePreview, *, before: Invoice | None = None) -> list[Table]:
    """Totals (beside those of `before`, with the difference), tax and lines of what would be drafted."""
    return [
        _totals(shown.invoice, before),
        taxes_table(shown.taxes),
        lines_table(shown.lines),
    ]


def _totals(after: Invoice, before: Invoice | None) -> Table:
    def row(name: str, amounts: Mapping[str, object]) -> list[str]:
        return [name, *(money(amount, after.currency) for amount in amounts.values())]

    new, old = _amounts(after), _amounts(before) if before else {}
    rows = [row("With these lines", new)]
    if before:
        change = {name: amount - old[name] for name, amount in new.items()}
        rows = [row("As it stands", old), *rows, row("Difference", change)]
    return Table(title="What it comes to", headers=["", "Net", "Tax", "Total"], rows=rows)


def _amounts(invoice: Invoice) -> dict:
    return {
        "net": invoice.net_amount,
        "tax": invoice.tax_amount,
        "total": invoice.total_amount,
    }
