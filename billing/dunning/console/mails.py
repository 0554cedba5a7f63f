"""Letters as they were sent, and templates as they would look."""

from django import forms
from django.contrib import admin

from billing.dunning import queries, services
from billing.dunning.core.letter_wording import LABELS
from billing.dunning.core.letters import render
from billing.dunning.models import DunningMail
from billing.dunning.services.letter_previews import letter_about, sample_letter
from billing.dunning.states import Template
from billing.entities.queries import today_at
from billing.invoicing.queries import invoices_for
from billing.kernel.console.mails import MailPages, mail_actions
from billing.kernel.console.tables import Table, link, money


class PreviewForm(forms.Form):
    template = forms.ChoiceField(choices=Template.choices, initial=Template.REMINDER)
    language = forms.ChoiceField(choices=[(code, code) for code in LABELS], initial="en")
    invoice_number = forms.CharField(
        max_length=64, required=False, help_text="Empty: made-up invoices. Otherwise this one as it is today."
    )


@admin.register(DunningMail)
class DunningMailAdmin(MailPages):
    empty_hint = "No letter was written. A dunning run writes them."
    list_display = ("subject", "customer", "recipient", "shown_state", "written_on", "sent_at", "last_error")
    list_filter = ("state", "template", "language", "written_on")
    list_select_related = ("customer",)
    search_fields = ("recipient", "subject", "message_id", "customer__code", "customer__name")
    search_help_text = "Address, subject, Message-ID, or name or code of the customer"
    fields = (
        ("customer", "written_on"),
        ("recipient", "reply_to"),
        ("template", "language"),
        ("shown_state", "attempts"),
        ("sending_since", "sent_at"),
        ("message_id", "last_error"),
    )
    console_actions = mail_actions("dunning", retry=services.retry_mail, confirm=services.confirm_mail)
    preview_title = "Preview of dunning letters"
    preview_permission = queries.VIEW_POLICY
    preview_form = PreviewForm
    back_label = "Back to the letters"

    def get_queryset(self, request):
        return queries.mails_for(request.user).order_by(*self.ordering)

    def previewed(self, request, form):
        """With made-up data, or about an invoice within reach."""
        given = form.cleaned_data
        if not given["invoice_number"]:
            return render(given["template"], sample_letter(given["language"]))
        invoice = invoices_for(request.user).filter(number=given["invoice_number"].strip()).first()
        if invoice is None:
            form.add_error("invoice_number", "There is no such invoice.")
            return None
        letter = letter_about(invoice, language=given["language"], as_of=today_at(invoice.seller))
        return render(given["template"], letter)

    def told(self, mail):
        notices = mail.notices.select_related("invoice", "step").order_by("invoice__due_on", "pk")
        return [
            Table(
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
        ]
