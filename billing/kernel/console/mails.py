"""Mails in the console as they were sent, and as they would look: for every app that has some."""

from collections.abc import Callable

from django import forms
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action, display

from billing.kernel.console.actions import ConsoleAction, actor_of
from billing.kernel.console.base import Labelled, ReadOnlyAdmin
from billing.kernel.console.forms import ReasonForm, styled
from billing.kernel.mailing.models import Mail
from billing.kernel.mailing.rendering import Rendered
from billing.kernel.mailing.states import MailState

IN_DOUBT = {MailState.FAILED, MailState.SENDING}


def mail_actions(
    app: str, *, retry: Callable[..., object], confirm: Callable[..., object]
) -> tuple[ConsoleAction, ...]:
    """What a person may do about a mail that may have gone out. `retry` and `confirm` are the app's services."""

    def _retry(request: HttpRequest, mail: Mail, *, reason: str) -> None:
        retry(actor=actor_of(request), mail_id=mail.pk, reason=reason)

    def _confirm(request: HttpRequest, mail: Mail, *, reason: str) -> None:
        confirm(actor=actor_of(request), mail_id=mail.pk, reason=reason)

    return (
        ConsoleAction(
            name="retry",
            description="Send again…",
            effect="It is sent again under the same Message-ID. Look in the mail server's log first whether it went out.",
            permission=f"{app}.retry_mail",
            form=ReasonForm,
            run=_retry,
            icon="replay",
            applies=lambda mail: mail.state in IN_DOUBT,
        ),
        ConsoleAction(
            name="confirm",
            description="It went out…",
            effect="It is written down as sent: its Message-ID is in the mail server's log.",
            permission=f"{app}.confirm_mail",
            form=ReasonForm,
            run=_confirm,
            icon="mark_email_read",
            applies=lambda mail: mail.state == MailState.SENDING,
        ),
    )


class MailPages(ReadOnlyAdmin):
    """The preview's form shows at first what its fields have as `initial`."""

    ordering = ("-id",)
    change_form_after_template = "admin/letter.html"
    readonly_fields = ("shown_state",)
    actions_list = ("preview",)
    preview_title = ""
    preview_permission = ""
    preview_form: type[forms.Form]
    back_label = ""

    def previewed(self, request: HttpRequest, form: forms.Form) -> Rendered | None:
        """The mail that the form asks for; None if there is none, and the form then says why."""
        raise NotImplementedError

    def told(self, mail: Mail) -> list:
        """Tables of what the mail is about, below it."""
        return []

    def has_preview_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.preview_permission)

    @action(description="Preview…", url_path="preview", icon="visibility", permissions=["preview"])
    def preview(self, request: HttpRequest) -> HttpResponse:
        """Every mail in every language."""
        first = {
            name: field.initial
            for name, field in self.preview_form.base_fields.items()
            if field.initial is not None
        }
        form = self.preview_form(first | request.GET.dict())
        context = {
            **self.admin_site.each_context(request),
            "title": self.preview_title,
            "opts": self.opts,
            "answer": "admin/letter.html",
            "letter": self.previewed(request, form) if form.is_valid() else None,
            "form": styled(form),
            "back": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"),
            "back_label": self.back_label,
        }
        return TemplateResponse(request, "admin/inquiry.html", context)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        mail = self.get_object(request, unquote(object_id))
        more = {}
        if mail is not None:
            more = {"letter": Rendered(mail.subject, mail.text, mail.html), "tables": self.told(mail)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    @display(
        description="State",
        ordering="state",
        label={
            "queued": "info",
            "sending": "warning",
            "sent": "success",
            "failed": "danger",
            "withdrawn": "info",
        },
    )
    def shown_state(self, mail):
        return Labelled(mail.state, MailState)
