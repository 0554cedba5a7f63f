"""What keeps a draft from being issued. Higher apps add their rules (contracts: no order number, no invoice)."""

from collections.abc import Callable, Sequence
from uuid import UUID

from billing.entities.states import EntityState
from billing.invoicing.errors import AdjustsDraft, CustomerNotActive
from billing.invoicing.models import Invoice, InvoiceLine

Guard = Callable[[Sequence[Invoice]], None]
GUARDS: list[Guard] = []


def guards(guard: Guard) -> Guard:
    """Register what looks at all drafts about to be issued, and raises a DomainError that says what to put right.

    They are locked, with seller, customer, lines and taxes at hand. A billing run finds out whose draft it was,
    notes the reason and bills everybody else. A fixed number of queries, please.
    """
    GUARDS.append(guard)
    return guard


@guards
def customers_are_active(invoices: Sequence[Invoice]) -> None:
    for invoice in invoices:
        if invoice.customer.state == EntityState.DRAFT:
            raise CustomerNotActive(f"{invoice.customer} is still a draft. Activate it first.")


@guards
def adjusted_lines_are_issued(invoices: Sequence[Invoice]) -> None:
    """What a line adjusts was issued before, or is now: a draft may still come to something else."""
    lines = [line for invoice in invoices for line in invoice.lines.all()]
    adjusted = {UUID(pk) for line in lines for pk in line.derivation.get("adjusts", ())}
    open_ones = adjusted - {line.pk for line in lines}
    if not open_ones:
        return
    issued = InvoiceLine.objects.filter(pk__in=open_ones, invoice__number__isnull=False)
    if issued.count() != len(open_ones):
        raise AdjustsDraft("It adjusts usage on an earlier draft. Issue that one first, or draft again.")
