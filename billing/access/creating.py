"""For the console: an "add" page whose form calls one service."""

from django import forms
from django.http import HttpRequest

from billing.kernel.console.forms import styled
from billing.kernel.errors import DomainError


class ScopedForm(forms.ModelForm):
    """Knows who fills it in: `limit_to(user)` narrows the choices of this one form, not of the class. A `refusal` is
    what a rule has said to what is filled in."""

    user = None
    refusal = ""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.limit_to(self.user)
        styled(self)

    def limit_to(self, user) -> None:
        """Nothing to narrow."""

    def _post_clean(self):
        super()._post_clean()
        if self.refusal:
            self.add_error(None, self.refusal)


class CreatesByService:
    """For a ReadOnlyAdmin. `creates` is the permission; `create(request, given)` calls the service."""

    creates = ""
    create_form: type[ScopedForm]

    def has_add_permission(self, request, *args):
        return request.user.has_perm(self.creates)

    def get_form(self, request, obj=None, change=False, **kwargs):
        if obj is not None:
            return super().get_form(request, obj, change=change, **kwargs)
        known = {"user": request.user, "refusal": getattr(request, "refusal", "")}
        return type(self.create_form.__name__, (self.create_form,), known)

    def get_fieldsets(self, request, obj=None):
        if obj is None:
            return [(None, {"fields": list(self.create_form.base_fields)})]
        return super().get_fieldsets(request, obj)

    def get_readonly_fields(self, request, obj=None):
        return super().get_readonly_fields(request, obj) if obj is not None else ()

    def get_inlines(self, request, obj):
        return super().get_inlines(request, obj) if obj is not None else ()

    def add_view(self, request: HttpRequest, form_url="", extra_context=None):
        """What a rule refuses is told above the form, as it was filled in."""
        try:
            return super().add_view(request, form_url, extra_context)
        except DomainError as refusal:
            request.refusal = refusal.detail
            return super().add_view(request, form_url, extra_context)

    def save_model(self, request, obj, form, change):
        made = self.create(request, dict(form.cleaned_data))
        obj.__dict__.update(made.__dict__)

    def save_related(self, request, form, formsets, change):
        """Everything was made by the service."""

    def log_addition(self, request, obj, message):
        """The audit trail has it."""

    def create(self, request: HttpRequest, given: dict):
        raise NotImplementedError
