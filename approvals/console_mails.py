"""Mails about requests as they were sent, and as they would look."""

from dataclasses import replace

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.decorators import display

from approvals import queries, services
from approvals.mailing.content import SAMPLE, SAMPLE_WORDS, render
from approvals.mailing.wording import LABELS
from approvals.models import ApprovalMail
from approvals.states import Occasion
from billing.kernel.admin import Labelled, ReadOnlyAdmin
from billing.kernel.adminverbs import AdminVerb, ReasonForm, actor_of, styled
from billing.kernel.mailing.rendering import Rendered
from billing.kernel.mailing.states import MailState

IN_DOUBT = {MailState.FAILED, MailState.SENDING}


def _retry(request, mail, *, reason):
    services.retry_mail(actor=actor_of(request), mail_id=mail.pk, reason=reason)


def _confirm(request, mail, *, reason):
    services.confirm_mail(actor=actor_of(request), mail_id=mail.pk, reason=reason)


class PreviewForm(forms.Form):
    occasion = forms.ChoiceField(choices=Occasion.choices)
    language = forms.ChoiceField(choices=[(code, code) for code in LABELS])


@admin.register(ApprovalMail)
class ApprovalMailAdmin(ReadOnlyAdmin):
    list_display = ("subject", "person", "occasion", "shown_state", "created_at", "sent_at", "last_error")
    list_filter = ("state", "occasion", "language", "created_at")
    search_fields = ("recipient", "subject", "message_id")
    search_help_text = "Address, subject or Message-ID"
    ordering = ("-id",)
    change_form_after_template = "admin/dunning/letter.html"
    fields = (
        ("person", "recipient"),
        ("occasion", "language"),
        ("request", "delegation"),
        ("shown_state", "attempts"),
        ("sending_since", "sent_at"),
        ("message_id", "last_error"),
    )
    readonly_fields = ("shown_state",)
    verbs = (
        AdminVerb(
            name="retry",
            description="Send again…",
            effect="It is sent again under the same Message-ID. Look in the mail server's log first whether it went out.",
            permission="approvals.retry_mail",
            form=ReasonForm,
            run=_retry,
            icon="replay",
            applies=lambda mail: mail.state in IN_DOUBT,
        ),
        AdminVerb(
            name="confirm",
            description="It went out…",
            effect="It is written down as sent: its Message-ID is in the mail server's log.",
            permission="approvals.confirm_mail",
            form=ReasonForm,
            run=_confirm,
            icon="mark_email_read",
            applies=lambda mail: mail.state == MailState.SENDING,
        ),
    )

    def get_queryset(self, request):
        return queries.mails_for(request.user).order_by(*self.ordering)

    def may(self, request, verb, mail):
        return request.user.has_perm(verb.permission)

    def get_urls(self):
        view = self.admin_site.admin_view(self.preview_view)
        return [path("preview/", view, name="approvals_approvalmail_preview"), *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Every mail in every language, with made-up data."""
        if not request.user.has_perm("approvals.view_approvalmail"):
            raise PermissionDenied
        form = PreviewForm({"occasion": Occasion.ASKED, "language": "en"} | request.GET.dict())
        context = {
            **self.admin_site.each_context(request),
            "title": "Preview of mails about requests",
            "opts": self.opts,
            "letter": _sample(**form.cleaned_data, name=request.user.name) if form.is_valid() else None,
            "form": styled(form),
            "back": reverse("admin:approvals_approvalmail_changelist"),
        }
        return TemplateResponse(request, "admin/dunning/preview.html", context)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        mail = self.get_object(request, unquote(object_id))
        more = {"letter": Rendered(mail.subject, mail.text, mail.html)} if mail is not None else {}
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


def _sample(*, occasion: str, language: str, name: str) -> Rendered:
    told = replace(SAMPLE, word=SAMPLE_WORDS.get(Occasion(occasion), ""))
    return render(occasion, told, name=name, language=language)
