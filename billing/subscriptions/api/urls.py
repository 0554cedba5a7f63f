from django.urls import include, path

from billing.kernel.api.routers import Router
from billing.subscriptions.api import licenses, subscription_views, validating, views

router = Router()
router.register("products", views.ProductViewSet, basename="product")
router.register("plans", views.PlanViewSet, basename="plan")
router.register("products/<uuid:product_id>/prices", views.ProductPriceViewSet, basename="product-price")
router.register("licenses", licenses.LicenseViewSet, basename="license")
router.register("subscriptions", subscription_views.SubscriptionViewSet, basename="subscription")

OF_ONE = {
    "items": subscription_views.SubscriptionItemViewSet,
    "periods": subscription_views.SubscriptionPeriodViewSet,
    "charges": subscription_views.SubscriptionChargeViewSet,
}

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
    path(
        "entities/<uuid:entity_id>/subscriptions",
        subscription_views.EntitySubscriptionViewSet.as_view({"get": "list"}),
        name="entity-subscriptions",
    ),
    *(
        path(
            f"subscriptions/<uuid:subscription_id>/{parts}",
            viewset.as_view({"get": "list"}),
            name=f"subscription-{parts}",
        )
        for parts, viewset in OF_ONE.items()
    ),
    path("", include(router.urls)),
]
