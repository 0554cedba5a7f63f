from django.urls import include, path

from approvals.api import credit_notes, rules, views
from billing.kernel.api.routers import Router

router = Router()
router.register("approvals/requests", views.RequestViewSet, basename="approval-request")
router.register("approvals/rules", rules.RuleViewSet, basename="approval-rule")
router.register("approvals/delegations", views.DelegationViewSet, basename="approval-delegation")

urlpatterns = [
    path("approvals/credit-notes", credit_notes.CreditNoteRequestView.as_view(), name="approval-credit-note"),
    path("", include(router.urls)),
]
