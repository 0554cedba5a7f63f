"""Letters as they were sent, and templates as they would look."""

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from unfold.decorators import display

from billing.dunning import queries, services
from billing.dunning.mailing.content import render
from billing.dunning.mailing.preview import letter_about, sample_letter
from billing.dunning.mailing.wording import LABELS
from billing.dunning.models import DunningMail
from billing.dunning.states import Template
from billing.entities.queries import today_at
from billing.invoicing.console import Table, link, money
from billing.invoicing.queries import invoices_for
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
    template = forms.ChoiceField(choices=Template.choices, initial=Template.REMINDER)
    language = forms.ChoiceField(choices=[(code, code) for code in LABELS])
    invoice_number = forms.CharField(
        max_length=64, required=False, help_text="Empty: made-up invoices. Otherwise this one as it is today."
    )


@admin.register(DunningMail)
class DunningMailAdmin(ReadOnlyAdmin):
    empty_hint = "No letter was written. A dunning run writes them."
    list_display = ("subject", "customer", "recipient", "shown_state", "written_on", "sent_at", "last_error")
    list_filter = ("state", "template", "language", "written_on")
    list_select_related = ("customer",)
    search_fields = ("recipient", "subject", "message_id", "customer__code", "customer__name")
    search_help_text = "Address, subject, Message-ID, or name or code of the customer"
    ordering = ("-id",)
    change_form_after_template = "admin/dunning/letter.html"
    fields = (
        ("customer", "written_on"),
        ("recipient", "reply_to"),
        ("template", "language"),
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
            permission="dunning.retry_mail",
            form=ReasonForm,
            run=_retry,
            icon="replay",
            applies=lambda mail: mail.state in IN_DOUBT,
        ),
        AdminVerb(
            name="confirm",
            description="It went out…",
            effect="It is written down as sent: its Message-ID is in the mail server's log.",
            permission="dunning.confirm_mail",
            form=ReasonForm,
            run=_confirm,
            icon="mark_email_read",
            applies=lambda mail: mail.state == MailState.SENDING,
        ),
    )

    def get_queryset(self, request):
        return queries.mails_for(request.user).order_by(*self.ordering)

    def get_urls(self):
        return [
            path(
                "preview/", self.admin_site.admin_view(self.preview_view), name="dunning_dunningmail_preview"
            ),
            *super().get_urls(),
        ]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Every template in every language, with made-up data or about an invoice within reach."""
        if not request.user.has_perm(queries.VIEW_POLICY):
            raise PermissionDenied
        form = PreviewForm({"template": Template.REMINDER, "language": "en"} | request.GET.dict())
        context = {
            **self.admin_site.each_context(request),
            "title": "Preview of dunning letters",
            "opts": self.opts,
            "letter": _previewed(request, form) if form.is_valid() else None,
            "form": styled(form),
            "back": reverse("admin:dunning_dunningmail_changelist"),
        }
        return TemplateResponse(request, "admin/dunning/preview.html", context)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        mail = self.get_object(request, unquote(object_id))
        more = {}
        if mail is not None:
            more = {"letter": Rendered(mail.subject, mail.text, mail.html), "tables": [_told(mail)]}
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


def _previewed(request: HttpRequest, form: PreviewForm) -> Rendered | None:
    given = form.cleaned_data
    if not given["invoice_number"]:
        return render(given["template"], sample_letter(given["language"]))
    invoice = invoices_for(request.user).filter(number=given["invoice_number"].strip()).first()
    if invoice is None:
        form.add_error("invoice_number", "There is no such invoice.")
        return None
    letter = letter_about(invoice, language=given["language"], as_of=today_at(invoice.seller))
    return render(given["template"], letter)


def _told(mail: DunningMail) -> Table:
    notices = mail.notices.select_related("invoice", "step").order_by("invoice__due_on", "pk")
    return Table(
        title="What it asks for",
        headers=["Invoice", "Step", "Days late", "Open", "Asked for"],
        rows=[
            [
                link(notice.invoice, "invoicing_invoice"),
                str(notice.step),
                str(notice.days_late),
                money(notice.open_amount, notice.currency),
                money(notice.collectable_amount, notice.currency),
            ]
            for notice in notices
        ],
    )
