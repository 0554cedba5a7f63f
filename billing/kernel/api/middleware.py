"""The outermost ring of a request: its id, who acts, and an answer in the API's own form whatever happens."""

import logging
import re
from urllib.parse import unquote_to_bytes

from django.http import HttpRequest, HttpResponse

from billing.kernel.api.problems import MEDIA_TYPE, plain_response, problem, response_of
from billing.kernel.context import acting
from billing.kernel.ids import uuid7

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)
CONTROL = re.compile("[\x00-\x1f\x7f]")
API = "/api/"
CODES = {
    400: "invalid-request",
    401: "not-authenticated",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
}
logger = logging.getLogger(__name__)


class RequestContextMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request.request_id = given if REQUEST_ID.fullmatch(given) else str(uuid7())
        with acting(actor="", request_id=request.request_id, ip=request.META.get("REMOTE_ADDR", "")[:45]):
            response = self._answer(request)
        response["X-Request-Id"] = request.request_id
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not request.path_info.startswith(API):
            return None
        response = response_of(exception, path=request.path)
        if response is None:
            logger.error("request %s failed", request.request_id, exc_info=exception)
        return response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(API):
            return self.get_response(request)
        refusal = _malformed(request)
        if refusal:
            return refusal
        response = self.get_response(request)
        if response.status_code >= 400 and not _is_json(response):
            # A page of Django's own: no route, a failed CSRF check, a bug. Its text stays in the log.
            response = _in_api_form(response, request)
        return response


def _malformed(request: HttpRequest) -> HttpResponse | None:
    if "Transfer-Encoding" in request.headers and "Content-Length" not in request.headers:
        body = problem(status=411, code="length-required", detail="Send the body with a Content-Length.")
        return plain_response(body, path=request.path)
    try:
        query = unquote_to_bytes(request.META.get("QUERY_STRING", "")).decode("utf-8")
        request.META.get("PATH_INFO", "").encode("utf-8")
    except UnicodeError:
        query = "\x00"
    if CONTROL.search(query):
        body = problem(
            status=400,
            code="invalid-request",
            title="The request is not valid.",
            detail="The address has characters that are not text.",
        )
        return plain_response(body, path=request.path)
    return None


def _is_json(response: HttpResponse) -> bool:
    return response.headers.get("Content-Type", "").startswith((MEDIA_TYPE, "application/json"))


def _in_api_form(response: HttpResponse, request: HttpRequest) -> HttpResponse:
    status = response.status_code
    code = CODES.get(status, "internal-error" if status >= 500 else "refused")
    words = {"title": "Not found.", "detail": "Not found."} if status == 404 else {}
    renewed = plain_response(problem(status=status, code=code, **words), path=request.path)
    for header in ("Allow", "Retry-After", "WWW-Authenticate"):
        if header in response.headers:
            renewed[header] = response.headers[header]
    return renewed
