"""What the endpoints share that ask for consent to an act of this system."""

from uuid import UUID

from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from approvals import queries
from approvals.api.serializers import TEXT, RequestRead
from approvals.models import ApprovalRequest
from billing.invoicing.models import Invoice
from billing.invoicing.queries import invoices_for
from billing.kernel.api.fields import IdField, StrictCharField
from billing.kernel.api.serializers import StrictSerializer
from billing.kernel.api.viewsets import ServiceView


class Asking(StrictSerializer):
    comment = StrictCharField(
        **TEXT, required=False, allow_blank=True, default="", help_text="For who is asked."
    )


class AskingOverInvoice(Asking):
    invoice = IdField()


class AskingView(ServiceView):
    """The act's own endpoint answers 409 approval-required. `verb` asks; the same terms again are the request there
    is, others over the same subject supersede it."""

    verb = ""
    idempotency_required_actions = frozenset({"post"})

    def invoice(self, invoice_id: UUID) -> Invoice:
        found = invoices_for(self.request.user, self.verb).filter(pk=invoice_id).first()
        if found is None:
            raise ValidationError({"invoice": ["There is no such invoice."]})
        return found

    def asked(self, made: ApprovalRequest) -> Response:
        shown = queries.with_story(queries.requests_for(self.request.user, self.verb))
        return Response(RequestRead(shown.get(pk=made.pk)).data, status=201)
