"""Requesting approval for a credit note, with the body of a credit note itself, and to paying back what is left of one."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError

from approvals import services
from approvals.api.asking import Asking, AskingView
from approvals.api.serializers import TEXT, RequestRead
from billing.invoicing.credit_notes.api import CreditNoteIssue
from billing.invoicing.queries import credit_notes_for
from billing.kernel.api.fields import IdField, StrictCharField

ASK = "approvals.request_credit_note"
ASK_REFUND = "approvals.request_pay_back"


class CreditNoteRequest(CreditNoteIssue):
    """As for a credit note, which is then issued on the day of the last approval."""

    issued_on = None
    comment = StrictCharField(**TEXT, required=False, allow_blank=True, default="")


class CreditNoteRequestView(AskingView):
    """Request approval for a credit note that is above a limit, with a comment: `POST /credit-notes` asks without one."""

    permission = ASK
    action_permissions = {"post": ASK}

    @extend_schema(request=CreditNoteRequest, responses={201: RequestRead})
    def post(self, request):
        """The same terms again are the request there is; others over the same invoice supersede it."""
        order = self.parse(CreditNoteRequest)
        invoice = self.invoice(order.pop("invoice"))
        if lines := order.pop("lines", None):
            order["lines"] = _nets(lines)
        made = services.request_credit_note(
            actor=self.actor, invoice_id=invoice.pk, at=timezone.now(), **order
        )
        return self.asked(made)


class RefundRequest(Asking):
    credit_note = IdField()
    reason = StrictCharField(**TEXT)


class RefundRequestView(AskingView):
    """Request approval to pay back what is left of a credit note, with a comment: `POST /credit-notes/{id}/redirect` asks
    without one."""

    permission = ASK_REFUND
    action_permissions = {"post": ASK_REFUND}

    @extend_schema(request=RefundRequest, responses={201: RequestRead})
    def post(self, request):
        """The amount is what is left now. If less is left by then, it has to be asked for again."""
        order = self.parse(RefundRequest)
        note = credit_notes_for(request.user, self.permission).filter(pk=order.pop("credit_note")).first()
        if note is None:
            raise ValidationError({"credit_note": ["There is no such credit note."]})
        made = services.request_refund(actor=self.actor, credit_note_id=note.pk, at=timezone.now(), **order)
        return self.asked(made)


def _nets(lines: list[dict]) -> dict:
    nets = {line["line"]: line["net_amount"] for line in lines}
    if len(nets) < len(lines):
        raise ValidationError({"lines": ["Each line once."]})
    return nets
