from billing.invoicing.services.applying import apply_credit, redirect_credit
from billing.invoicing.services.consolidating import consolidate_invoices, preview_consolidation
from billing.invoicing.services.crediting import issue_credit_note, preview_credit_note
from billing.invoicing.services.documenting import (
    Rendered,
    render_consolidated_document,
    render_credit_note_document,
    render_invoice_document,
    render_invoice_documents,
    render_missing_documents,
)
from billing.invoicing.services.drafting import draft_invoices
from billing.invoicing.services.exchanging import add_exchange_rate
from billing.invoicing.services.exempting import add_tax_exemption, end_tax_exemption
from billing.invoicing.services.granting import (
    DISCOUNT_MONTHS_MAX,
    DISCOUNT_PRODUCTS_MAX,
    create_discount,
    end_discount_grant,
    grant_discount,
    retire_discount,
)
from billing.invoicing.services.issuing import issue_invoice, issue_invoices
from billing.invoicing.services.mapping import add_gl_code_mapping, end_gl_code_mapping
from billing.invoicing.services.one_off import (
    ONE_OFF_LINES_MAX,
    delete_one_off_invoice,
    draft_one_off_invoice,
    preview_one_off_invoice,
    preview_one_off_revision,
    revise_one_off_invoice,
)
from billing.invoicing.services.previewing import BillingPreview, preview_billing
from billing.invoicing.services.queueing import RUN_BILLING, queue_billing_run
from billing.invoicing.services.queueing_documents import RENDER_DOCUMENTS
from billing.invoicing.services.reallocating import allocate_cost
from billing.invoicing.services.releasing import void_consolidated_invoice
from billing.invoicing.services.rerating import rerate_invoice, rerate_usage
from billing.invoicing.services.rerunning import (
    RUN_ALLOCATION,
    StepTerms,
    continue_allocation_run,
    reverse_allocation_run,
    run_allocation_rule,
    step_down_costs,
)
from billing.invoicing.services.ruling import (
    RuleTerms,
    TargetTerms,
    activate_allocation_rule,
    create_allocation_rule,
    retire_allocation_rule,
    revise_allocation_rule,
)
from billing.invoicing.services.running import (
    continue_billing_run,
    retry_customer,
    start_billing_run,
)
from billing.invoicing.services.settling import credit_invoices, settle_invoices
from billing.invoicing.services.simulating import simulate_allocation_rule
from billing.invoicing.services.standing import review_standing
from billing.invoicing.services.taxing import add_tax_rate
from billing.invoicing.services.voiding import void_invoice
from billing.invoicing.services.writing_off import recover_invoice, write_off_invoice
from billing.invoicing.sources.one_off import OneOffLine

__all__ = [
    "DISCOUNT_MONTHS_MAX",
    "DISCOUNT_PRODUCTS_MAX",
    "ONE_OFF_LINES_MAX",
    "RENDER_DOCUMENTS",
    "RUN_ALLOCATION",
    "RUN_BILLING",
    "BillingPreview",
    "OneOffLine",
    "Rendered",
    "RuleTerms",
    "StepTerms",
    "TargetTerms",
    "activate_allocation_rule",
    "add_exchange_rate",
    "add_gl_code_mapping",
    "add_tax_exemption",
    "add_tax_rate",
    "allocate_cost",
    "apply_credit",
    "consolidate_invoices",
    "continue_allocation_run",
    "continue_billing_run",
    "create_allocation_rule",
    "create_discount",
    "credit_invoices",
    "delete_one_off_invoice",
    "draft_invoices",
    "draft_one_off_invoice",
    "end_discount_grant",
    "end_gl_code_mapping",
    "end_tax_exemption",
    "grant_discount",
    "issue_credit_note",
    "issue_invoice",
    "issue_invoices",
    "preview_billing",
    "preview_consolidation",
    "preview_credit_note",
    "preview_one_off_invoice",
    "preview_one_off_revision",
    "queue_billing_run",
    "recover_invoice",
    "redirect_credit",
    "render_consolidated_document",
    "render_credit_note_document",
    "render_invoice_document",
    "render_invoice_documents",
    "render_missing_documents",
    "rerate_invoice",
    "rerate_usage",
    "retire_allocation_rule",
    "retire_discount",
    "retry_customer",
    "reverse_allocation_run",
    "review_standing",
    "revise_allocation_rule",
    "revise_one_off_invoice",
    "run_allocation_rule",
    "settle_invoices",
    "simulate_allocation_rule",
    "start_billing_run",
    "step_down_costs",
    "void_consolidated_invoice",
    "void_invoice",
    "write_off_invoice",
]
