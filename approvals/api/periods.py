"""Requesting approval for what is done with the books."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError

from approvals import services
from approvals.api.asking import Asking, AskingView
from approvals.api.serializers import TEXT, RequestRead
from billing.kernel.api.fields import IdField, StrictCharField
from billing.ledger.queries import periods_for

ASK_REOPENING = "approvals.request_period_reopening"


class ReopeningRequest(Asking):
    period = IdField()
    reason = StrictCharField(**TEXT)


class ReopeningRequestView(AskingView):
    """Request approval to reopen a month, with a comment: `POST /ledger/periods/{id}/reopen` asks without one."""

    permission = ASK_REOPENING
    action_permissions = {"post": ASK_REOPENING}

    @extend_schema(request=ReopeningRequest, responses={201: RequestRead})
    def post(self, request):
        """The latest closed month, and nobody asks for one he closed."""
        order = self.parse(ReopeningRequest)
        period = periods_for(request.user, self.permission).filter(pk=order.pop("period")).first()
        if period is None:
            raise ValidationError({"period": ["There is no such period."]})
        made = services.request_period_reopening(
            actor=self.actor, period_id=period.pk, at=timezone.now(), **order
        )
        return self.asked(made)
