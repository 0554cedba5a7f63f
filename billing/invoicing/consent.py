"""What of invoicing can need other people's consent, and what it says of itself: `billing.kernel.consent`."""

from collections.abc import Mapping
from decimal import Decimal

from billing.invoicing.models import CreditNote, Invoice
from billing.kernel.audit import plain
from billing.kernel.consent import ProposedAct
from billing.kernel.money import round_half_up

CREDIT_NOTE = "credit_note"
WRITE_OFF = "write_off"


def proposed_credit(note: CreditNote, invoice: Invoice, *, actor: str, terms: Mapping) -> ProposedAct:
    """A credit note with its amounts, not yet numbered. `terms` are those of `issue_credit_note` but the day."""
    lines = terms["lines"]
    return ProposedAct(
        kind=CREDIT_NOTE,
        actor=actor,
        title=f"Credit of {invoice.number}",
        subject_id=invoice.pk,
        entity_id=invoice.customer_id,
        amount=note.total_amount,
        currency=note.currency,
        terms=plain(
            {
                "reason": terms["reason"],
                "lines": {str(line): amount for line, amount in lines.items()} if lines else None,
                "net_amount": terms["net_amount"],
                "remainder_to": terms["remainder_to"],
            }
        ),
    )


def proposed_write_off(invoice: Invoice, amount: Decimal, *, actor: str, reason: str) -> ProposedAct:
    """Of all that is open."""
    return ProposedAct(
        kind=WRITE_OFF,
        actor=actor,
        title=f"Write-off of {invoice.number}",
        subject_id=invoice.pk,
        entity_id=invoice.customer_id,
        amount=round_half_up(amount, invoice.currency),
        currency=invoice.currency,
        terms={"reason": reason},
    )
