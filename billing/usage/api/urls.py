from django.urls import include, path

from billing.kernel.api.routers import Router
from billing.usage.api import views

router = Router()
router.register("meters", views.MeterViewSet, basename="meter")
router.register("usage/events", views.UsageEventViewSet, basename="usage-event")
router.register("quotas", views.QuotaViewSet, basename="quota")
router.register("quota-alerts", views.QuotaAlertViewSet, basename="quota-alert")

urlpatterns = [
    path("quotas/check", views.QuotaCheckView.as_view(), name="quota-check"),
    path("usage/imports", views.UsageImportView.as_view(), name="usage-import"),
    path("entities/<uuid:entity_id>/usage", views.EntityUsageView.as_view(), name="entity-usage"),
    path("", include(router.urls)),
]
