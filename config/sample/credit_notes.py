"""What customers are given: a discount on a subscription, and a credit for what went wrong."""

from datetime import date
from decimal import Decimal

from billing.entities.models import BillingEntity
from billing.invoicing import services as invoicing
from billing.invoicing.models import (
    CreditNote,
    Discount,
    DiscountDuration,
    DiscountGrant,
    DiscountKind,
    Invoice,
)
from billing.subscriptions.models import Subscription

CODE, PERCENT, MONTHS = "LOYALTY", Decimal(10), 12
SUBSCRIPTION = "NW-BOREAL-FR"
CREDITED, CREDIT = "FALKEN-WERKE", Decimal("180.00")


def discount(*, seller: BillingEntity, starts_on: date, actor: str) -> None:
    """Ten percent off one subscription, for a year. Loading again does what is left of it."""
    offered = Discount.objects.filter(seller=seller, code=CODE).first() or invoicing.create_discount(
        actor=actor,
        seller_id=seller.pk,
        code=CODE,
        name="Loyalty discount",
        kind=DiscountKind.PERCENT,
        percent=PERCENT,
        duration=DiscountDuration.REPEATING,
        months=MONTHS,
        starts_on=starts_on,
    )
    if not DiscountGrant.objects.filter(discount=offered).exists():
        subscription = Subscription.objects.get(reference=SUBSCRIPTION)
        invoicing.grant_discount(
            actor=actor,
            discount_id=offered.pk,
            customer_id=subscription.entity_id,
            subscription_id=subscription.pk,
            starts_on=starts_on,
        )


def credit(*, seller: BillingEntity, issued_on: date, actor: str) -> None:
    """Off the newest invoice of one customer, unless it was credited before."""
    if not CreditNote.objects.filter(seller=seller).exists():
        invoice = Invoice.objects.get(seller=seller, customer__code=CREDITED, issued_on=issued_on)
        invoicing.issue_credit_note(
            actor=actor,
            invoice_id=invoice.pk,
            issued_on=issued_on,
            net_amount=CREDIT,
            reason="The storage was out of reach on the morning of 14 October",
        )
