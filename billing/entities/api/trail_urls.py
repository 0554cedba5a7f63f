from django.urls import path

from billing.entities.api.trail import AuditLogViewSet, EventViewSet

urlpatterns = [
    path("events", EventViewSet.as_view({"get": "list"}), name="event-list"),
    path("events/<uuid:event_id>", EventViewSet.as_view({"get": "retrieve"}), name="event-detail"),
    path("audit-log", AuditLogViewSet.as_view({"get": "list"}), name="audit-log"),
]
