"""One group gets one invoice, in two currencies: its companies roll up, the holding pays."""

from datetime import date, timedelta
from decimal import Decimal

from billing.access.models import User
from billing.entities.models import BillingEntity
from billing.invoicing import services as invoicing
from billing.invoicing.models import ConsolidatedInvoice
from billing.kernel.context import acting

PAYER = "BOREAL"
RATE = {
    "from_currency": "USD",
    "to_currency": "EUR",
    "rate": Decimal("0.9215"),
    "source": "European Central Bank",
}


def consolidate(*, seller: BillingEntity, operator: User, today: date) -> None:
    """Of what was issued today; loading again finds it done."""
    payer = BillingEntity.objects.get(code=PAYER)
    if ConsolidatedInvoice.objects.filter(payer=payer).exists():
        return
    with acting(actor=f"user:{operator.pk}") as here:
        invoicing.add_exchange_rate(actor=here.actor, rate_on=today, **RATE)
        invoicing.consolidate_invoices(
            actor=here.actor,
            payer_id=payer.pk,
            seller_id=seller.pk,
            period_starts_on=today,
            period_ends_on=today + timedelta(days=1),
            issued_on=today,
        )
