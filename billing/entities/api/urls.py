from django.urls import path

from billing.entities.api.views import DepartmentViewSet, EntityViewSet, MeView
from billing.kernel.api.routers import Router

router = Router()
router.register("entities", EntityViewSet, basename="entity")
router.register("departments", DepartmentViewSet, basename="department")

urlpatterns = [*router.urls, path("me", MeView.as_view(), name="me")]
