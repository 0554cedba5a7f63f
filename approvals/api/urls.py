from django.urls import include, path

from approvals.api import rules, views
from billing.kernel.api.routers import Router

router = Router()
router.register("approvals/requests", views.RequestViewSet, basename="approval-request")
router.register("approvals/rules", rules.RuleViewSet, basename="approval-rule")
router.register("approvals/delegations", views.DelegationViewSet, basename="approval-delegation")

urlpatterns = [path("", include(router.urls))]
