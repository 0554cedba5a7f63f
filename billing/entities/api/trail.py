"""What happened: the events told to others, and the audit trail, each within the reader's reach.

Their tables are the kernel's; who reaches which entity is known from here upwards.
"""

import django_filters as filters

from billing.entities.queries import of_entities_within
from billing.kernel.api.serializers import ReadSerializer
from billing.kernel.api.viewsets import ServiceViewSet
from billing.kernel.models import AuditEntry, AuditKind, OutboxEvent


class OutboxEventRead(ReadSerializer):
    class Meta:
        model = OutboxEvent
        fields = ("id", "name", "entity_id", "payload", "occurred_at")
        read_only_fields = fields


class EventFilter(filters.FilterSet):
    name = filters.CharFilter()
    entity = filters.UUIDFilter(field_name="entity_id")
    occurred_after = filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="gte")
    occurred_before = filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="lt")

    class Meta:
        model = OutboxEvent
        fields = ()


class EventViewSet(ServiceViewSet):
    """Facts as they were told to subscribers and webhooks, newest first."""

    serializer_class = OutboxEventRead
    filterset_class = EventFilter
    lookup_url_kwarg = "event_id"
    ordering = "-id"
    action_permissions = {"list": "kernel.view_outboxevent", "retrieve": "kernel.view_outboxevent"}

    def get_queryset(self):
        return of_entities_within(OutboxEvent.objects.all(), self.request.user, "kernel.view_outboxevent")


class AuditRead(ReadSerializer):
    class Meta:
        model = AuditEntry
        fields = (
            "id",
            "at",
            "kind",
            "action",
            "subject_type",
            "subject_id",
            "entity_id",
            "actor",
            "request_id",
            "ip",
            "reason",
            "before",
            "after",
            "detail",
            "seal",
        )
        read_only_fields = fields


class AuditFilter(filters.FilterSet):
    kind = filters.MultipleChoiceFilter(choices=AuditKind.choices)
    action = filters.CharFilter()
    subject_type = filters.CharFilter()
    subject_id = filters.CharFilter()
    entity = filters.UUIDFilter(field_name="entity_id")
    actor = filters.CharFilter()
    request_id = filters.CharFilter()
    after = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    before = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEntry
        fields = ()


class AuditLogViewSet(ServiceViewSet):
    """The audit trail of the entities within reach, newest first."""

    serializer_class = AuditRead
    filterset_class = AuditFilter
    ordering = "-id"
    action_permissions = {"list": "kernel.view_auditentry"}

    def get_queryset(self):
        return of_entities_within(AuditEntry.objects.all(), self.request.user, "kernel.view_auditentry")
