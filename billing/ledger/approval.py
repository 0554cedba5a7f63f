"""What of the books can need approval by others, and what it says of itself: `billing.kernel.approval`."""

from decimal import Decimal

from billing.kernel.approval import ProposedOperation
from billing.ledger.models import AccountingPeriod

PERIOD_REOPENING = "period_reopening"


def proposed_reopening(period: AccountingPeriod, *, actor: str, reason: str) -> ProposedOperation:
    """No money is in question: only rules without a band are limits of it."""
    return ProposedOperation(
        kind=PERIOD_REOPENING,
        actor=actor,
        title=f"Reopening of {period} at {period.entity.code}",
        subject_id=period.pk,
        entity_id=period.entity_id,
        amount=Decimal(0),
        currency=period.entity.currency,
        terms={"month": str(period), "reason": reason},
    )
