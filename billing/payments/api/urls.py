from billing.kernel.api.routers import Router
from billing.payments.api import views

router = Router()
router.register("payments", views.PaymentViewSet, basename="payment")

urlpatterns = router.urls
