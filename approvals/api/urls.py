from django.urls import include, path

from approvals.api import credit_notes, entities, invoices, periods, rules, views
from billing.kernel.api.routers import Router

router = Router()
router.register("approvals/requests", views.RequestViewSet, basename="approval-request")
router.register("approvals/rules", rules.RuleViewSet, basename="approval-rule")
router.register("approvals/delegations", views.DelegationViewSet, basename="approval-delegation")

urlpatterns = [
    path("approvals/credit-notes", credit_notes.CreditNoteRequestView.as_view(), name="approval-credit-note"),
    path("approvals/invoices", invoices.InvoiceRequestView.as_view(), name="approval-invoice"),
    path("approvals/refunds", credit_notes.RefundRequestView.as_view(), name="approval-refund"),
    path(
        "approvals/period-reopenings",
        periods.ReopeningRequestView.as_view(),
        name="approval-period-reopening",
    ),
    path("approvals/payee-data", entities.PayeeDataRequestView.as_view(), name="approval-payee-data"),
    path("approvals/role-grants", entities.RoleGrantRequestView.as_view(), name="approval-role-grant"),
    path("approvals/write-offs", invoices.WriteOffRequestView.as_view(), name="approval-write-off"),
    path("", include(router.urls)),
]
