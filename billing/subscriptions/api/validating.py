"""For the licensed product: may it be used, and the keys that prove the answer."""

import json
from datetime import datetime
from hashlib import sha256

from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from billing.kernel.api.etags import has_tag
from billing.kernel.api.viewsets import ServiceView
from billing.subscriptions import signing, validation
from billing.subscriptions.api import license_serializers as serializers


class ValidateView(ServiceView):
    """Is the licence valid, for this user and this feature? Answered from what holds now; cheap to ask.

    The answer may be kept for `max-age`; its token proves it, without asking, until `fresh_until`. With the
    ETag of the last answer in If-None-Match the same answer is a 304: what is kept is as fresh as a new one.
    """

    action_permissions = {"get": "subscriptions.validate_license"}
    query_serializers = {"get": serializers.LicenseQuestion}

    @extend_schema(
        parameters=[serializers.LicenseQuestion],
        responses={200: serializers.LicenseAnswer, 304: None},
    )
    def get(self, request, license_id):
        asked = {"holder": None, "feature": None} | self.query()
        licenses = validation.licenses_to_validate(request.user, holder=asked["holder"])
        answer = validation.answer_about(
            get_object_or_404(licenses, pk=license_id), at=timezone.now(), **asked
        )
        said = dict(serializers.LicenseAnswer(answer).data)
        headers = {
            "Cache-Control": f"private, max-age={validation.seconds_fresh(answer)}",
            "ETag": _tag_of(said),
        }
        if has_tag(request, headers["ETag"]):
            return Response(status=304, headers=headers)
        return Response(said | {"token": signing.sign(_claims(said, answer))}, headers=headers)


class SigningKeysView(ServiceView):
    """The public keys that verify tokens, as a JWK set. A token names its key in `kid`."""

    action_permissions = {"get": "subscriptions.validate_license"}

    @extend_schema(responses=serializers.SigningKeySet)
    def get(self, request):
        headers = {"Cache-Control": f"private, max-age={settings.LICENSE_ANSWER_SECONDS}"}
        return Response({"keys": signing.public_keys()}, headers=headers)


def _claims(said: dict, answer: dict) -> dict:
    return said | {
        "iss": settings.PUBLIC_URL,
        "iat": _seconds(answer["checked_at"]),
        "exp": _seconds(answer["fresh_until"]),
    }


def _tag_of(said: dict) -> str:
    """Of all but the moment of asking, and of the key: a token under another key is another answer."""
    stable = said | {"checked_at": "", "kid": signing.current_key_id()}
    return f'"{sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()[:32]}"'


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())
