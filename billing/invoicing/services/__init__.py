from billing.invoicing.services.consolidating import consolidate_invoices, preview_consolidation
from billing.invoicing.services.documenting import render_invoice_document
from billing.invoicing.services.drafting import draft_invoices
from billing.invoicing.services.exchanging import add_exchange_rate
from billing.invoicing.services.exempting import add_tax_exemption, end_tax_exemption
from billing.invoicing.services.issuing import issue_invoice, issue_invoices
from billing.invoicing.services.queueing import RUN_BILLING, queue_billing_run
from billing.invoicing.services.reallocating import allocate_cost
from billing.invoicing.services.releasing import void_consolidated_invoice
from billing.invoicing.services.rerating import rerate_invoice, rerate_usage
from billing.invoicing.services.running import continue_billing_run, preview_billing, start_billing_run
from billing.invoicing.services.settling import settle_invoices
from billing.invoicing.services.standing import review_standing
from billing.invoicing.services.taxing import add_tax_rate
from billing.invoicing.services.voiding import void_invoice
from billing.invoicing.services.writing_off import write_off_invoice

__all__ = [
    "RUN_BILLING",
    "add_exchange_rate",
    "add_tax_exemption",
    "add_tax_rate",
    "allocate_cost",
    "consolidate_invoices",
    "continue_billing_run",
    "draft_invoices",
    "end_tax_exemption",
    "issue_invoice",
    "issue_invoices",
    "preview_billing",
    "preview_consolidation",
    "queue_billing_run",
    "render_invoice_document",
    "rerate_invoice",
    "rerate_usage",
    "review_standing",
    "settle_invoices",
    "start_billing_run",
    "void_consolidated_invoice",
    "void_invoice",
    "write_off_invoice",
]
