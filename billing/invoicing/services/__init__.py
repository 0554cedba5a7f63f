from billing.invoicing.allocation.services.allocation_rules import (
    RuleTerms,
    TargetTerms,
    activate_allocation_rule,
    create_allocation_rule,
    retire_allocation_rule,
    revise_allocation_rule,
)
from billing.invoicing.allocation.services.gl_code_mappings import add_gl_code_mapping, end_gl_code_mapping
from billing.invoicing.allocation.services.manual_allocation import allocate_cost
from billing.invoicing.allocation.services.runs import (
    RUN_ALLOCATION,
    StepTerms,
    continue_allocation_run,
    reverse_allocation_run,
    run_allocation_rule,
    step_down_costs,
)
from billing.invoicing.allocation.services.simulation import simulate_allocation_rule
from billing.invoicing.billing_runs.services.document_queue import RENDER_DOCUMENTS
from billing.invoicing.billing_runs.services.preview import BillingPreview, preview_billing
from billing.invoicing.billing_runs.services.queue import RUN_BILLING, queue_billing_run
from billing.invoicing.billing_runs.services.rerating import rerate_invoice, rerate_usage
from billing.invoicing.billing_runs.services.runs import (
    continue_billing_run,
    retry_customer,
    start_billing_run,
)
from billing.invoicing.consolidation.services.issue import consolidate_invoices, preview_consolidation
from billing.invoicing.consolidation.services.void import void_consolidated_invoice
from billing.invoicing.credit_notes.services.application import apply_credit, redirect_credit
from billing.invoicing.credit_notes.services.issue import issue_credit_note, preview_credit_note
from billing.invoicing.discounts.services.grants import (
    DISCOUNT_MONTHS_MAX,
    DISCOUNT_PRODUCTS_MAX,
    create_discount,
    end_discount_grant,
    grant_discount,
    retire_discount,
)
from billing.invoicing.drafting.services.drafts import draft_invoices
from billing.invoicing.drafting.services.one_off_invoices import (
    ONE_OFF_LINES_MAX,
    delete_one_off_invoice,
    draft_one_off_invoice,
    preview_one_off_invoice,
    preview_one_off_revision,
    revise_one_off_invoice,
)
from billing.invoicing.drafting.services.one_off_lines import OneOffLine
from billing.invoicing.exchange_rates.services import add_exchange_rate
from billing.invoicing.issuing.services.issue import issue_invoice, issue_invoices
from billing.invoicing.issuing.services.past_due import review_standing
from billing.invoicing.issuing.services.settlement import credit_invoices, settle_invoices
from billing.invoicing.issuing.services.void import void_invoice
from billing.invoicing.issuing.services.write_off import recover_invoice, write_off_invoice
from billing.invoicing.services.documenting import (
    Rendered,
    render_consolidated_document,
    render_credit_note_document,
    render_invoice_document,
    render_invoice_documents,
    render_missing_documents,
)
from billing.invoicing.services.exempting import add_tax_exemption, end_tax_exemption
from billing.invoicing.services.taxing import add_tax_rate

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
