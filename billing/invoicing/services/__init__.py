from billing.invoicing.services.applying import apply_credit, redirect_credit
from billing.invoicing.services.consolidating import consolidate_invoices, preview_consolidation
from billing.invoicing.services.crediting import issue_credit_note, preview_credit_note
from billing.invoicing.services.documenting import (
    Rendered,
    render_credit_note_document,
    render_invoice_document,
    render_invoice_documents,
    render_missing_documents,
)
from billing.invoicing.services.drafting import draft_invoices
from billing.invoicing.services.exchanging import add_exchange_rate
from billing.invoicing.services.exempting import add_tax_exemption, end_tax_exemption
from billing.invoicing.services.issuing import issue_invoice, issue_invoices
from billing.invoicing.services.previewing import BillingPreview, preview_billing
from billing.invoicing.services.queueing import RUN_BILLING, queue_billing_run
from billing.invoicing.services.queueing_documents import RENDER_DOCUMENTS
from billing.invoicing.services.reallocating import allocate_cost
from billing.invoicing.services.releasing import void_consolidated_invoice
from billing.invoicing.services.rerating import rerate_invoice, rerate_usage
from billing.invoicing.services.running import (
    continue_billing_run,
    retry_customer,
    start_billing_run,
)
from billing.invoicing.services.settling import credit_invoices, settle_invoices
from billing.invoicing.services.standing import review_standing
from billing.invoicing.services.taxing import add_tax_rate
from billing.invoicing.services.voiding import void_invoice
from billing.invoicing.services.writing_off import recover_invoice, write_off_invoice

__all__ = [
    "RENDER_DOCUMENTS",
    "RUN_BILLING",
    "BillingPreview",
    "Rendered",
    "add_exchange_rate",
    "add_tax_exemption",
    "add_tax_rate",
    "allocate_cost",
    "apply_credit",
    "consolidate_invoices",
    "continue_billing_run",
    "credit_invoices",
    "draft_invoices",
    "end_tax_exemption",
    "issue_credit_note",
    "issue_invoice",
    "issue_invoices",
    "preview_billing",
    "preview_consolidation",
    "preview_credit_note",
    "queue_billing_run",
    "recover_invoice",
    "redirect_credit",
    "render_credit_note_document",
    "render_invoice_document",
    "render_invoice_documents",
    "render_missing_documents",
    "rerate_invoice",
    "rerate_usage",
    "retry_customer",
    "review_standing",
    "settle_invoices",
    "start_billing_run",
    "void_consolidated_invoice",
    "void_invoice",
    "write_off_invoice",
]
