from datetime import timedelta

import django_filters as filters
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.response import Response

from billing.access import queries, services
from billing.access.api import serializers
from billing.access.api.permissions import require
from billing.access.models import ApiKey
from billing.kernel.api.viewsets import ServiceViewSet


class KeyFilter(filters.FilterSet):
    user = filters.UUIDFilter(field_name="user_id")
    revoked = filters.BooleanFilter(field_name="revoked_at", lookup_expr="isnull", exclude=True)
    expires_before = filters.IsoDateTimeFilter(field_name="expires_at", lookup_expr="lt")

    class Meta:
        model = ApiKey
        fields = ()


class KeyViewSet(ServiceViewSet):
    serializer_class = serializers.KeyRead
    filterset_class = KeyFilter
    lookup_url_kwarg = "key_id"
    ordering = "-created_at"
    ordering_fields = ("created_at", "expires_at", "name")
    search_fields = ("name", "prefix")
    idempotency_masked = ("key",)
    action_permissions = {
        "list": "access.view_apikey",
        "retrieve": "access.view_apikey",
        "create": "access.create_key",
        "revoke": "access.revoke_key",
        "rotate": "access.rotate_key",
    }

    def get_queryset(self):
        return queries.keys_for(self.request.user).select_related("user")

    @extend_schema(responses={201: serializers.KeyWithSecret})
    def create(self, request):
        order = self.parse(serializers.KeyCreate)
        account = order.pop("user")
        require(request.user, "access.create_key", account)
        key, text = services.create_key(actor=self.actor, user_id=account.pk, **order)
        return _with_secret(self.reply(key, created=True), text)

    @action(detail=True, methods=["post"])
    def revoke(self, request, key_id):
        order = self.parse(serializers.KeyRevoke)
        return self.reply(services.revoke_key(actor=self.actor, key_id=self.get_object().pk, **order))

    @extend_schema(responses={201: serializers.KeyWithSecret})
    @action(detail=True, methods=["post"])
    def rotate(self, request, key_id):
        order = self.parse(serializers.KeyRotate)
        key, text = services.rotate_key(
            actor=self.actor,
            key_id=self.get_object().pk,
            expires_at=order["expires_at"],
            overlap=timedelta(hours=order["overlap_hours"]),
        )
        return _with_secret(self.reply(key, created=True), text)


def _with_secret(answer: Response, text: str) -> Response:
    answer.data["key"] = text
    return answer
