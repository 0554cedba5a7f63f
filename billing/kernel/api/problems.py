"""Every error leaves the API as RFC 9457 application/problem+json, from one function."""

import json
import logging
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response

from billing.kernel.context import current
from billing.kernel.errors import DomainError

MEDIA_TYPE = "application/problem+json"
logger = logging.getLogger(__name__)

# What the framework itself refuses.
FRAMEWORK = {
    exceptions.ParseError: ("invalid-request", "The request is not valid."),
    exceptions.AuthenticationFailed: ("not-authenticated", "The credentials are not valid."),
    exceptions.NotAuthenticated: ("not-authenticated", "Sign in or send a key."),
    exceptions.PermissionDenied: ("not-allowed", "You may not do this."),
    exceptions.NotFound: ("not-found", "Not found."),
    exceptions.MethodNotAllowed: ("method-not-allowed", "This address does not take this method."),
    exceptions.NotAcceptable: ("not-acceptable", "This API answers in JSON only."),
    exceptions.UnsupportedMediaType: ("unsupported-media-type", "The body must be JSON in UTF-8."),
    exceptions.Throttled: ("rate-limited", "Too many requests."),
}
# What the database refuses, by SQLSTATE: code, status, seconds after which trying again is right.
DATABASE = {
    "23505": ("conflict", 409, None, "This exists already."),
    "23001": ("conflict", 409, None, "The present state of the object forbids this."),
    "23P01": ("conflict", 409, None, "This overlaps with something that exists already."),
    "23503": ("rule-violated", 422, None, "This refers to something that does not exist, or is referred to."),
    "23514": ("rule-violated", 422, None, "A rule of the database forbids this."),
    "55P03": ("busy", 409, 1, "Somebody else is changing this object right now."),
    "40P01": ("transaction-conflict", 503, 1, "Two changes got into each other's way. Nothing was changed."),
    "40001": ("transaction-conflict", 503, 1, "Two changes got into each other's way. Nothing was changed."),
    "57014": ("too-slow", 503, 5, "This took too long and was stopped. Nothing was changed."),
    "25006": ("read-only", 503, 30, "The system only answers reads at the moment."),
    "53100": ("unavailable", 503, 30, "The system has no room left to write."),
}


def problem(*, status: int, code: str, title: str = "", detail: str = "", **members: object) -> dict:
    body = {
        "type": settings.PROBLEM_BASE_URL + code,
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": current().request_id,
    }
    return {name: value for name, value in members.items() if name not in body} | body


def handle(exc: Exception, context: dict) -> Response | None:
    """DRF's exception handler. None for a bug: the middleware logs it and answers a bare 500."""
    found = problem_of(exc)
    if found is None:
        return None
    body, headers = found
    request = context.get("request")
    if request is not None:
        body.setdefault("instance", request.path)
    return Response(body, status=body["status"], headers=headers, content_type=MEDIA_TYPE)


def response_of(exc: Exception, *, path: str) -> HttpResponse | None:
    """The same for what fails outside of DRF's views."""
    found = problem_of(exc)
    return None if found is None else plain_response(found[0], headers=found[1], path=path)


def plain_response(body: dict, *, path: str, headers: dict | None = None) -> HttpResponse:
    text = json.dumps(body | {"instance": path}, cls=DjangoJSONEncoder)
    return HttpResponse(text, status=body["status"], headers=headers, content_type=MEDIA_TYPE)


def problem_of(exc: Exception) -> tuple[dict, dict] | None:
    """The problem and its headers, or None if `exc` is nothing a client could have caused."""
    if isinstance(exc, DomainError):
        body = problem(status=exc.status, code=exc.code, title=exc.title, detail=exc.detail, **exc.extra)
        return body, _retry(getattr(exc, "retry_after", None))
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, exceptions.ValidationError):
        errors = flattened(exc.detail)
        detail = f"{len(errors)} part{'s' if len(errors) > 1 else ''} of the request cannot be accepted."
        return _invalid(detail, errors=errors), {}
    if isinstance(exc, exceptions.APIException):
        return _of_framework(exc)
    if isinstance(exc, ProtectedError | RestrictedError):
        return problem(status=409, code="conflict", title="The object is still referred to."), {}
    if isinstance(exc, Error):
        return _of_database(exc)
    if isinstance(exc, RequestDataTooBig):
        return problem(status=413, code="body-too-large", title="The body is too large."), {}
    if isinstance(exc, SuspiciousOperation | UnicodeError):
        return _invalid("The request is malformed."), {}
    if isinstance(exc, RecursionError):
        return _invalid("The request is nested too deeply."), {}
    return None


def flattened(detail: object, path: str = "") -> list[dict]:
    """`{"lines": [{}, {"amount": ["…"]}]}` as `[{"field": "lines[1].amount", …}]`."""
    if isinstance(detail, dict):
        return [
            error
            for name, inner in detail.items()
            for error in flattened(inner, f"{path}[{name}]" if isinstance(name, int) else _join(path, name))
        ]
    if isinstance(detail, list):
        return [
            error
            for index, inner in enumerate(detail)
            for error in flattened(inner, path if isinstance(inner, str) else f"{path}[{index}]")
        ]
    code = (getattr(detail, "code", "") or "invalid").replace("_", "-")
    return [{"field": path, "code": code, "message": str(detail)}]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _invalid(detail: str, **members: object) -> dict:
    return problem(
        status=400, code="invalid-request", title="The request is not valid.", detail=detail, **members
    )


def _retry(seconds: object) -> dict:
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _of_framework(exc: exceptions.APIException) -> tuple[dict, dict]:
    code, title = next(
        (known for kind, known in FRAMEWORK.items() if isinstance(exc, kind)),
        (exc.default_code.replace("_", "-"), str(exc.default_detail)),
    )
    # The framework hangs these on the exception; the answer has to carry them.
    headers = _retry(None if getattr(exc, "wait", None) is None else max(1, round(exc.wait + 0.5)))
    if getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = exc.auth_header
    return problem(status=exc.status_code, code=code, title=title, detail=str(exc.detail)), headers


def _of_database(exc: Error) -> tuple[dict, dict] | None:
    cause = exc.__cause__
    state = getattr(cause, "sqlstate", None)
    if state in DATABASE:
        code, status, retry_after, detail = DATABASE[state]
        constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
        members = {"constraint": constraint} if constraint else {}
        title = HTTPStatus(status).phrase if status == 503 else DomainError.title
        return problem(status=status, code=code, title=title, detail=detail, **members), _retry(retry_after)
    if isinstance(exc, DataError):
        return _invalid("A value is outside of what can be stored."), {}
    if isinstance(exc, OperationalError | InterfaceError):
        logger.error("the database does not answer: %s", exc)
        body = problem(
            status=503,
            code="unavailable",
            title="A service this depends on is not available.",
            detail="The database does not answer.",
        )
        return body, _retry(5)
    if isinstance(exc, IntegrityError):
        logger.error("the database refused with %s", state, exc_info=exc)
    return None
