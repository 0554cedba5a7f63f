from django.conf import settings
from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response
from rest_framework.reverse import reverse

from billing.access.api.permissions import require
from billing.entities.api.fields import ActingPermission
from billing.entities.queries import departments_for, entities_for
from billing.kernel.api.viewsets import ServiceView, ServiceViewSet
from billing.kernel.background_jobs import start_job
from billing.usage import queries, services, totals
from billing.usage.api import filters, parsers, reporting, serializers
from billing.usage.errors import BatchTooLarge


class MeterViewSet(ActingPermission, ServiceViewSet):
    serializer_class = serializers.MeterRead
    filterset_class = filters.MeterFilter
    search_fields = ("code", "name")
    ordering_fields = ("code", "created_at")
    lookup_url_kwarg = "meter_id"
    action_permissions = {
        "list": "usage.view_meter",
        "retrieve": "usage.view_meter",
        "create": "usage.create_meter",
        "update": "usage.update_meter",
    }

    def get_queryset(self):
        return queries.meters_for(self.request.user, self.action_permissions[self.action])

    @extend_schema(request=serializers.MeterCreate, responses={201: serializers.MeterRead})
    def create(self, request):
        terms = self.parse(serializers.MeterCreate)
        seller = terms.pop("entity")
        require(request.user, "usage.create_meter", seller)
        meter = services.create_meter(actor=self.actor, entity_id=seller.pk, **terms)
        return self.reply(meter, created=True)

    @extend_schema(request=serializers.MeterUpdate, responses=serializers.MeterRead)
    def update(self, request, meter_id):
        meter = services.update_meter(
            actor=self.actor,
            meter_id=self.get_object().pk,
            changes=self.parse(serializers.MeterUpdate),
            version=self.expected_version(),
        )
        return self.reply(meter)


class UsageEventViewSet(ServiceViewSet):
    """A single event is answered with 201 (recorded), 200 (recorded before), 409 or 422; a batch with
    200 and one result per event. A refused event never holds up another."""

    serializer_class = serializers.EventRead
    filterset_class = filters.EventFilter
    lookup_url_kwarg = "event_id"
    body_bytes_max = settings.API_USAGE_BODY_BYTES_MAX
    action_permissions = {
        "list": "usage.view_usageevent",
        "retrieve": "usage.view_usageevent",
        "create": "usage.record_usage",
    }

    def get_queryset(self):
        return queries.events_for(self.request.user)

    @extend_schema(
        request=serializers.EventReport,
        responses={
            200: PolymorphicProxySerializer(
                component_name="UsageOutcome",
                serializers=[serializers.EventOutcome, serializers.BatchOutcome],
                resource_type_field_name=None,
            ),
            201: serializers.EventOutcome,
        },
    )
    def create(self, request):
        if "events" in request.data:
            return self._record_batch(request.data)
        [outcome] = self._record([reporting.read_one(request.data)])
        reporting.refuse(outcome)
        address = reverse("usage-event-detail", kwargs={"event_id": outcome.event_id}, request=request)
        return Response(
            reporting.answer(outcome),
            status=201 if outcome.status == "accepted" else 200,
            headers={"Location": address},
        )

    def _record_batch(self, body: dict) -> Response:
        if isinstance(body["events"], list) and len(body["events"]) > services.BATCH_MAX:
            raise BatchTooLarge(
                f"At most {services.BATCH_MAX} events in one call.", maximum=services.BATCH_MAX
            )
        reports, malformed = reporting.read_batch(body)
        return Response(reporting.batch_answer(self._record(reports), malformed))

    def _record(self, reports: list[services.UsageReport]) -> list[services.Outcome]:
        return services.record_usage(
            actor=self.actor,
            events=reports,
            as_of=timezone.now(),
            entities=entities_for(self.request.user, "usage.record_usage"),
            departments=departments_for(self.request.user, "usage.record_usage"),
        )


