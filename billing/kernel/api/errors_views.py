"""Django's own error answers: problems under /api, pages elsewhere."""

from django.http import HttpRequest, HttpResponse
from django.views import defaults
from django.views.csrf import csrf_failure as csrf_page

from billing.kernel.api.middleware import API
from billing.kernel.api.problems import plain_response, problem, response_of


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path_info.startswith(API):
        return defaults.bad_request(request, exception)
    return response_of(exception, path=request.path) or _answer(request, 400, "invalid-request")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path_info.startswith(API):
        return defaults.permission_denied(request, exception)
    return _answer(request, 403, "not-allowed")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path_info.startswith(API):
        return defaults.page_not_found(request, exception)
    return _answer(request, 404, "not-found", title="Not found.", detail="Not found.")


def server_error(request: HttpRequest) -> HttpResponse:
    if not request.path_info.startswith(API):
        return defaults.server_error(request)
    return _answer(request, 500, "internal-error", detail="Name the request_id when you report this.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if not request.path_info.startswith(API):
        return csrf_page(request, reason)
    return _answer(request, 403, "csrf-failed", detail="Send the CSRF token as X-CSRFToken.")


def _answer(request: HttpRequest, status: int, code: str, **members: str) -> HttpResponse:
    return plain_response(problem(status=status, code=code, **members), path=request.path)
