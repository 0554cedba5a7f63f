"""Asking for consent to a credit note: with the body of a credit note itself."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from approvals import queries, services
from approvals.api.serializers import TEXT, RequestRead
from billing.invoicing.api.crediting import CreditNoteIssue
from billing.invoicing.queries import invoices_for
from billing.kernel.api.fields import StrictCharField
from billing.kernel.api.viewsets import ServiceView

ASK = "approvals.request_credit_note"


class CreditNoteRequest(CreditNoteIssue):
    """As for a credit note, which is then issued on the day of the last consent."""

    issued_on = None
    comment = StrictCharField(**TEXT, required=False, allow_blank=True, default="")


class CreditNoteRequestView(ServiceView):
    """Ask for consent to a credit note that is above a limit: `POST /credit-notes` answers 409 approval-required."""

    action_permissions = {"post": ASK}
    idempotency_required_actions = frozenset({"post"})

    @extend_schema(request=CreditNoteRequest, responses={201: RequestRead})
    def post(self, request):
        """The same terms again are the request there is; others over the same invoice supersede it."""
        order = self.parse(CreditNoteRequest)
        invoice = invoices_for(request.user, ASK).filter(pk=order.pop("invoice")).first()
        if invoice is None:
            raise ValidationError({"invoice": ["There is no such invoice."]})
        if lines := order.pop("lines", None):
            order["lines"] = _nets(lines)
        made = services.request_credit_note(
            actor=self.actor, invoice_id=invoice.pk, at=timezone.now(), **order
        )
        shown = queries.with_story(queries.requests_for(request.user, ASK))
        return Response(RequestRead(shown.get(pk=made.pk)).data, status=201)


def _nets(lines: list[dict]) -> dict:
    nets = {line["line"]: line["net_amount"] for line in lines}
    if len(nets) < len(lines):
        raise ValidationError({"lines": ["Each line once."]})
    return nets
