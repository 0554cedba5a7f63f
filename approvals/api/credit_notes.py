"""Asking for consent to a credit note: with the body of a credit note itself."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError

from approvals import services
from approvals.api.asking import AskingView
from approvals.api.serializers import TEXT, RequestRead
from billing.invoicing.api.crediting import CreditNoteIssue
from billing.kernel.api.fields import StrictCharField

ASK = "approvals.request_credit_note"


class CreditNoteRequest(CreditNoteIssue):
    """As for a credit note, which is then issued on the day of the last consent."""

    issued_on = None
    comment = StrictCharField(**TEXT, required=False, allow_blank=True, default="")


class CreditNoteRequestView(AskingView):
    """Ask for consent to a credit note that is above a limit: `POST /credit-notes` answers 409 approval-required."""

    verb = ASK
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


def _nets(lines: list[dict]) -> dict:
    nets = {line["line"]: line["net_amount"] for line in lines}
    if len(nets) < len(lines):
        raise ValidationError({"lines": ["Each line once."]})
    return nets
