"""Every problem code the API knows, read off the code; what `type` in an answer leads to."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import apps
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_safe

from billing.kernel.api.problems import DATABASE, FRAMEWORK
from billing.kernel.errors import DomainError

INTRODUCTION = """# Problem codes

Every refusal is an RFC 9457 `application/problem+json` with one of these in `code`. Codes are stable; texts may
change. This page is generated: `manage.py list_problems --write`.

| code | status | meaning |
|---|---|---|
"""
OTHERS = {
    "invalid-request": (400, "The request is not valid."),
    "internal-error": (500, "A bug of ours: report the request_id."),
    "length-required": (411, "Send the body with a Content-Length."),
    "csrf-failed": (403, "Send the CSRF token as X-CSRFToken."),
}


def known() -> dict[str, tuple[int, str]]:
    """Code -> status and meaning, sorted by code."""
    found = dict(OTHERS)
    found |= {code: (status, detail) for code, status, _, detail in DATABASE.values()}
    found |= {code: (kind.status_code, title) for kind, (code, title) in FRAMEWORK.items()}
    import_module("billing.kernel.api.errors")
    for app in apps.get_app_configs():
        if find_spec(f"{app.name}.errors"):
            import_module(f"{app.name}.errors")
    kinds = [kind for kind in _below(DomainError) if kind.__module__.endswith(".errors")]
    found |= {kind.code: (kind.status, kind.title) for kind in kinds}
    return dict(sorted(found.items()))


def _below(kind: type[DomainError]) -> list[type[DomainError]]:
    """The error and all that is derived from it in this repository, the most general last to win."""
    return [deeper for lower in kind.__subclasses__() for deeper in _below(lower)] + [kind]


def as_markdown() -> str:
    rows = (f"| `{code}` | {status} | {meaning} |" for code, (status, meaning) in known().items())
    return INTRODUCTION + "\n".join(rows) + "\n"


@require_safe
def page(request: HttpRequest, code: str = "") -> HttpResponse:
    """One code, or all of them. An unknown one shows all, with a 404."""
    problems = known()
    shown = {code: problems[code]} if code in problems else problems
    rows = format_html_join(
        "",
        '<tr id="{}"><td><code>{}</code></td><td>{}</td><td>{}</td></tr>',
        ((name, name, status, meaning) for name, (status, meaning) in shown.items()),
    )
    text = format_html(
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Problem codes</title><h1>Problem codes</h1>'
        "<table><tr><th>code</th><th>status</th><th>meaning</th></tr>{}</table></html>",
        rows,
    )
    return HttpResponse(text, status=404 if code and code not in problems else 200)
