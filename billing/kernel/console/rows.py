"""A form field whose value is a list of rows: each row is a small form, and the page adds, moves and removes rows.

Without JavaScript the page has spare empty rows and a checkbox to remove one; rows that are left empty are dropped.
"""

from collections.abc import Mapping

from django import forms
from django.core.exceptions import ValidationError
from django.forms.formsets import INITIAL_FORM_COUNT, TOTAL_FORM_COUNT, BaseFormSet
from django.template.loader import render_to_string
from django.utils.datastructures import MultiValueDict
from django.utils.safestring import SafeString

from billing.kernel.console.forms import styled

SPARE_ROWS = 1
COLUMNS = {1: "", 2: "md:grid-cols-2", 3: "md:grid-cols-3", 4: "md:grid-cols-4"}


class RowsWidget(forms.Widget):
    """Renders a formset of `row_form`. `row_kwargs` are given to each row's form: choices that the page knows."""

    class Media:
        js = ("console/rows.js",)

    def __init__(
        self, row_form: type[forms.Form], *, rows_max: int, row_label: str, add_label: str, columns: int
    ) -> None:
        super().__init__()
        self.row_label, self.add_label, self.columns = row_label, add_label, columns
        self.row_kwargs: dict = {}
        self.formset_class = forms.formset_factory(
            row_form, extra=0, max_num=rows_max, absolute_max=rows_max + 1, validate_max=True, can_delete=True
        )

    def value_from_datadict(self, data: Mapping, files: Mapping, name: str) -> BaseFormSet:
        """The rows as they were sent. Each may be empty, whether or not it was there before."""
        rows = (
            data.copy()
            if isinstance(data, MultiValueDict)
            else MultiValueDict({k: [v] for k, v in data.items()})
        )
        rows[f"{name}-{INITIAL_FORM_COUNT}"] = "0"
        rows.setdefault(f"{name}-{TOTAL_FORM_COUNT}", "0")
        return self.formset_class(
            rows,
            prefix=name,
            form_kwargs=self.row_kwargs,
            error_messages={"too_many_forms": "At most %(num)d rows."},
        )

    def value_omitted_from_data(self, data: Mapping, files: Mapping, name: str) -> bool:
        return f"{name}-{TOTAL_FORM_COUNT}" not in data

    def render(self, name: str, value, attrs: Mapping | None = None, renderer=None) -> SafeString:
        rows = value if isinstance(value, BaseFormSet) else self._stored(name, value or [])
        for row in rows.forms:
            _prepare(row)
            row.is_spare = not rows.is_bound and not row.initial
        context = {
            "name": name,
            "rows": rows,
            "empty_row": _prepare(rows.empty_form),
            "total": len(rows.forms),
            "rows_max": rows.max_num,
            "is_required": self.is_required,
            "row_label": self.row_label,
            "add_label": self.add_label,
            "columns": COLUMNS[self.columns],
        }
        return render_to_string("admin/rows.html", context)

    def _stored(self, name: str, rows: list[dict]) -> BaseFormSet:
        shown = self.formset_class(initial=rows, prefix=name, form_kwargs=self.row_kwargs)
        shown.extra = min(SPARE_ROWS, shown.max_num - len(rows))
        return shown


class RowsField(forms.Field):
    """Its value is the cleaned data of each row that is neither empty nor removed, in their order. What is wrong with a
    row is shown at that row's own field."""

    def __init__(
        self,
        row_form: type[forms.Form],
        *,
        rows_max: int,
        row_label: str,
        add_label: str,
        columns: int = 3,
        **kwargs,
    ) -> None:
        widget = RowsWidget(
            row_form, rows_max=rows_max, row_label=row_label, add_label=add_label, columns=columns
        )
        super().__init__(widget=widget, **kwargs)

    def clean(self, value: BaseFormSet) -> list[dict]:
        if not value.is_valid():
            raise ValidationError(list(value.non_form_errors()) or "Correct the marked rows.")
        rows = [form.cleaned_data for form in value.forms if form.has_changed() and form.cleaned_data]
        kept = [
            {name: cell for name, cell in row.items() if name != "DELETE"}
            for row in rows
            if not row.get("DELETE")
        ]
        if self.required and not kept:
            raise ValidationError(self.error_messages["required"], code="required")
        return kept

    def has_changed(self, initial, data) -> bool:
        return True


def _prepare(row: forms.Form) -> forms.Form:
    row.fields["DELETE"].label = "Remove"
    return styled(row)
