"""Every address of the system. Each app keeps its own under `<app>/api/urls.py`."""

from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path

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
)

urlpatterns = [
    path("admin/", admin.site.urls),
    *(path(API, include(f"{app}.api.urls")) for app in APPS if find_spec(f"{app}.api.urls")),
]
