"""The OpenAPI document, made from the code: what a handler parses and how it answers is read off the handler."""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from functools import cache

from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, force_instance, get_lib_doc_excludes
from rest_framework import serializers

from billing.kernel.api.approval import PendingApproval
from billing.kernel.api.serializers import ReadSerializer, StrictSerializer

PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable and may be programmed against; texts may change.",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "examples": ["https://billing.example/problems/conflict"],
        },
        "title": {"type": "string"},
        "status": {"type": "integer", "examples": [409]},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["conflict"]},
        "request_id": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {
                    "field": {"type": "string", "examples": ["lines[0].amount"]},
                    "code": {"type": "string", "examples": ["invalid"]},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
REFUSALS = {
    "400": "The request is malformed: `errors` says where.",
    "401": "No valid key and no session.",
    "403": "The permission is not granted.",
    "404": "There is no such object, or it is not yours.",
    "409": "The object is not in a state that allows this, or the first request is still running.",
    "412": "The object has changed since the version named by If-Match.",
    "413": "The body is too large.",
    "415": "The body is not JSON in UTF-8.",
    "422": "Well-formed, and against a rule.",
    "428": "If-Match is required here.",
    "429": "Too many requests: wait for Retry-After seconds.",
    "503": "Something this depends on is not available: wait for Retry-After seconds.",
}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Handler:
    """What the source of a handler says about its wire."""

    takes: type[serializers.Serializer] | None = None
    many: bool = False
    partial: bool = False
    creates: bool = False
    queues: bool = False
    needs_version: bool = False
    replies: bool = False


@cache
def read_off(function) -> Handler:
    """Finds `self.parse(X)`, `self.reply(…, created=True)`, `self.accepted(…)`, `self.expected_version(…)`."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return Handler()
    found: dict[str, object] = {}
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        if not isinstance(call.func.value, ast.Name) or call.func.value.id != "self":
            continue
        said = {keyword.arg: getattr(keyword.value, "value", None) for keyword in call.keywords}
        match call.func.attr:
            case "parse" if call.args:
                found["takes"] = _named(call.args[0], inspect.unwrap(function).__globals__)
                found["many"], found["partial"] = bool(said.get("many")), bool(said.get("partial"))
            case "reply":
                found["replies"], found["creates"] = True, bool(said.get("created"))
            case "accepted":
                found["queues"] = True
            case "expected_version":
                found["needs_version"] = bool(said.get("required"))
    return Handler(**found)


def _named(node: ast.expr, scope: dict) -> type | None:
    if isinstance(node, ast.Name):
        return scope.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(_named(node.value, scope), node.attr, None)
    return None


class BillingSchema(AutoSchema):
    """Adds what every address has in common: problems, headers for idempotency and versions, parameters that choose members."""

    def get_operation(self, *args, **kwargs):
        model = getattr(getattr(getattr(self.view, "serializer_class", None), "Meta", None), "model", None)
        if model is not None and getattr(self.view, "queryset", None) is None:
            # There is no request here: what a view narrows by its user or its address cannot be asked.
            self.view.queryset = model._base_manager.none()
        return super().get_operation(*args, **kwargs)

    def get_summary(self) -> str:
        said = super().get_summary()
        if said:
            return said
        words = (inspect.getdoc(self._function()) or "").strip().split("\n")[0].rstrip(".")
        return words or self._in_words()

    def get_description(self) -> str:
        text = inspect.getdoc(self._function()) or inspect.cleandoc(
            vars(type(self.view)).get("__doc__") or ""
        )
        permission = getattr(self.view, "action_permissions", {}).get(self._action())
        return f"{text}\n\nNeeds the permission `{permission}`." if permission else text

    def get_request_serializer(self):
        handler = self._handler()
        if self.method not in WRITES or handler.takes is None:
            return None
        return handler.takes(many=handler.many, partial=handler.partial)

    def get_response_serializers(self):
        handler = self._handler()
        if handler.queues:
            return {202: QueuedJob}
        if self.method == "DELETE":
            return {204: None}
        serializer_class = getattr(self.view, "serializer_class", None)
        if serializer_class is None or (self.method == "GET" and not self._reads_model()):
            return {200: {"type": "object"}} if serializer_class is None else {200: serializer_class}
        return {201: serializer_class} if handler.creates else {200: serializer_class}

    def _get_response_bodies(self, direction="response"):
        bodies = super()._get_response_bodies(direction)
        if self._action() in getattr(self.view, "approval_actions", ()):
            bodies["202"] = self._get_response_for_code(PendingApproval, "202")
        return bodies

    def _reads_model(self) -> bool:
        return self._action() in {"list", "retrieve"} or self._is_list_view()

    def _is_list_view(self, serializer=None) -> bool:
        return self.method == "GET" and self._action() in getattr(self.view, "list_actions", ())

    def _get_serializer(self):
        return getattr(self.view, "serializer_class", None)

    def _get_parameters(self) -> list[dict]:
        parameters = super()._get_parameters()
        known = {(given["name"], given["in"]) for given in parameters}
        return parameters + [own for own in self._own_parameters() if (own["name"], own["in"]) not in known]

    def _own_parameters(self) -> list[dict]:
        found = []
        handler, view, action = self._handler(), self.view, self._action()
        if self.method == "POST":
            required = action in getattr(view, "idempotency_required_actions", ())
            found.append(_header("Idempotency-Key", KEY_TEXT, required=required, example="order-4711-1"))
        if self.method in WRITES and "{" in self.path:
            found.append(_header("If-Match", MATCH_TEXT, required=handler.needs_version, example='"3"'))
        if action == "retrieve":
            found.append(_header("If-None-Match", "The ETag you have: 304 if it is still the current one."))
        expandable = getattr(view, "expandable", None)
        if expandable is not None and getattr(view, "serializer_class", None):
            if expandable:
                found.append(_names("expand", sorted(expandable), "Objects instead of ids, one level deep."))
            shown = sorted(force_instance(view.serializer_class).fields)
            found.append(_names("fields", shown, "Only these members."))
        own = getattr(view, "query_serializers", {}).get(action)
        return found + (self._exploded(own()) if own else [])

    def _exploded(self, serializer: serializers.Serializer) -> list[dict]:
        return [
            {
                "name": name,
                "in": "query",
                "required": field.required,
                "description": str(field.help_text or field.label or ""),
                "schema": self._map_serializer_field(field, "request"),
            }
            for name, field in serializer.fields.items()
        ]

    def _get_response_bodies(self, direction="response") -> dict:
        problem = ResolvedComponent(
            name="Problem", type=ResolvedComponent.SCHEMA, schema=PROBLEM, object="Problem"
        )
        self.registry.register_on_missing(problem)
        refusals = {
            status: {
                "description": REFUSALS[status],
                "content": {PROBLEM_MEDIA_TYPE: {"schema": problem.ref}},
            }
            for status in self._refusals()
        }
        return dict(sorted({**refusals, **super()._get_response_bodies(direction)}.items()))

    def _refusals(self) -> list[str]:
        statuses = ["400", "401", "403", "429", "503"]
        if "{" in self.path:
            statuses.append("404")
        if self.method in WRITES:
            statuses += ["409", "413", "415", "422"]
            statuses += ["412"] if "{" in self.path else []
            statuses += ["428"] if self._handler().needs_version else []
        return statuses

    def _action(self) -> str:
        view = self.view
        named = getattr(view, "actions", None)
        if getattr(view, "action", None):
            return view.action
        return (named or {}).get(self.method.lower(), self.method.lower())

    def _function(self):
        view, action = self.view, self._action()
        return getattr(view, action, None) or getattr(view, self.method.lower(), None)

    def _handler(self) -> Handler:
        function = self._function()
        return read_off(inspect.unwrap(getattr(function, "__func__", function))) if function else Handler()

    def _in_words(self) -> str:
        queryset = getattr(self.view, "queryset", None)
        serializer = getattr(self.view, "serializer_class", None)
        model = getattr(queryset, "model", None) or getattr(getattr(serializer, "Meta", None), "model", None)
        one = str(model._meta.verbose_name) if model else self.path.rstrip("/").rsplit("/", 1)[-1]
        many = str(model._meta.verbose_name_plural) if model else one
        article = "an" if one[0] in "aeiou" else "a"
        return {
            "list": f"List {many}",
            "retrieve": f"Show {article} {one}",
            "create": f"Create {article} {one}",
            "update": f"Replace {article} {one}",
            "partial_update": f"Change {article} {one}",
            "destroy": f"Delete {article} {one}",
            "get": f"Show {one.replace('-', ' ')}",
        }.get(
            self._action(),
            self._action().replace("_", " ").capitalize() + f" {article} {one.replace('-', ' ')}",
        )


class QueuedJobLink(serializers.Serializer):
    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.CharField()
    url = serializers.URLField()


class QueuedJob(serializers.Serializer):
    """Long work was queued; `Location` is the address of the job."""

    job = QueuedJobLink()


class ClosedFilterScheme(DjangoFilterExtension):
    target_class = "billing.kernel.api.filters.ClosedFilterBackend"

    def get_schema_operation_parameters(self, auto_schema, *args, **kwargs):
        own = self.target.get_schema_operation_parameters(auto_schema.view)
        return super().get_schema_operation_parameters(auto_schema, *args, **kwargs) + own


def without_own_words() -> list[type]:
    """Classes whose docstrings are for us and not for the readers of the document."""
    return [*get_lib_doc_excludes(), StrictSerializer, ReadSerializer]


KEY_TEXT = (
    "Makes the request safe to repeat for 30 days: 1-255 of `A-Z a-z 0-9 _ - : .`. "
    "The same key with the same body gets the stored answer, with `Idempotent-Replayed: true`."
)
MATCH_TEXT = "The ETag of the version you have seen: 412 if the object has changed since."


def _header(name: str, text: str, *, required: bool = False, example: str = "") -> dict:
    schema = {"type": "string"} | ({"examples": [example]} if example else {})
    return {"name": name, "in": "header", "required": required, "description": text, "schema": schema}


def _names(name: str, choices: list[str], text: str) -> dict:
    return {
        "name": name,
        "in": "query",
        "description": text,
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": {"type": "string", "enum": choices}},
    }
