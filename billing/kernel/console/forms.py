"""Forms in the theme's widgets, previews, and pages that consist of one form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from hashlib import sha256

from django import forms
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from billing.kernel.errors import DomainError

THEME = {
    forms.TextInput: UnfoldAdminTextInputWidget,
    forms.EmailInput: UnfoldAdminTextInputWidget,
    forms.Textarea: UnfoldAdminTextareaWidget,
    forms.PasswordInput: UnfoldAdminPasswordWidget,
    forms.NumberInput: UnfoldAdminDecimalFieldWidget,
    forms.DateInput: partial(
        UnfoldAdminTextInputWidget, attrs={"type": "date"}
    ),  # the browser's own calendar
    forms.Select: UnfoldAdminSelectWidget,
    forms.SelectMultiple: UnfoldAdminSelectMultipleWidget,
    forms.CheckboxInput: UnfoldBooleanSwitchWidget,
}


def today() -> date:
    """What a form suggests for a day. In UTC, as the API's days are."""
    return timezone.now().date()


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))


@dataclass(frozen=True)
class Seen:
    """What a preview shows, and the seal by which it is known again."""

    tables: list
    seal: str


def previewed(form: forms.Form, tables_of: Callable[[Mapping], list]) -> Seen | None:
    """None if the form is not filled in rightly, or if a rule refuses: the form then says why."""
    if not form.is_valid():
        return None
    try:
        tables = tables_of(form.cleaned_data)
    except DomainError as error:
        form.add_error(None, error.detail)
        return None
    said = repr((sorted(form.cleaned_data.items(), key=lambda item: item[0]), tables))
    return Seen(tables, sha256(said.encode()).hexdigest())


def styled(form: forms.Form) -> forms.Form:
    """The theme by itself styles only fields that it makes from a model."""
    for field in form.fields.values():
        themed = THEME.get(type(field.widget))
        if themed is None:
            continue
        plain, field.widget = field.widget, themed()
        field.widget.attrs |= {name: value for name, value in plain.attrs.items() if name != "class"}
        field.widget.is_required = field.required
        if hasattr(field, "choices"):
            field.widget.choices = field.choices
    return form