class QuotaViewSet(ActingPermission, ServiceViewSet):
    serializer_class = serializers.QuotaRead
    filterset_class = filters.QuotaFilter
    lookup_url_kwarg = "quota_id"
    action_permissions = {
        "list": "usage.view_quota",
        "retrieve": "usage.view_quota",
        "create": "usage.set_quota",
    }

    def get_queryset(self):
        return queries.quotas_for(self.request.user, self.action_permissions[self.action])

    @extend_schema(
        request=serializers.QuotaSet, responses={200: serializers.QuotaRead, 201: serializers.QuotaRead}
    )
    def create(self, request):
        """There is one quota per entity and meter: setting it again changes it (200)."""
        terms = self.parse(serializers.QuotaSet)
        entity = terms.pop("entity")
        require(request.user, "usage.set_quota", entity)
        quota = services.set_quota(
            actor=self.actor, entity_id=entity.pk, meter_id=terms.pop("meter"), **terms
        )
        return self.reply(quota, created=quota.version == 1)


class QuotaAlertViewSet(ServiceViewSet):
    """Thresholds that quotas have reached. Each is raised once per window; events tell of them too."""

    serializer_class = serializers.QuotaAlertRead
    filterset_class = filters.QuotaAlertFilter
    lookup_url_kwarg = "alert_id"
    action_permissions = {"list": "usage.view_quotaalert", "retrieve": "usage.view_quotaalert"}

    def get_queryset(self):
        return queries.alerts_for(self.request.user)


class QuotaCheckView(ServiceView):
    """Would usage fit into its quota now? Costs the same however much was used."""

    action_permissions = {"get": "usage.view_quota"}
    query_serializers = {"get": serializers.QuotaQuestion}

    @extend_schema(parameters=[serializers.QuotaQuestion], responses=serializers.QuotaAnswer)
    def get(self, request):
        asked = self.query()
        entity = get_object_or_404(entities_for(request.user, "usage.view_quota"), pk=asked["entity"])
        quota = queries.quotas_for(request.user).filter(entity=entity, meter_id=asked["meter"]).first()
        return Response(serializers.QuotaAnswer(_standing(quota, asked.get("quantity"))).data)


def _standing(quota, quantity) -> dict:
    if quota is None:
        nothing = ("quota", "limit_quantity", "used_quantity", "remaining", "resets_at")
        return {"allowed": True, "fits": True} | dict.fromkeys(nothing)
    status = queries.quota_status(quota, as_of=timezone.now())
    return {
        "allowed": status.allows(quantity),
        "fits": status.has_room_for(quantity),
        "quota": quota.pk,
        "limit_quantity": quota.limit_quantity,
        "used_quantity": status.used,
        "remaining": status.remaining,
        "resets_at": status.resets_at,
    }


class UsageImportView(ServiceView):
    """Takes a file as the body (or as the part `file` of a form) and imports it: watch the job."""

    parser_classes = parsers.FILES
    action_permissions = {"post": "usage.import_usage"}
    query_serializers = {"post": serializers.ImportOptions}

    @extend_schema(parameters=[serializers.ImportOptions], request={"text/csv": bytes}, responses={202: dict})
    def post(self, request):
        options = self.query()
        reachable = entities_for(request.user, "usage.import_usage").filter(is_seller=True)
        seller = get_object_or_404(reachable, pk=options.pop("seller"))
        require(request.user, "usage.import_usage", seller)
        stored = services.keep_file(request.data["content"])
        started = start_job(
            kind=services.IMPORT_JOB,
            parameters={"file": stored, "seller_id": seller.pk, **options},
            requested_by=self.actor,
            entity_id=seller.pk,
        )
        return self.accepted(started)


class EntityUsageView(ServiceView):
    """What an entity used in a period, by meter and by the currency of the cost: in all, by month or by day."""

    action_permissions = {"get": "usage.view_usageevent"}
    query_serializers = {"get": serializers.UsageQuestion}

    @extend_schema(parameters=[serializers.UsageQuestion], responses=serializers.UsageTotals)
    def get(self, request, entity_id):
        asked = self.query()
        entity = get_object_or_404(entities_for(request.user, "usage.view_usageevent"), pk=entity_id)
        period = {"starts_on": asked["period_start"], "ends_on": asked["period_end"]}
        found = totals.usage_totals(
            request.user,
            entity=entity,
            meter_id=asked.get("meter"),
            granularity=asked["granularity"],
            by_group=asked["group"],
            **period,
        )
        body = {
            "entity": entity.pk,
            "period_start": period["starts_on"],
            "period_end": period["ends_on"],
            "granularity": asked["granularity"],
            "results": found,
        }
        return Response(serializers.UsageTotals(body).data)
