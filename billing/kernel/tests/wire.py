"""A small resource over the kernel's own jobs, to test what every address has in common."""

import django_filters as filters
from django.db import transaction
from django.http import Http404
from django.urls import include, path
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from billing.kernel.api import fields
from billing.kernel.api.routers import Router
from billing.kernel.api.serializers import NoInput, ReadSerializer, StrictSerializer
from billing.kernel.api.viewsets import ServiceView, ServiceViewSet
from billing.kernel.errors import Conflict, Unavailable
from billing.kernel.models import EventDelivery, Job, JobState, OutboxEvent
from billing.kernel.versions import require_version


class Somebody:
    """Who asks. `X-Somebody` names them; nobody in particular otherwise."""

    is_authenticated = True
    is_active = True

    def __init__(self, name: str) -> None:
        self.pk = name


class ByName(BaseAuthentication):
    def authenticate(self, request):
        return Somebody(request.headers.get("X-Somebody", "1")), None


class JobFilter(filters.FilterSet):
    state = filters.MultipleChoiceFilter(choices=JobState.choices)
    kind = filters.CharFilter()
    entity = filters.UUIDFilter(field_name="entity_id")
    created_after = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_on = filters.DateFilter(field_name="created_at", lookup_expr="date")
    attempts = filters.NumberFilter()
    finished = filters.BooleanFilter(field_name="finished_at", lookup_expr="isnull", exclude=True)
    done = filters.RangeFilter()

    class Meta:
        model = Job
        fields = ()


class JobRead(ReadSerializer):
    class Meta:
        model = Job
        fields = ("id", "kind", "state", "done", "total", "attempts", "version", "created_at")
        read_only_fields = fields


class LineInput(StrictSerializer):
    amount = fields.MoneyAmountField()
    currency = fields.CurrencyCodeField()


class JobInput(StrictSerializer):
    kind = fields.StrictCharField(max_length=64)
    amount = fields.MoneyAmountField(required=False)
    currency = fields.CurrencyCodeField(required=False)
    total = fields.StrictIntegerField(required=False, min_value=0)
    rate = fields.ExactAmountField(required=False)
    on = fields.StrictDateField(required=False)
    at = fields.StrictDateTimeField(required=False)
    urgent = fields.StrictBooleanField(required=False)
    country = fields.CountryField(required=False)
    time_zone = fields.TimeZoneField(required=False)
    state = fields.StrictChoiceField(choices=JobState.choices, required=False)
    entity = fields.IdField(required=False)
    note = fields.StrictCharField(max_length=1000, multiline=True, required=False)
    lines = LineInput(many=True, required=False)


class TreeQuery(StrictSerializer):
    as_of = fields.StrictDateField()
    depth = fields.StrictIntegerField(required=False, min_value=1, max_value=9)
    deep = fields.StrictBooleanField(required=False)


class JobViewSet(ServiceViewSet):
    queryset = Job.objects.all()
    serializer_class = JobRead
    filterset_class = JobFilter
    lookup_url_kwarg = "job_id"
    ordering = "-created_at"
    ordering_fields = ("created_at", "kind", "total", "finished_at")
    search_fields = ("kind",)
    authentication_classes = (ByName,)
    permission_classes = (AllowAny,)
    idempotency_required_actions = frozenset({"pay"})
    query_serializers = {"tree": TreeQuery}

    @transaction.atomic
    def create(self, request):
        given = self.parse(JobInput)
        job = Job.objects.create(kind=given["kind"], total=given.get("total"), requested_by=self.actor)
        if given["kind"] == "refused":
            raise Conflict("Not now.")
        if given["kind"] == "unavailable":
            raise Unavailable("Not there.", retry_after=7)
        if given["kind"] == "bug":
            raise RuntimeError("a secret of ours")
        return self.reply(job, created=True)

    @transaction.atomic
    def partial_update(self, request, job_id):
        given = self.parse(JobInput, partial=True)
        expected = self.expected_version(required=True)
        job = Job.objects.locked().get(pk=self.get_object().pk)
        require_version(job, expected)
        job.kind = given["kind"]
        job.save(update_fields=["kind"])
        return self.reply(job)

    @action(detail=True, methods=["post"])
    def pay(self, request, job_id):
        self.parse(NoInput)
        return self.accepted(self.get_object())

    @action(detail=False, methods=["get"])
    def tree(self, request):
        asked = self.query()
        return Response({name: str(value) for name, value in asked.items()})


class EventRead(ReadSerializer):
    class Meta:
        model = OutboxEvent
        fields = ("id", "name")
        read_only_fields = fields


class DeliveryRead(ReadSerializer):
    class Meta:
        model = EventDelivery
        fields = ("id", "event", "subscriber", "version")
        read_only_fields = fields


class DeliveryViewSet(ServiceViewSet):
    queryset = EventDelivery.objects.all()
    serializer_class = DeliveryRead
    expandable = {"event": EventRead}
    expand_related = {"event": ("select", "event")}
    authentication_classes = (ByName,)
    permission_classes = (AllowAny,)


class EchoView(ServiceView):
    """Anything that is JSON, under another limit."""

    authentication_classes = (ByName,)
    permission_classes = (AllowAny,)
    body_bytes_max = 2000
    body_may_be_list = True
    rate_limit = "3/minute"

    def post(self, request):
        return Response({"received": True})

    def get(self, request):
        raise Http404


router = Router()
router.register("jobs", JobViewSet, basename="job")
router.register("deliveries", DeliveryViewSet, basename="delivery")
urlpatterns = [path("api/v1/enterprise-billing/", include([*router.urls, path("echo", EchoView.as_view())]))]
