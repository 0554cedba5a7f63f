"""Every address of the system. Each app keeps its own under `<app>/api/urls.py`."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from config import health, problems

API = "api/v1/enterprise-billing/"
APPS = (
    "billing.kernel",
    "billing.access",
    "billing.entities",
    "billing.ledger",
    "billing.subscriptions",
    "billing.usage",
    "billing.invoicing",
    "billing.payments",
    "billing.dunning",
    "approvals",
)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("health", health.health),
    path("ready", health.ready),
    path("metrics", health.metrics),
    path("problems/", problems.page),
    path("problems/<slug:code>", problems.page),
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path(API, include("billing.entities.api.trail_urls")),
    *(path(API, include(f"{app}.api.urls")) for app in APPS if find_spec(f"{app}.api.urls")),
]

handler400 = "billing.kernel.api.errors_views.bad_request"
handler403 = "billing.kernel.api.errors_views.permission_denied"
handler404 = "billing.kernel.api.errors_views.not_found"
handler500 = "billing.kernel.api.errors_views.server_error"
