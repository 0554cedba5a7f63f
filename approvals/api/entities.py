"""Requesting approval for what is done with roles and with payee and tax data."""

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError

from approvals import services
from approvals.api.asking import Asking, AskingView
from approvals.api.serializers import RequestRead
from billing.entities.api.serializers import EntityChanges
from billing.entities.queries import entities_for, grants_for
from billing.kernel.api.fields import IdField

ASK_GRANT = "approvals.request_role_grant"
ASK_PAYEE = "approvals.request_payee_data"


class RoleGrantRequest(Asking):
    role_grant = IdField()


class RoleGrantRequestView(AskingView):
    """Request approval to confirm a role, with a comment: `POST /role-grants/{id}/confirm` asks without one."""

    permission = ASK_GRANT
    action_permissions = {"post": ASK_GRANT}

    @extend_schema(request=RoleGrantRequest, responses={201: RequestRead})
    def post(self, request):
        """Neither who granted it nor who receives it decides."""
        order = self.parse(RoleGrantRequest)
        grant = grants_for(request.user, self.permission).filter(pk=order.pop("role_grant")).first()
        if grant is None:
            raise ValidationError({"role_grant": ["There is no such grant."]})
        made = services.request_role_grant(actor=self.actor, grant_id=grant.pk, at=timezone.now(), **order)
        return self.asked(made)


class PayeeDataRequest(Asking):
    entity = IdField()
    changes = EntityChanges()


class PayeeDataRequestView(AskingView):
    """Request approval to change payee or tax data of an active entity, with a comment: `PATCH /entities/{id}` asks
    without one."""

    permission = ASK_PAYEE
    action_permissions = {"post": ASK_PAYEE}

    @extend_schema(request=PayeeDataRequest, responses={201: RequestRead})
    def post(self, request):
        """Everything that is to change together, in force with the last approval."""
        order = self.parse(PayeeDataRequest)
        entity = entities_for(request.user, self.permission).filter(pk=order.pop("entity")).first()
        if entity is None:
            raise ValidationError({"entity": ["There is no such entity."]})
        made = services.request_payee_data(actor=self.actor, entity_id=entity.pk, at=timezone.now(), **order)
        return self.asked(made)
