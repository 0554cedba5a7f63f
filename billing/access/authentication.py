"""Two ways in: a service account's key, or the session of a person who signed in (with CSRF)."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed

from billing.access import services
from billing.access.errors import KeyRefused
from billing.kernel import context


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer ebk_<prefix>_<secret>`. Why a key is refused is logged, not told."""

    def authenticate(self, request):
        header = get_authorization_header(request).split()
        if not header:
            return None
        if len(header) != 2 or header[0].lower() != b"bearer":
            raise AuthenticationFailed("Use 'Authorization: Bearer ebk_…'.")
        try:
            key = services.use_key(
                presented=header[1].decode("ascii", "replace"), ip=request.META.get("REMOTE_ADDR", "")
            )
        except KeyRefused as refusal:
            raise AuthenticationFailed("The key is not valid.") from refusal
        user = key.user
        user.key_scopes = frozenset(key.scopes)
        context.become(actor=f"user:{user.pk}")
        return user, key

    def authenticate_header(self, request):
        return 'Bearer realm="enterprise-billing"'


class SignedInAuthentication(SessionAuthentication):
    """The console's own session; unsafe methods need the CSRF token."""

    def authenticate_header(self, request):
        return 'Bearer realm="enterprise-billing"'


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ebk_<prefix>_<secret>"}


class SignedInScheme(OpenApiAuthenticationExtension):
    target_class = SignedInAuthentication
    name = "session"

    def get_security_definition(self, auto_schema):
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
