"""What the endpoints share that request approval for an act of this system."""

from uuid import UUID

from django.utils import timezone
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.status import HTTP_202_ACCEPTED

from approvals import queries
from approvals.api.serializers import TEXT, RequestRead
from approvals.models import ApprovalRequest
from approvals.services.operations import request_operation_approval
from billing.entities.models import BillingEntity
from billing.invoicing.models import Invoice
from billing.invoicing.queries import invoices_for
from billing.kernel.api.approval import approval_responder
from billing.kernel.api.fields import IdField, StrictCharField
from billing.kernel.api.serializers import StrictSerializer
from billing.kernel.api.viewsets import ServiceView
from billing.kernel.approval import ProposedOperation


class Asking(StrictSerializer):
    comment = StrictCharField(
        **TEXT, required=False, allow_blank=True, default="", help_text="For who is asked."
    )


class AskingOverInvoice(Asking):
    invoice = IdField()


@approval_responder
def ask_instead(request: Request, act: ProposedOperation) -> Response | None:
    """By whoever may ask for acts of its kind there."""
    entity = BillingEntity.objects.get(pk=act.entity_id)
    if not request.user.has_perm(f"approvals.request_{act.kind}", entity):
        return None
    made = request_operation_approval(act, at=timezone.now())
    shown = queries.with_story(ApprovalRequest.objects.filter(pk=made.pk)).get()
    where = reverse("approval-request-detail", kwargs={"request_id": made.pk}, request=request)
    return Response(
        {"approval_request": RequestRead(shown).data},
        status=HTTP_202_ACCEPTED,
        headers={"Location": where},
    )


class AskingView(ServiceView):
    """For those who may ask and not do it, and with a comment. `permission` asks; the same terms again are the request there
    is, others over the same subject supersede it."""

    permission = ""
    idempotency_required_actions = frozenset({"post"})

    def invoice(self, invoice_id: UUID) -> Invoice:
        found = invoices_for(self.request.user, self.permission).filter(pk=invoice_id).first()
        if found is None:
            raise ValidationError({"invoice": ["There is no such invoice."]})
        return found

    def asked(self, made: ApprovalRequest) -> Response:
        shown = queries.with_story(queries.requests_for(self.request.user, self.permission))
        return Response(RequestRead(shown.get(pk=made.pk)).data, status=201)
