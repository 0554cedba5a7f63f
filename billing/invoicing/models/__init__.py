"""The tables: tax, discounts, invoices with their lines and documents, what they claim, whose cost it is, billing runs."""

from billing.documents.models import KeptDocument
from billing.invoicing.allocation.models.allocations import AllocationBasis, CostAllocation, GlSource
from billing.invoicing.allocation.models.closed_periods import ClosedPeriod
from billing.invoicing.allocation.models.gl_codes import GLCodeMapping
from billing.invoicing.allocation.models.rules import (
    AllocationRule,
    AllocationRuleVersion,
    AllocationTarget,
    RuleKind,
)
from billing.invoicing.allocation.models.runs import AllocationRun, AllocationRunKind
from billing.invoicing.billing_runs.models import BillingRun, BillingRunItem
from billing.invoicing.consolidation.models import (
    ConsolidatedChild,
    ConsolidatedDocument,
    ConsolidatedInvoice,
    ConsolidatedTotal,
)
from billing.invoicing.credit_notes.models import (
    CreditApplication,
    CreditNote,
    CreditNoteDocument,
    CreditNoteLine,
    CreditNoteTax,
)
from billing.invoicing.discounts.models import (
    Discount,
    DiscountAmount,
    DiscountDuration,
    DiscountGrant,
    DiscountKind,
    DiscountProduct,
    DiscountUse,
)
from billing.invoicing.drafting.models import ChargeClaim, UsageClaim
from billing.invoicing.exchange_rates.models import ExchangeRate
from billing.invoicing.invoices.models import (
    Invoice,
    InvoiceDocument,
    InvoiceLine,
    InvoiceTax,
    LineKind,
    NumberSeries,
)
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
