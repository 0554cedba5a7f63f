from billing.access.api.views import KeyViewSet
from billing.kernel.api.routers import Router

router = Router()
router.register("keys", KeyViewSet, basename="key")

urlpatterns = router.urls
