from django.urls import path

from billing.kernel.api.routers import Router
from billing.ledger.api.views import AccountViewSet, EntryViewSet, PeriodViewSet, TrialBalanceView

router = Router()
router.register("ledger/accounts", AccountViewSet, basename="ledger-account")
router.register("ledger/entries", EntryViewSet, basename="journal-entry")
router.register("ledger/periods", PeriodViewSet, basename="accounting-period")

urlpatterns = [
    *router.urls,
    path("ledger/trial-balance", TrialBalanceView.as_view({"get": "trial_balance"}), name="trial-balance"),
]
