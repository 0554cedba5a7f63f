"""Reading payments."""

from uuid import UUID

from django.db.models import F, QuerySet

from billing.access.models import User
from billing.entities.reach import visible
from billing.payments.models import Payment, PaymentApplication

VIEW_PAYMENT = "payments.view_payment"
VIEW_ACCOUNT = "payments.view_customeraccount"


def payments_for(user: User, permission: str = VIEW_PAYMENT) -> QuerySet[Payment]:
    """The payments of customers within reach, with both parties."""
    payments = Payment.objects.select_related("seller", "customer")
    return visible(payments, user=user, permission=permission, entity="customer")


def unapplied(payments: QuerySet[Payment]) -> QuerySet[Payment]:
    """Those with something left to apply."""
    return payments.filter(applied_amount__lt=F("amount"))


def payments_of_invoice(invoice_id: UUID) -> QuerySet[Payment]:
    return Payment.objects.filter(applications__invoice_id=invoice_id)


def payments_of_consolidated_invoice(consolidated_invoice_id: UUID) -> QuerySet[Payment]:
    """Those that settled one of its children, at least in part."""
    return Payment.objects.filter(
        applications__invoice__consolidations__consolidated_invoice_id=consolidated_invoice_id
    )


def applications() -> QuerySet[PaymentApplication]:
    """With their invoices, the first one first."""
    return PaymentApplication.objects.select_related("invoice").order_by("pk")
