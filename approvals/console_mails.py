"""Mails about requests as they were sent, and as they would look."""

from dataclasses import replace

from django import forms
from django.contrib import admin

from approvals import queries, services
from approvals.mailing.content import SAMPLE, SAMPLE_WORDS, render
from approvals.mailing.wording import LABELS
from approvals.models import ApprovalMail
from approvals.states import Occasion
from billing.kernel.console.mails import MailPages, mail_actions


class PreviewForm(forms.Form):
    occasion = forms.ChoiceField(choices=Occasion.choices, initial=Occasion.ASKED)
    language = forms.ChoiceField(choices=[(code, code) for code in LABELS], initial="en")


@admin.register(ApprovalMail)
class ApprovalMailAdmin(MailPages):
    list_display = ("subject", "person", "occasion", "shown_state", "created_at", "sent_at", "last_error")
    list_filter = ("state", "occasion", "language", "created_at")
    search_fields = ("recipient", "subject", "message_id")
    search_help_text = "Address, subject or Message-ID"
    fields = (
        ("person", "recipient"),
        ("occasion", "language"),
        ("request", "delegation"),
        ("shown_state", "attempts"),
        ("sending_since", "sent_at"),
        ("message_id", "last_error"),
    )
    console_actions = mail_actions("approvals", retry=services.retry_mail, confirm=services.confirm_mail)
    preview_title = "Preview of mails about requests"
    preview_permission = queries.VIEW_MAIL
    preview_form = PreviewForm
    back_label = "Back to the mails"

    def get_queryset(self, request):
        return queries.mails_for(request.user).order_by(*self.ordering)

    def may(self, request, action, mail):
        return request.user.has_perm(action.permission)

    def previewed(self, request, form):
        """With made-up data."""
        occasion = form.cleaned_data["occasion"]
        told = replace(SAMPLE, word=SAMPLE_WORDS.get(Occasion(occasion), ""))
        return render(occasion, told, name=request.user.name, language=form.cleaned_data["language"])
