"""Which account of the books a line earns.

What is sold is revenue. What a customer pays because it paid late is compensation, not the price of anything: an
account of its own keeps it out of the revenue, for IFRS 15 as for the VAT return.
"""

from billing.invoicing.models import InvoiceLine, LineKind
from billing.ledger.accounts import LATE_CHARGES, REVENUE, ChartAccount

INCOME = (REVENUE, LATE_CHARGES)


def income_account(line: InvoiceLine) -> ChartAccount:
    return LATE_CHARGES if line.kind == LineKind.LATE_FEE else REVENUE
