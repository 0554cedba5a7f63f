from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.entities.models import Department
from billing.invoicing.allocation.services.allocation import Part, Policy
from billing.invoicing.allocation.services.reversal import posted_anew, rebooking
from billing.invoicing.errors import DepartmentOfAnotherEntity, LineCredited, ShareTooLarge
from billing.invoicing.models import AllocationBasis, CostAllocation, Invoice, InvoiceLine
from billing.invoicing.queries import live_allocations
from billing.invoicing.states import InvoiceState
from billing.kernel import audit
from billing.kernel.errors import Conflict, Invalid
from billing.kernel.money import Money, total_of
from billing.ledger import services as ledger
from billing.ledger.queries import posting_day


@transaction.atomic
def allocate_cost(
    *,
    actor: str,
    department_id: UUID,
    line_id: UUID,
    amount: Decimal,
    reason: str,
    posted_on: date,
    from_department_id: UUID | None = None,
) -> list[CostAllocation]:
    """Move `amount` (net, in the line's currency, of the line's sign) of a posted line to a department.

    Taken from `from_department_id`, or from all other departments in their proportions. The shares it
    touches are reversed and posted anew, tax with them, and revenue is re-booked by department.
    Raises ShareTooLarge, DepartmentOfAnotherEntity, Invalid, Conflict unless the invoice is issued or paid,
    LineCredited once a part of the line was credited: credits go back where the cost was.
    """
    line = InvoiceLine.objects.select_related("product").get(pk=line_id)
    invoice = Invoice.objects.locked().get(pk=line.invoice_id)
    target = Department.objects.get(pk=department_id)
    _require_movable(invoice, line, target, amount)
    if line.credits.exists():
        raise LineCredited(f"A part of line {line.position} of {invoice.number} was credited.")

    live = list(live_allocations(invoice=invoice).filter(line=line).select_related("department"))
    givers = [
        share
        for share in live
        if share.department_id != target.pk
        and from_department_id in (None, share.department_id)
        and share.net_amount * amount > 0
    ]
    available = total_of([share.net_amount for share in givers])
    if abs(amount) > abs(available):
        raise ShareTooLarge(
            f"Only {available} {line.currency} of this line can be moved.", available=str(available)
        )
    taken = Money(amount, line.currency).allocate([abs(share.net_amount) for share in givers])
    receivers = [share for share in live if share.department_id == target.pk]
    nets = [
        (share.department, share.net_amount - part.amount) for share, part in zip(givers, taken, strict=True)
    ]
    nets.append((target, total_of([share.net_amount for share in receivers]) + amount))

    reposting = posted_anew(
        line,
        invoice,
        Policy.for_customers([invoice.customer]),
        replaced=givers + receivers,
        parts=[
            Part(department_id=department.pk, net_amount=net, basis=AllocationBasis.MANUAL)
            for department, net in nets
        ],
        basis=AllocationBasis.MANUAL,
        reason=reason,
    )
    CostAllocation.objects.bulk_create(reposting.rows)
    entry = rebooking(
        invoice,
        [reposting],
        posted_on=posting_day(entity_id=invoice.seller_id, day=posted_on),
        description=f"Cost of {invoice.number} line {line.position} moved",
    )
    ledger.post_entries([entry])
    audit.record(
        actor=actor,
        action="cost.allocated",
        subject=line,
        entity_id=invoice.customer_id,
        reason=reason,
        detail={"department": target.pk, "amount": amount, "currency": line.currency},
    )
    return reposting.posted


def _require_movable(invoice: Invoice, line: InvoiceLine, target: Department, amount: Decimal) -> None:
    if invoice.state not in {InvoiceState.ISSUED, InvoiceState.PAID}:
        raise Conflict(f"The invoice is {invoice.state}; only posted cost can be moved.")
    if target.entity_id != invoice.customer_id:
        raise DepartmentOfAnotherEntity(f"{target} is not a department of the customer.")
    if not Money(amount, line.currency).is_payable or amount == 0:
        raise Invalid(f"{amount} is not an amount of {line.currency} that can be moved.")
