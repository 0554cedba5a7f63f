"""`?expand=entity,lines` puts objects where ids were, one level deep; `?fields=id,number` leaves others out,
but never what was to be expanded.

The view says `expandable = {"entity": EntityBrief}` and `expand_related = {"entity": ("select", "entity"),
"lines": ("prefetch", "lines")}`, so an expanded list costs a fixed number of queries.
"""

from functools import cache

from django.db.models import QuerySet
from rest_framework.serializers import BaseSerializer, ListSerializer

from billing.kernel.api.errors import InvalidParameter


def wanted(request, parameter: str) -> tuple[str, ...]:
    text = request.query_params.get(parameter)
    return tuple(dict.fromkeys(text.split(","))) if text else ()


def check(request, view) -> None:
    """Raises InvalidParameter for names outside of the closed lists."""
    _require(wanted(request, "expand"), view.expandable, "expand")
    if wanted(request, "fields"):
        _require(wanted(request, "fields"), names_of(view.get_serializer_class()), "fields")


@cache
def names_of(serializer_class: type[BaseSerializer]) -> frozenset[str]:
    """Building a serializer costs as much as filling it: once per class is enough for its names."""
    return frozenset(serializer_class().fields)


def _require(names: tuple[str, ...], known, parameter: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidParameter(
            f"{parameter} does not know '{unknown[0][:64]}'.", parameter=parameter, allowed=sorted(known)
        )


def joined(queryset: QuerySet, request, view) -> QuerySet:
    """The queryset with what `?expand=` will read, in the same or in one more query each."""
    for name in wanted(request, "expand"):
        how, path = view.expand_related[name]
        queryset = queryset.select_related(path) if how == "select" else queryset.prefetch_related(path)
    return queryset


def shape(serializer: BaseSerializer, request, view) -> BaseSerializer:
    """The read serializer with the fields that were asked for."""
    one = serializer.child if isinstance(serializer, ListSerializer) else serializer
    only, expanded = wanted(request, "fields"), wanted(request, "expand")
    for name in expanded:
        how, path = view.expand_related[name]
        source = path.replace("__", ".")
        one.fields[name] = view.expandable[name](
            read_only=True, many=how == "prefetch", source=None if source == name else source
        )
    if only:
        for name in set(one.fields) - {*only, *expanded}:
            del one.fields[name]
    return serializer
