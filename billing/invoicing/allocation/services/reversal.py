"""Posted shares taken back and posted anew: a line keeps its net and its tax, and revenue follows the departments."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.invoicing.allocation.services.allocation import Part, Policy, share_of
from billing.invoicing.invoices.core.revenue_accounts import income_account
from billing.invoicing.issuing.services.void import mirror_of
from billing.invoicing.models import AllocationRun, CostAllocation, Invoice, InvoiceLine
from billing.kernel.money import EXACT, split_exact, total_of
from billing.ledger.postings import EntryDraft, credit
from billing.tax.core.tax import exact_tax


@dataclass(frozen=True, kw_only=True)
class Reposting:
    """Of one line: shares taken back, and those posted in their place. Neither is saved yet."""

    line: InvoiceLine
    mirrors: list[CostAllocation]
    posted: list[CostAllocation]

    @property
    def rows(self) -> list[CostAllocation]:
        return [*self.mirrors, *self.posted]


def posted_anew(
    line: InvoiceLine,
    invoice: Invoice,
    policy: Policy,
    *,
    replaced: Sequence[CostAllocation],
    parts: Sequence[Part],
    basis: str,
    reason: str,
    run: AllocationRun | None = None,
) -> Reposting:
    """Reverse the shares and post the parts; together they carry the same net and the same tax."""
    tax = total_of([share.tax_amount for share in replaced])
    whole = total_of([part.net_amount for part in parts])
    # What tax these shares carry was rounded once already: split what is there, not net × percent anew.
    exact = [
        EXACT.divide(EXACT.multiply(tax, part.net_amount), whole)
        if whole
        else exact_tax(part.net_amount, line.tax_percent)
        for part in parts
    ]
    posted = [share_of(part, line, invoice, policy) for part in parts]
    for share, amount in zip(posted, split_exact(tax, exact, line.currency), strict=True):
        share.tax_amount, share.reason, share.run = amount, reason, run
    return Reposting(
        line=line, mirrors=taken_back(replaced, basis=basis, reason=reason, run=run), posted=posted
    )


def taken_back(
    shares: Iterable[CostAllocation], *, basis: str, reason: str, run: AllocationRun | None = None
) -> list[CostAllocation]:
    mirrors = [mirror_of(share, basis=basis, reason=reason) for share in shares]
    for mirror in mirrors:
        mirror.run = run
    return mirrors


def rebooking(
    invoice: Invoice, repostings: Sequence[Reposting], *, posted_on: date, description: str
) -> EntryDraft:
    """Revenue moves between departments and GL codes; receivable and tax stay. Empty if none of it moves."""
    moved: dict[tuple, Decimal] = defaultdict(Decimal)
    for reposting in repostings:
        line = reposting.line
        for share in reposting.rows:
            place = (income_account(line), share.department_id, line.product_code, share.gl_code)
            moved[place] = EXACT.add(moved[place], share.net_amount)
    return EntryDraft(
        entity_id=invoice.seller_id,
        posted_on=posted_on,
        # The invoice's proof and its voiding find the entry by one of the shares that it is about.
        source=f"allocation:{repostings[-1].posted[-1].pk}",
        event="moved",
        description=description[:200],
        lines=tuple(
            credit(
                account,
                amount,
                invoice.currency,
                customer_id=invoice.customer_id,
                department_id=department_id,
                product_code=product_code,
                gl_code=gl_code,
            )
            for (account, department_id, product_code, gl_code), amount in moved.items()
        ),
    )
