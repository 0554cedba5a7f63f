from django.urls import path

from billing.kernel.api.views import JobViewSet

urlpatterns = [path("jobs/<uuid:job_id>", JobViewSet.as_view({"get": "retrieve"}), name="job-detail")]
