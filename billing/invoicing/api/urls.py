from django.urls import include, path

from billing.invoicing.allocation.api import allocations, gl_codes, rules, runs
from billing.invoicing.api import exemptions, views
from billing.invoicing.consolidation import api as consolidation
from billing.invoicing.credit_notes import api as credit_notes
from billing.invoicing.discounts import api as discounts
from billing.invoicing.exchange_rates import api as exchange_rates
from billing.kernel.api.routers import Router

router = Router()
router.register("invoices", views.InvoiceViewSet, basename="invoice")
router.register("credit-notes", credit_notes.CreditNoteViewSet, basename="credit-note")
router.register("billing-runs", views.BillingRunViewSet, basename="billing-run")
router.register("discounts", discounts.DiscountViewSet, basename="discount")
router.register("discount-grants", discounts.DiscountGrantViewSet, basename="discount-grant")
router.register("tax-exemptions", exemptions.TaxExemptionViewSet, basename="tax-exemption")
router.register(
    "consolidated-invoices", consolidation.ConsolidatedInvoiceViewSet, basename="consolidated-invoice"
)
router.register("allocation-rules", rules.AllocationRuleViewSet, basename="allocation-rule")
router.register("allocation-runs", runs.AllocationRunViewSet, basename="allocation-run")
router.register("gl-code-mappings", gl_codes.GLCodeMappingViewSet, basename="gl-code-mapping")

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
    path(
        "consolidated-invoices/<uuid:consolidated_invoice_id>/children",
        consolidation.ConsolidatedChildViewSet.as_view({"get": "list"}),
        name="consolidated-invoice-children",
    ),
    path(
        "consolidated-invoices/<uuid:consolidated_invoice_id>/lines",
        consolidation.ConsolidatedLineViewSet.as_view({"get": "list"}),
        name="consolidated-invoice-lines",
    ),
    path(
        "exchange-rates",
        exchange_rates.ExchangeRateViewSet.as_view({"get": "list", "post": "create"}),
        name="exchange-rates",
    ),
    path("", include(router.urls)),
]
