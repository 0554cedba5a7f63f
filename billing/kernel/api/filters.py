"""Query parameters are a closed list, and so is how each is spelled: what is not understood is refused,
because a filter that is silently ignored answers with everybody's rows."""

import re

from django import forms
from django.db.models import Q, QuerySet
from django_filters.fields import BaseCSVField
from rest_framework.filters import BaseFilterBackend

from billing.kernel.api.errors import InvalidParameter, UnknownParameter
from billing.kernel.api.fields import DATE, IDENTIFIER, INSTANT

LIST_PARAMETERS = ("limit", "cursor", "order_by", "count")
SHAPING_PARAMETERS = ("expand", "fields")
SEARCH_LENGTH_MAX = 200
DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,12})?", re.ASCII)
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,9})", re.ASCII)
BOOLEAN = re.compile(r"true|false", re.ASCII)
# The form fields of django-filter are lenient; each of these has one spelling. The first match counts.
SPELLINGS: list[tuple[type[forms.Field], re.Pattern, str]] = [
    (forms.DateTimeField, INSTANT, "an instant such as 2026-01-31T12:00:00Z"),
    (forms.DateField, DATE, "a date such as 2026-01-31"),
    (forms.UUIDField, IDENTIFIER, "an id"),
    (forms.ModelChoiceField, IDENTIFIER, "an id"),
    (forms.NullBooleanField, BOOLEAN, "true or false"),
    (forms.BooleanField, BOOLEAN, "true or false"),
    (forms.DecimalField, DECIMAL, "a plain decimal"),
    (forms.IntegerField, INTEGER, "a whole number"),
]
REPEATABLE = (forms.MultipleChoiceField, forms.ModelMultipleChoiceField)


class ClosedFilterBackend(BaseFilterBackend):
    """Applies the view's `filterset_class`, and `?search=` over its `search_fields`."""

    def filter_queryset(self, request, queryset: QuerySet, view) -> QuerySet:
        refuse_unknown_parameters(request, view)
        filterset_class = getattr(view, "filterset_class", None)
        if filterset_class is not None:
            filterset = filterset_class(data=request.query_params, queryset=queryset, request=request)
            _require_spelling(request, filterset)
            if not filterset.is_valid():
                raise _refusal(filterset.form.errors)
            queryset = filterset.qs
        return _searched(request, queryset, view)

    def get_filterset_class(self, view, queryset: QuerySet | None = None):
        return getattr(view, "filterset_class", None)

    def get_schema_operation_parameters(self, view) -> list[dict]:
        search = {
            "name": "search",
            "in": "query",
            "description": "Text to look for, in any of: "
            + ", ".join(getattr(view, "search_fields", ()))
            + ".",
            "schema": {"type": "string", "maxLength": SEARCH_LENGTH_MAX},
        }
        return [search] if getattr(view, "search_fields", ()) else []


def refuse_unknown_parameters(request, view) -> None:
    """Raises UnknownParameter for names not taken here, InvalidParameter for empty or repeated ones."""
    allowed, repeatable = known_parameters(view)
    unknown = sorted(set(request.query_params) - allowed)
    if unknown:
        raise UnknownParameter(
            f"There is no parameter '{unknown[0][:64]}' here.",
            errors=[
                {
                    "field": name[:64],
                    "code": "unknown-parameter",
                    "message": "There is no such parameter here.",
                }
                for name in unknown
            ],
            allowed=sorted(allowed),
        )
    for name, values in request.query_params.lists():
        if "" in values:
            raise InvalidParameter(f"'{name}' is empty.", parameter=name)
        if len(values) > 1 and name not in repeatable:
            raise InvalidParameter(f"'{name}' is given more than once.", parameter=name)


def known_parameters(view) -> tuple[set[str], set[str]]:
    """The names this action of the view takes, and those of them that may be repeated."""
    action = getattr(view, "action", None)
    allowed, repeatable = set(), set()
    if getattr(view, "expandable", None) is not None:
        allowed |= set(SHAPING_PARAMETERS)
    own = getattr(view, "query_serializers", {}).get(action)
    if own is not None:
        allowed |= set(own().fields)
        repeatable |= {name for name, field in own().fields.items() if hasattr(field, "child")}
    if action in getattr(view, "list_actions", ()):
        allowed |= set(LIST_PARAMETERS)
        if getattr(view, "search_fields", ()):
            allowed.add("search")
        filterset_class = getattr(view, "filterset_class", None)
        if filterset_class is not None:
            for name, filter_ in filterset_class.base_filters.items():
                allowed |= _spelled(name, filter_)
                if isinstance(filter_.field, REPEATABLE):
                    repeatable.add(name)
    return allowed, repeatable


def _spelled(name: str, filter_) -> set[str]:
    """A range filter is asked for by two parameters, `<name>_min` and `<name>_max`."""
    suffixes = getattr(filter_.field.widget, "suffixes", None)
    return {f"{name}_{suffix}" if suffix else name for suffix in suffixes} if suffixes else {name}


def _require_spelling(request, filterset) -> None:
    for name, filter_ in filterset.filters.items():
        for spelled in _spelled(name, filter_):
            for given in request.query_params.getlist(spelled):
                _require_one_spelling(spelled, given, filter_.field)


def _require_one_spelling(name: str, given: str, field: forms.Field) -> None:
    if given != given.strip():
        raise InvalidParameter(f"'{name}' begins or ends with white space.", parameter=name)
    if isinstance(field, forms.MultiValueField) and field.fields:
        field = field.fields[0]
    parts = given.split(",") if isinstance(field, BaseCSVField) else [given]
    for kind, pattern, expected in SPELLINGS:
        if isinstance(field, kind):
            if not all(pattern.fullmatch(part) for part in parts):
                raise InvalidParameter(f"'{name}' must be {expected}.", parameter=name)
            return


def _refusal(errors: forms.utils.ErrorDict) -> InvalidParameter:
    found = [
        {"field": name, "code": (error["code"] or "invalid").replace("_", "-"), "message": error["message"]}
        for name, complaints in errors.get_json_data().items()
        for error in complaints
    ]
    return InvalidParameter(f"'{found[0]['field']}': {found[0]['message']}", errors=found)


def _searched(request, queryset: QuerySet, view) -> QuerySet:
    text = request.query_params.get("search")
    if text is None:
        return queryset
    if len(text) > SEARCH_LENGTH_MAX:
        raise InvalidParameter(f"search takes at most {SEARCH_LENGTH_MAX} characters.", parameter="search")
    wanted = Q()
    for field in view.search_fields:
        wanted |= Q(**{f"{field}__icontains": text})
    return queryset.filter(wanted)
