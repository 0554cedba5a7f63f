from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.entities.models import Department
from billing.invoicing.allocating import Part, Policy, share_of
from billing.invoicing.errors import DepartmentOfAnotherEntity, ShareTooLarge
from billing.invoicing.models import AllocationBasis, CostAllocation, Invoice, InvoiceLine
from billing.invoicing.queries import live_allocations
from billing.invoicing.services.voiding import mirror_of
from billing.invoicing.states import InvoiceState
from billing.invoicing.tax import exact_tax
from billing.kernel import audit
from billing.kernel.errors import Conflict, Invalid
from billing.kernel.money import EXACT, Money, split_exact, total_of
from billing.ledger import services as ledger
from billing.ledger.accounts import REVENUE
from billing.ledger.postings import EntryDraft, credit
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
    Raises ShareTooLarge, DepartmentOfAnotherEntity, Invalid, Conflict unless the invoice is issued or paid.
    """
    line = InvoiceLine.objects.select_related("product").get(pk=line_id)
    invoice = Invoice.objects.locked().get(pk=line.invoice_id)
    target = Department.objects.get(pk=department_id)
    _require_movable(invoice, line, target, amount)

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

    replaced = givers + receivers
    posted = _post_anew(invoice, line, nets=nets, replaced=replaced, reason=reason)
    _rebook(invoice, line, replaced=replaced, posted=posted, posted_on=posted_on)
    audit.record(
        actor=actor,
        action="cost.allocated",
        subject=line,
        entity_id=invoice.customer_id,
        reason=reason,
        detail={"department": target.pk, "amount": amount, "currency": line.currency},
    )
    return posted


def _require_movable(invoice: Invoice, line: InvoiceLine, target: Department, amount: Decimal) -> None:
    if invoice.state not in {InvoiceState.ISSUED, InvoiceState.PAID}:
        raise Conflict(f"The invoice is {invoice.state}; only posted cost can be moved.")
    if target.entity_id != invoice.customer_id:
        raise DepartmentOfAnotherEntity(f"{target} is not a department of the customer.")
    if not Money(amount, line.currency).is_payable or amount == 0:
        raise Invalid(f"{amount} is not an amount of {line.currency} that can be moved.")


def _post_anew(
    invoice: Invoice,
    line: InvoiceLine,
    *,
    nets: list[tuple[Department, Decimal]],
    replaced: list[CostAllocation],
    reason: str,
) -> list[CostAllocation]:
    """Reverse the shares and post the new ones; together they carry the same net and the same tax."""
    tax = total_of([share.tax_amount for share in replaced])
    whole = total_of([net for _, net in nets])
    # What tax these shares carry was rounded once already: split what is there, not net × percent anew.
    exact = [
        EXACT.divide(EXACT.multiply(tax, net), whole) if whole else exact_tax(net, line.tax_percent)
        for _, net in nets
    ]
    policy = Policy.for_customers([invoice.customer])
    posted = [
        share_of(
            Part(department_id=department.pk, net_amount=net, basis=AllocationBasis.MANUAL),
            line,
            invoice,
            policy,
        )
        for department, net in nets
    ]
    for share, part in zip(posted, split_exact(tax, exact, line.currency), strict=True):
        share.tax_amount, share.reason = part, reason
    mirrors = [mirror_of(share, basis=AllocationBasis.MANUAL, reason=reason) for share in replaced]
    CostAllocation.objects.bulk_create(mirrors + posted)
    return posted


def _rebook(
    invoice: Invoice,
    line: InvoiceLine,
    *,
    replaced: list[CostAllocation],
    posted: list[CostAllocation],
    posted_on: date,
) -> None:
    """Revenue moves between departments; receivable and tax stay."""
    ledger.post_entries(
        [
            EntryDraft(
                entity_id=invoice.seller_id,
                posted_on=posting_day(entity_id=invoice.seller_id, day=posted_on),
                source=f"allocation:{posted[-1].pk}",
                event="moved",
                description=f"Cost of {invoice.number} line {line.position} moved",
                lines=tuple(
                    credit(
                        REVENUE,
                        share.net_amount * sign,
                        line.currency,
                        customer_id=invoice.customer_id,
                        department_id=share.department_id,
                        product_code=line.product.code,
                        gl_code=share.gl_code,
                    )
                    for sign, shares in ((-1, replaced), (1, posted))
                    for share in shares
                ),
            )
        ]
    )
