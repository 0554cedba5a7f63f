"""The tables: tax, discounts, invoices with their lines and documents, what they claim, whose cost it is, billing runs."""

from billing.invoicing.models.allocations import AllocationBasis, CostAllocation
from billing.invoicing.models.claims import ChargeClaim, UsageClaim
from billing.invoicing.models.discounts import (
    Discount,
    DiscountAmount,
    DiscountDuration,
    DiscountGrant,
    DiscountKind,
    DiscountProduct,
    DiscountUse,
)
from billing.invoicing.models.invoices import (
    Invoice,
    InvoiceDocument,
    InvoiceLine,
    InvoiceTax,
    LineKind,
    NumberSeries,
)
from billing.invoicing.models.runs import BillingRun, BillingRunItem
from billing.invoicing.models.taxes import TaxExemption, TaxRate

__all__ = [
    "AllocationBasis",
    "BillingRun",
    "BillingRunItem",
    "ChargeClaim",
    "CostAllocation",
    "Discount",
    "DiscountAmount",
    "DiscountDuration",
    "DiscountGrant",
    "DiscountKind",
    "DiscountProduct",
    "DiscountUse",
    "Invoice",
    "InvoiceDocument",
    "InvoiceLine",
    "InvoiceTax",
    "LineKind",
    "NumberSeries",
    "TaxExemption",
    "TaxRate",
    "UsageClaim",
]
