from django.urls import include, path

from billing.invoicing.api import allocations, discounts, exemptions, views
from billing.kernel.api.routers import Router

router = Router()
router.register("invoices", views.InvoiceViewSet, basename="invoice")
router.register("billing-runs", views.BillingRunViewSet, basename="billing-run")
router.register("discounts", discounts.DiscountViewSet, basename="discount")
router.register("discount-grants", discounts.DiscountGrantViewSet, basename="discount-grant")
router.register("tax-exemptions", exemptions.TaxExemptionViewSet, basename="tax-exemption")

urlpatterns = [
    path(
        "invoices/<uuid:invoice_id>/lines",
        views.InvoiceLineViewSet.as_view({"get": "list"}),
        name="invoice-lines",
    ),
    path(
        "departments/<uuid:department_id>/allocations",
        allocations.DepartmentAllocationViewSet.as_view({"get": "list", "post": "create"}),
        name="department-allocations",
    ),
    path("tax-rates", views.TaxRateViewSet.as_view({"get": "list", "post": "create"}), name="tax-rates"),
    path("", include(router.urls)),
]
