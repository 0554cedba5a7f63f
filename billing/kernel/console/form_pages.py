"""A page that consists of one form and adds one object by one service call."""

from collections.abc import Callable, Mapping
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from billing.kernel.console.actions import actor_of
from billing.kernel.console.forms import Seen, previewed, styled
from billing.kernel.errors import DomainError
from billing.kernel.idempotency_keys import claim_once
from billing.kernel.retrying import retrying


class FormPagesMixin:
    """For a ModelAdmin; `agreed` is that of ConsoleActionsMixin."""

    def form_page(
        self,
        request: HttpRequest,
        form: forms.Form,
        *,
        title: str,
        explanation: str,
        submit_label: str,
        save: Callable[..., models.Model],
        done: Callable[[models.Model], str],
        preview: Callable[[Mapping], list] | None = None,
        preview_label: str = "",
    ) -> HttpResponse:
        """The form, or after it was sent the page of the object that `save(**cleaned_data)` returned.

        The click and the object are stored in one transaction: what a rule refused (a DomainError, shown above the
        form) can be sent again, a second click adds nothing. With a `preview` its tables come first; if they would
        differ by the time of the confirmation, they are shown anew.
        """
        seen: Seen | None = None
        if request.method == "POST":
            seen = previewed(form, preview) if preview else None
            confirmed = (
                "confirm" in request.POST and self.agreed(request, seen) if preview else form.is_valid()
            )
            if confirmed and (answer := self._saved(request, form, save, done)):
                return answer
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "explanation": explanation,
            "submit_label": submit_label,
            "form": styled(form),
            "seen": seen,
            "preview_label": preview_label,
            "preview_variant": "default" if seen else "primary",
            "once": request.POST.get("once") or uuid4().hex,
            "back": self._address("changelist"),
        }
        return TemplateResponse(request, "admin/form_page.html", context)

    def _saved(
        self,
        request: HttpRequest,
        form: forms.Form,
        save: Callable[..., models.Model],
        done: Callable[[models.Model], str],
    ) -> HttpResponse | None:
        """None if a rule refuses: the form then says why."""

        @transaction.atomic
        def claim_and_save() -> models.Model | None:
            once = request.POST.get("once")
            key = f"admin:add:{once}"[:255]
            if once and not claim_once(principal=actor_of(request), key=key, route=request.path[:255]):
                return None
            return save(**form.cleaned_data)

        try:
            obj = retrying(claim_and_save)()
        except DomainError as error:
            form.add_error(None, error.detail)
            return None
        if obj is None:
            warning = "This was confirmed before; nothing was done twice."
            self.message_user(request, warning, messages.WARNING)
            return HttpResponseRedirect(self._address("changelist"))
        self.message_user(request, done(obj), messages.SUCCESS)
        return HttpResponseRedirect(self._address("change", obj.pk))

    def _address(self, page: str, *args: object) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=args)
