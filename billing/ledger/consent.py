"""What of the books can need other people's consent, and what it says of itself: `billing.kernel.consent`."""

from decimal import Decimal

from billing.kernel.consent import ProposedAct
from billing.ledger.models import AccountingPeriod

PERIOD_REOPENING = "period_reopening"


def proposed_reopening(period: AccountingPeriod, *, actor: str, reason: str) -> ProposedAct:
    """No money is in question: only rules without a band are limits of it."""
    return ProposedAct(
        kind=PERIOD_REOPENING,
        actor=actor,
        title=f"Reopening of {period} at {period.entity.code}",
        subject_id=period.pk,
        entity_id=period.entity_id,
        amount=Decimal(0),
        currency=period.entity.currency,
        terms={"month": str(period), "reason": reason},
    )
