"""The tables: tax, discounts, invoices with their lines and documents, what they claim, whose cost it is, billing runs."""

from billing.invoicing.models.allocation_runs import AllocationRun, AllocationRunKind
from billing.invoicing.models.allocations import AllocationBasis, CostAllocation, GlSource
from billing.invoicing.models.claims import ChargeClaim, UsageClaim
from billing.invoicing.models.closing import ClosedPeriod
from billing.invoicing.models.consolidation import (
    ConsolidatedChild,
    ConsolidatedDocument,
    ConsolidatedInvoice,
    ConsolidatedTotal,
)
from billing.invoicing.models.crediting import (
    CreditApplication,
    CreditNote,
    CreditNoteDocument,
    CreditNoteLine,
    CreditNoteTax,
)
from billing.invoicing.models.discounts import (
    Discount,
    DiscountAmount,
    DiscountDuration,
    DiscountGrant,
    DiscountKind,
    DiscountProduct,
    DiscountUse,
)
from billing.invoicing.models.exchange import ExchangeRate
from billing.invoicing.models.gl_codes import GLCodeMapping
from billing.invoicing.models.invoices import (
    Invoice,
    InvoiceDocument,
    InvoiceLine,
    InvoiceTax,
    LineKind,
    NumberSeries,
)
from billing.invoicing.models.kept import KeptDocument
from billing.invoicing.models.rules import AllocationRule, AllocationRuleVersion, AllocationTarget, RuleKind
from billing.invoicing.models.runs import BillingRun, BillingRunItem
from billing.invoicing.models.taxes import TaxExemption, TaxRate

__all__ = [
    "AllocationBasis",
    "AllocationRule",
    "AllocationRuleVersion",
    "AllocationRun",
    "AllocationRunKind",
    "AllocationTarget",
    "BillingRun",
    "BillingRunItem",
    "ChargeClaim",
    "ClosedPeriod",
    "ConsolidatedChild",
    "ConsolidatedDocument",
    "ConsolidatedInvoice",
    "ConsolidatedTotal",
    "CostAllocation",
    "CreditApplication",
    "CreditNote",
    "CreditNoteDocument",
    "CreditNoteLine",
    "CreditNoteTax",
    "Discount",
    "DiscountAmount",
    "DiscountDuration",
    "DiscountGrant",
    "DiscountKind",
    "DiscountProduct",
    "DiscountUse",
    "ExchangeRate",
    "GLCodeMapping",
    "GlSource",
    "Invoice",
    "InvoiceDocument",
    "InvoiceLine",
    "InvoiceTax",
    "KeptDocument",
    "LineKind",
    "NumberSeries",
    "RuleKind",
    "TaxExemption",
    "TaxRate",
    "UsageClaim",
]
