"""Requesting approval for what is done with an invoice."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema

from approvals import services
from approvals.api.asking import AskingOverInvoice, AskingView
from approvals.api.serializers import TEXT, RequestRead
from billing.kernel.api.fields import StrictCharField

ASK_INVOICE = "approvals.request_invoice"
ASK_WRITE_OFF = "approvals.request_write_off"


class InvoiceRequestView(AskingView):
    """Request approval to issue a draft above a limit, with a comment: `POST /invoices/{id}/issue` asks without one, and
    a billing run leaves it a draft."""

    permission = ASK_INVOICE
    action_permissions = {"post": ASK_INVOICE}

    @extend_schema(request=AskingOverInvoice, responses={201: RequestRead})
    def post(self, request):
        """The draft as it stands now. It is issued on the day of the last approval."""
        order = self.parse(AskingOverInvoice)
        invoice = self.invoice(order.pop("invoice"))
        made = services.request_invoice(actor=self.actor, invoice_id=invoice.pk, at=timezone.now(), **order)
        return self.asked(made)


class WriteOffRequest(AskingOverInvoice):
    """All that is open is given up on the day of the last approval."""

    reason = StrictCharField(**TEXT)


class WriteOffRequestView(AskingView):
    """Request approval for a write-off above a limit, with a comment: `POST /invoices/{id}/write-off` asks without one."""

    permission = ASK_WRITE_OFF
    action_permissions = {"post": ASK_WRITE_OFF}

    @extend_schema(request=WriteOffRequest, responses={201: RequestRead})
    def post(self, request):
        """The amount is what is open now. If more or less is open by then, it has to be asked for again."""
        order = self.parse(WriteOffRequest)
        invoice = self.invoice(order.pop("invoice"))
        made = services.request_write_off(actor=self.actor, invoice_id=invoice.pk, at=timezone.now(), **order)
        return self.asked(made)
