from django.urls import include, path

from billing.kernel.api.routers import Router
from billing.subscriptions.api import views

router = Router()
router.register("products", views.ProductViewSet, basename="product")
router.register("plans", views.PlanViewSet, basename="plan")
router.register("products/<uuid:product_id>/prices", views.ProductPriceViewSet, basename="product-price")

urlpatterns = [
    path(
        "products/<uuid:product_id>/price-quote", views.PriceQuoteView.as_view(), name="product-price-quote"
    ),
    path("", include(router.urls)),
]
