from django.urls import include, path

from billing.kernel.api.routers import Router
from billing.subscriptions.api import views

router = Router()
router.register("products", views.ProductViewSet, basename="product")
router.register("products/<uuid:product_id>/prices", views.ProductPriceViewSet, basename="product-price")

urlpatterns = [path("", include(router.urls))]
