from django.urls import path

from billing.entities.api.exceptions import RoleConflictsView, RoleExceptionViewSet
from billing.entities.api.grants import RoleGrantViewSet
from billing.entities.api.views import DepartmentViewSet, EntityViewSet, MeView
from billing.kernel.api.routers import Router

router = Router()
router.register("entities", EntityViewSet, basename="entity")
router.register("departments", DepartmentViewSet, basename="department")
router.register("role-grants", RoleGrantViewSet, basename="role-grant")
router.register("role-exceptions", RoleExceptionViewSet, basename="role-exception")

urlpatterns = [
    *router.urls,
    path("role-conflicts", RoleConflictsView.as_view(), name="role-conflicts"),
    path("me", MeView.as_view(), name="me"),
]
