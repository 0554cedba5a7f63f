from django.urls import include, path

from billing.kernel.api.routers import Router
from billing.subscriptions.api import licenses, validating, views

router = Router()
router.register("products", views.ProductViewSet, basename="product")
router.register("plans", views.PlanViewSet, basename="plan")
router.register("products/<uuid:product_id>/prices", views.ProductPriceViewSet, basename="product-price")
router.register("licenses", licenses.LicenseViewSet, basename="license")

urlpatterns = [
    path(
        "products/<uuid:product_id>/price-quote", views.PriceQuoteView.as_view(), name="product-price-quote"
    ),
    path("licenses/signing-keys", validating.SigningKeysView.as_view(), name="license-signing-keys"),
    path("licenses/<uuid:license_id>/validate", validating.ValidateView.as_view(), name="license-validate"),
    path(
        "licenses/<uuid:license_id>/assignments",
        licenses.SeatViewSet.as_view({"get": "list"}),
        name="license-assignments",
    ),
    path(
        "licenses/<uuid:license_id>/terms",
        licenses.TermsViewSet.as_view({"get": "list"}),
        name="license-terms",
    ),
    path("", include(router.urls)),
]
