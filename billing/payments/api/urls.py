from django.urls import include, path

from billing.kernel.api.routers import Router
from billing.payments.api import statements, views

router = Router()
router.register("payments", views.PaymentViewSet, basename="payment")

urlpatterns = [
    path("entities/<uuid:entity_id>/statement", statements.StatementView.as_view(), name="entity-statement"),
    path(
        "entities/<uuid:entity_id>/statement/pdf",
        statements.StatementDocumentView.as_view(),
        name="entity-statement-pdf",
    ),
    path("entities/<uuid:entity_id>/balance", statements.BalanceView.as_view(), name="entity-balance"),
    path("", include(router.urls)),
]
