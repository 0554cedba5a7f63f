from billing.dunning.api import views
from billing.kernel.api.routers import Router

router = Router()
router.register("dunning-policies", views.DunningPolicyViewSet, basename="dunning-policy")
router.register("dunning-assignments", views.DunningAssignmentViewSet, basename="dunning-assignment")
router.register("dunning-cases", views.DunningCaseViewSet, basename="dunning-case")
router.register("dunning-notices", views.DunningNoticeViewSet, basename="dunning-notice")
router.register("dunning-pauses", views.DunningPauseViewSet, basename="dunning-pause")
router.register("late-fees", views.LateFeeViewSet, basename="late-fee")

urlpatterns = router.urls
