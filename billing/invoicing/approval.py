"""What of invoicing can need approval by others, and what it says of itself: `billing.kernel.approval`."""

from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256

from billing.invoicing.models import CreditNote, Invoice, InvoiceLine
from billing.kernel.approval import ProposedOperation
from billing.kernel.audit import plain
from billing.kernel.money import round_half_up

CREDIT_NOTE = "credit_note"
WRITE_OFF = "write_off"
INVOICE = "invoice"
PAY_BACK = "pay_back"


def proposed_credit(note: CreditNote, invoice: Invoice, *, actor: str, terms: Mapping) -> ProposedOperation:
    """A credit note with its amounts, not yet numbered. `terms` are those of `issue_credit_note` but the day."""
    lines = terms["lines"]
    return ProposedOperation(
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


def proposed_refund(note: CreditNote, *, actor: str, reason: str) -> ProposedOperation:
    """Of all that is left of the note."""
    return ProposedOperation(
        kind=PAY_BACK,
        actor=actor,
        title=f"Paying back what is left of {note.number or 'a new credit note'}",
        subject_id=note.pk,
        entity_id=note.customer_id,
        amount=round_half_up(note.unapplied_amount, note.currency),
        currency=note.currency,
        terms={"reason": reason},
    )


def proposed_write_off(invoice: Invoice, amount: Decimal, *, actor: str, reason: str) -> ProposedOperation:
    """Of all that is open."""
    return ProposedOperation(
        kind=WRITE_OFF,
        actor=actor,
        title=f"Write-off of {invoice.number}",
        subject_id=invoice.pk,
        entity_id=invoice.customer_id,
        amount=round_half_up(amount, invoice.currency),
        currency=invoice.currency,
        terms={"reason": reason},
    )


def proposed_issue(invoice: Invoice, *, actor: str) -> ProposedOperation:
    """A draft with its lines at hand. Drafted anew with the same lines it is the same act."""
    lines = sorted(invoice.lines.all(), key=lambda line: line.position)
    return ProposedOperation(
        kind=INVOICE,
        actor=actor,
        title=f"Invoice to {invoice.customer.name}"[:200],
        subject_id=invoice.pk,
        entity_id=invoice.customer_id,
        amount=invoice.total_amount,
        currency=invoice.currency,
        terms={
            "net_amount": str(invoice.net_amount),
            "tax_amount": str(invoice.tax_amount),
            "lines": len(lines),
            "digest_of_lines": sha256("\n".join(map(_said, lines)).encode()).hexdigest(),
        },
    )


def _said(line: InvoiceLine) -> str:
    """All of a line that its reader is charged for."""
    return repr(
        (
            *(line.position, line.kind, str(line.product_id), line.description, line.gl_code),
            *(line.quantity, line.unit, line.unit_price, line.inclusive_unit_price),
            *(line.discount_amount, line.net_amount, line.tax_category, line.tax_percent),
            *(line.service_starts_on, line.service_ends_on),
        )
    )
