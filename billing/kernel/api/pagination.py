"""Pages by key, not by offset: page 10,000 costs what page 1 does, and rows that arrive meanwhile
neither repeat others nor hide them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.core import signing
from django.core.exceptions import ValidationError
from django.db.models import F, Field, Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from billing.kernel.api.errors import InvalidCursor, InvalidParameter

DEFAULT_LIMIT, LIMIT_MAX = 50, 200
WHOLE = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)
CURSOR_LENGTH_MAX = 2000
SIGNER = signing.Signer(salt="billing.kernel.api.pagination")


@dataclass(frozen=True)
class Key:
    """One column of the order. As in PostgreSQL, NULL counts as greater than every value."""

    path: str
    descending: bool
    nullable: bool
    field: Field

    def expression(self, *, backwards: bool):
        return F(self.path).desc() if self.descending != backwards else F(self.path).asc()

    def beyond(self, value: object, *, backwards: bool) -> Q:
        """Rows strictly further along in the direction of reading."""
        falling = self.descending != backwards
        if value is None:
            return Q(**{f"{self.path}__isnull": False}) if falling else Q(pk__in=())
        further = Q(**{f"{self.path}__{'lt' if falling else 'gt'}": value})
        if self.nullable and not falling:
            further |= Q(**{f"{self.path}__isnull": True})
        return further

    def same(self, value: object) -> Q:
        return Q(**{f"{self.path}__isnull": True}) if value is None else Q(**{self.path: value})

    def not_before(self, value: object, *, backwards: bool) -> Q:
        """Implied by the rest; said because it lets an index begin at the right place."""
        if value is None or self.nullable:
            return Q()
        falling = self.descending != backwards
        return Q(**{f"{self.path}__{'lte' if falling else 'gte'}": value})


class KeysetPagination(BasePagination):
    """The view says `ordering` ("-issued_on") and, for `?order_by=`, the closed list `ordering_fields`."""

    def paginate_queryset(self, queryset: QuerySet, request, view=None) -> list:
        self.request = request
        limit = self._limit()
        keys = _keys(queryset, self._ordering(view))
        self.order = ",".join(("-" if key.descending else "") + key.path for key in keys)
        self.count = queryset.order_by().count() if self._wants_count() else None
        text = request.query_params.get("cursor")
        backwards, values = self._read(text, keys) if text is not None else (False, None)
        if values is not None:
            queryset = queryset.filter(_beyond(keys, values, backwards=backwards))
        ordered = queryset.order_by(*(key.expression(backwards=backwards) for key in keys))
        read = list(ordered[: limit + 1])
        rows = self._page_of(read, limit, backwards=backwards, is_first=values is None)
        self.edges = [[_value(rows[i], key.path) for key in keys] for i in (0, -1)] if rows else []
        return rows

    def get_paginated_response(self, data: list) -> Response:
        links = {
            "next": self._link("n", self.edges[1]) if self.has_next else None,
            "previous": self._link("p", self.edges[0]) if self.has_previous else None,
        }
        body = {"results": data, **links} | ({} if self.count is None else {"count": self.count})
        header = ", ".join(
            f'<{url}>; rel="{"next" if name == "next" else "prev"}"' for name, url in links.items() if url
        )
        return Response(body, headers={"Link": header} if header else None)

    def get_paginated_response_schema(self, schema: dict) -> dict:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {
                "results": schema,
                "next": link,
                "previous": link,
                "count": {"type": "integer", "description": "Only with `?count=true`."},
            },
        }

    def get_schema_operation_parameters(self, view) -> list[dict]:
        return [
            {
                "name": "limit",
                "in": "query",
                "description": "How many results a page has.",
                "schema": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": DEFAULT_LIMIT},
            },
            {
                "name": "cursor",
                "in": "query",
                "description": "Where the page begins: taken from `next` or `previous`.",
                "schema": {"type": "string"},
            },
            {
                "name": "order_by",
                "in": "query",
                "description": "The order of the list; `-` for descending.",
                "schema": {"type": "string", "enum": choices_of(view)},
            },
            {
                "name": "count",
                "in": "query",
                "description": "`true` adds the total number of results as `count`.",
                "schema": {"type": "boolean", "default": False},
            },
        ]

    def _page_of(self, read: list, limit: int, *, backwards: bool, is_first: bool) -> list:
        """The rows to show out of those read, which are one more where there are more."""
        more, rows = len(read) > limit, read[:limit]
        if backwards:
            rows.reverse()
        self.has_next = bool(rows) and (more or backwards)
        self.has_previous = bool(rows) and (more if backwards else not is_first)
        return rows

    def _limit(self) -> int:
        text = self.request.query_params.get("limit", str(DEFAULT_LIMIT))
        if not WHOLE.fullmatch(text) or int(text) > LIMIT_MAX:
            raise InvalidParameter(f"limit must be a whole number from 1 to {LIMIT_MAX}.", parameter="limit")
        return int(text)

    def _wants_count(self) -> bool:
        text = self.request.query_params.get("count", "false")
        if text not in {"true", "false"}:
            raise InvalidParameter("count must be true or false.", parameter="count")
        return text == "true"

    def _ordering(self, view) -> tuple[str, ...]:
        wanted = self.request.query_params.get("order_by")
        if wanted is None:
            return _default_ordering(view)
        if wanted not in choices_of(view):
            raise InvalidParameter(
                f"order_by must be one of {', '.join(choices_of(view))}.", parameter="order_by"
            )
        return (wanted,)

    def _link(self, direction: str, values: list) -> str:
        cursor = SIGNER.sign_object([self.order, direction, [_plain(value) for value in values]])
        url = remove_query_param(self.request.build_absolute_uri(), "cursor")
        return replace_query_param(url, "cursor", cursor)

    def _read(self, text: str, keys: list[Key]) -> tuple[bool, list]:
        try:
            backwards, values = self._opened(text)
            return backwards, [key.field.to_python(value) for key, value in zip(keys, values, strict=True)]
        except (ValidationError, ValueError, TypeError):
            raise _not_ours() from None

    def _opened(self, text: str) -> tuple[bool, list]:
        try:
            if len(text) > CURSOR_LENGTH_MAX:
                raise signing.BadSignature
            order, direction, values = SIGNER.unsign_object(text)
        except (signing.BadSignature, ValueError, TypeError):
            raise _not_ours() from None
        if order != self.order:
            raise InvalidCursor("The cursor was made for another order of the list.", parameter="cursor")
        return direction == "p", values


class ReportPagination(KeysetPagination):
    """Pages of rows that no model holds. Their one order is that of their keys, which `view.ordering` names."""

    def paginate_report(
        self,
        read: Callable[..., list],
        *,
        count: Callable[[], int],
        key_of: Callable[[object], Sequence],
        request,
        view,
    ) -> list:
        """`read(beyond=…, descending=…, limit=…)` gives rows beyond a key (None: all), the nearest first."""
        self.request = request
        limit = self._limit()
        (self.order,) = self._ordering(view)
        self.count = count() if self._wants_count() else None
        text = request.query_params.get("cursor")
        backwards, beyond = self._opened(text) if text is not None else (False, None)
        rows = self._page_of(
            read(beyond=beyond, descending=self.order.startswith("-") != backwards, limit=limit + 1),
            limit,
            backwards=backwards,
            is_first=beyond is None,
        )
        self.edges = [list(key_of(rows[i])) for i in (0, -1)] if rows else []
        return rows


def _not_ours() -> InvalidCursor:
    return InvalidCursor(
        "Take the cursor from 'next' or 'previous' and change nothing in it.", parameter="cursor"
    )


def choices_of(view) -> list[str]:
    """What `?order_by=` takes here."""
    names = dict.fromkeys(
        (
            *getattr(view, "ordering_fields", ()),
            *(name.lstrip("-") for name in _default_ordering(view)[:1] if name not in {"pk", "-pk"}),
        )
    )
    return [sign + name for name in names for sign in ("", "-")]


def _default_ordering(view) -> tuple[str, ...]:
    ordering = getattr(view, "ordering", None) or "-pk"
    return (ordering,) if isinstance(ordering, str) else tuple(ordering)


def _keys(queryset: QuerySet, ordering: tuple[str, ...]) -> list[Key]:
    keys = [_key(queryset, name) for name in ordering]
    primary = queryset.model._meta.pk
    if not any(key.path in {"pk", primary.name} for key in keys):
        keys.append(Key("pk", descending=keys[-1].descending, nullable=False, field=primary))
    return keys


def _key(queryset: QuerySet, name: str) -> Key:
    path, descending = name.removeprefix("-"), name.startswith("-")
    if path in queryset.query.annotations:
        return Key(path, descending, nullable=True, field=queryset.query.annotations[path].output_field)
    model, field, nullable = queryset.model, None, False
    for part in path.split("__"):
        field = model._meta.pk if part == "pk" else model._meta.get_field(part)
        nullable = nullable or field.null
        model = field.related_model
    return Key(path, descending, nullable, field.target_field if field.is_relation else field)


def _beyond(keys: list[Key], values: list, *, backwards: bool) -> Q:
    """(a, b, c) beyond (x, y, z), column by column: a>x or (a=x and (b>y or (b=y and c>z)))."""
    key, value = keys[0], values[0]
    condition = key.beyond(value, backwards=backwards)
    if len(keys) > 1:
        condition |= key.same(value) & _beyond(keys[1:], values[1:], backwards=backwards)
        condition &= key.not_before(value, backwards=backwards)
    return condition


def _value(row: object, path: str) -> object:
    for part in path.split("__"):
        row = row[part] if isinstance(row, dict) else getattr(row, part, None)
    return getattr(row, "pk", row)


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Decimal) else value
