"""Reads are generic; every write is spelled out and makes exactly one service call."""

from collections.abc import Mapping
from typing import ClassVar

from django.db import models
from django.db.models import QuerySet
from django.urls import NoReverseMatch
from rest_framework import mixins, serializers, status
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from billing.kernel.api import etags, expansion, idempotency
from billing.kernel.api.fields import StrictBooleanField, StrictIntegerField
from billing.kernel.api.filters import refuse_unknown_parameters
from billing.kernel.api.throttling import RateThrottle
from billing.kernel.models import Job

SAFE = ("GET", "HEAD")


class ServiceViewMixin:
    """What every address does before and after its own work."""

    action_permissions: ClassVar[dict[str, str]] = {}
    list_actions: ClassVar[frozenset[str]] = frozenset({"list"})  # these filter, order and page
    query_serializers: ClassVar[dict[str, type[serializers.Serializer]]] = {}  # action -> its own parameters
    idempotency_required_actions: ClassVar[frozenset[str]] = frozenset()
    approval_actions: ClassVar[frozenset[str]] = frozenset()  # 202 with the request if approval is needed
    idempotency_separate_transaction = False  # True where services are durable and call the outside world
    idempotency_masked: ClassVar[tuple[str, ...]] = ()  # members shown once, never stored with the answer
    body_bytes_max: int | None = None
    body_may_be_list = False
    throttle_classes = (RateThrottle,)

    @property
    def actor(self) -> str:
        return f"user:{self.request.user.pk}"

    def parse(self, input_class: type[serializers.Serializer], *, partial: bool = False, many: bool = False):
        """The body as `input_class` understands it. A 400 names everything that is wrong with it."""
        serializer = input_class(
            data=self.request.data,
            partial=partial,
            many=many,
            context={"request": self.request, "view": self},
        )
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def query(self) -> dict:
        """This action's own query parameters, by its entry in `query_serializers`."""
        input_class = self.query_serializers[self.action]
        given = self.request.query_params
        data = {}
        for name, field in input_class().fields.items():
            if name in given:
                data[name] = given.getlist(name) if hasattr(field, "child") else _spoken(given[name], field)
        serializer = input_class(data=data, context={"request": self.request, "view": self})
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def expected_version(self, *, required: bool = False) -> int | None:
        """The version named by If-Match, for the service to compare under its lock."""
        return etags.expected_version(self.request, required=required)

    def accepted(self, job: Job, **members: object) -> Response:
        """202: the work is queued, `Location` says where to watch it."""
        url = reverse("job-detail", kwargs={"job_id": job.pk}, request=self.request)
        body = {"job": {"id": str(job.pk), "kind": job.kind, "state": job.state, "url": url}, **members}
        return Response(body, status=status.HTTP_202_ACCEPTED, headers={"Location": url})

    def initial(self, request, *args, **kwargs) -> None:
        if not self._takes(request.method):
            raise MethodNotAllowed(request.method)
        super().initial(request, *args, **kwargs)
        refuse_unknown_parameters(request, self)
        if request.method not in SAFE:
            _ = request.data  # a malformed body is refused before anything is looked up

    def perform_authentication(self, request) -> None:
        """Who is refused is counted too, by address, so that keys cannot be guessed at leisure."""
        try:
            super().perform_authentication(request)
        finally:
            super().check_throttles(request)

    def check_throttles(self, request) -> None:
        """Done already: DRF would count only what the permissions let through."""

    def dispatch(self, request, *args, **kwargs):
        """DRF's, with two differences: a write is one transaction, a POST is carried out once per key."""
        self.args, self.kwargs = args, kwargs
        self.request = request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            self.initial(request, *args, **kwargs)
            handler = getattr(self, request.method.lower())
            if request.method == "POST":
                response = idempotency.once(self, lambda: handler(request, *args, **kwargs))
            elif request.method in {"PUT", "PATCH", "DELETE"}:
                response = idempotency.whole(self, lambda: handler(request, *args, **kwargs))
            else:
                response = handler(request, *args, **kwargs)
        except Exception as exc:
            response = self.handle_exception(exc)
        self.response = self.finalize_response(request, response, *args, **kwargs)
        return self.response

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in getattr(request, "rate_limit_headers", {}).items():
            response[name] = value
        return response

    def _takes(self, method: str) -> bool:
        raise NotImplementedError


class ServiceView(ServiceViewMixin, APIView):
    """An address without a model. `action` is the method in lower case, or what `actions` names it."""

    actions: ClassVar[Mapping[str, str]] = {}
    list_actions: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request, *args, **kwargs) -> None:
        method = "get" if request.method == "HEAD" else request.method.lower()
        self.action = self.actions.get(method, method)
        super().initial(request, *args, **kwargs)

    def _takes(self, method: str) -> bool:
        name = "get" if method == "HEAD" else method.lower()
        return name in {"get", "post", "put", "patch", "delete"} and hasattr(self, name)


class ServiceViewSet(ServiceViewMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet):
    """`serializer_class` renders; each write names its own input serializer."""

    lookup_value_converter = "uuid"
    ordering: str | tuple[str, ...] = "-pk"
    ordering_fields: ClassVar[tuple[str, ...]] = ()
    search_fields: ClassVar[tuple[str, ...]] = ()
    expandable: ClassVar[dict[str, type[serializers.BaseSerializer]]] = {}
    expand_related: ClassVar[dict[str, tuple[str, str]]] = {}
    conditional_reads = True  # False where the answer shows more than the row's version covers

    def retrieve(self, request, *args, **kwargs) -> Response:
        instance = self.get_object()
        if self.conditional_reads and not expansion.wanted(request, "expand"):
            unchanged = etags.not_modified(request, instance)
            if unchanged is not None:
                return unchanged
        return etags.tagged(Response(self.get_serializer(instance).data), instance)

    def reply(self, instance: models.Model, *, created: bool = False, status: int | None = None) -> Response:
        """The object as a GET would show it, with its new version. 201 says where it lives."""
        fresh = expansion.joined(self.get_queryset(), self.request, self).get(pk=instance.pk)
        response = Response(self.get_serializer(fresh).data, status=status or (201 if created else 200))
        location = self._address(instance) if created else None
        if location:
            response["Location"] = location
        return etags.tagged(response, fresh)

    def initial(self, request, *args, **kwargs) -> None:
        super().initial(request, *args, **kwargs)
        expansion.check(request, self)

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        if self.action in self.list_actions:
            queryset = super().filter_queryset(queryset)
        return expansion.joined(queryset, self.request, self)

    def get_serializer(self, *args, **kwargs) -> serializers.BaseSerializer:
        return expansion.shape(super().get_serializer(*args, **kwargs), self.request, self)

    def _takes(self, method: str) -> bool:
        return method != "OPTIONS" and method.lower() in self.action_map

    def _address(self, instance: models.Model) -> str | None:
        keyword = self.lookup_url_kwarg or self.lookup_field
        try:
            return reverse(
                f"{self.basename}-detail", kwargs=self.kwargs | {keyword: instance.pk}, request=self.request
            )
        except NoReverseMatch:
            return None


def _spoken(text: str, field: serializers.Field) -> object:
    """Query parameters are text; numbers and truth values have one spelling there too."""
    if isinstance(field, StrictIntegerField) and text.isascii() and text.removeprefix("-").isdigit():
        return int(text) if len(text) < 12 and str(int(text)) == text else text
    if isinstance(field, StrictBooleanField):
        return {"true": True, "false": False}.get(text, text)
    return text
