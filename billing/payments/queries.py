"""Reading payments."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import F, QuerySet

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.entities.reach import visible
from billing.payments.models import Payment, PaymentApplication


def payments_for(user: User) -> QuerySet[Payment]:
    """What `user` may see, with both parties."""
    payments = Payment.objects.select_related("seller", "customer")
    return visible(payments, user=user, verb="payments.view_payment", entity="customer")


def unapplied(payments: QuerySet[Payment]) -> QuerySet[Payment]:
    """Those with something left to apply."""
    return payments.filter(applied_amount__lt=F("amount"))


def applications_of(payment: Payment) -> QuerySet[PaymentApplication]:
    return payment.applications.select_related("invoice").order_by("pk")


def today_of(entity: BillingEntity, *, now: datetime) -> date:
    """The business day of `now` where the entity is."""
    return now.astimezone(ZoneInfo(entity.time_zone)).date()
