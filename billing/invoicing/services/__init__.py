from billing.invoicing.services.documenting import render_invoice_document
from billing.invoicing.services.drafting import draft_invoices
from billing.invoicing.services.exempting import add_tax_exemption, end_tax_exemption
from billing.invoicing.services.issuing import issue_invoice, issue_invoices
from billing.invoicing.services.mapping import add_gl_code_mapping, end_gl_code_mapping
from billing.invoicing.services.queueing import RUN_BILLING, queue_billing_run
from billing.invoicing.services.reallocating import allocate_cost
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
from billing.invoicing.services.running import continue_billing_run, preview_billing, start_billing_run
from billing.invoicing.services.settling import settle_invoices
from billing.invoicing.services.simulating import simulate_allocation_rule
from billing.invoicing.services.standing import review_standing
from billing.invoicing.services.taxing import add_tax_rate
from billing.invoicing.services.voiding import void_invoice
from billing.invoicing.services.writing_off import write_off_invoice

__all__ = [
    "RUN_ALLOCATION",
    "RUN_BILLING",
    "RuleTerms",
    "StepTerms",
    "TargetTerms",
    "activate_allocation_rule",
    "add_gl_code_mapping",
    "add_tax_exemption",
    "add_tax_rate",
    "allocate_cost",
    "continue_allocation_run",
    "continue_billing_run",
    "create_allocation_rule",
    "draft_invoices",
    "end_gl_code_mapping",
    "end_tax_exemption",
    "issue_invoice",
    "issue_invoices",
    "preview_billing",
    "queue_billing_run",
    "render_invoice_document",
    "rerate_invoice",
    "rerate_usage",
    "retire_allocation_rule",
    "reverse_allocation_run",
    "review_standing",
    "revise_allocation_rule",
    "run_allocation_rule",
    "settle_invoices",
    "simulate_allocation_rule",
    "start_billing_run",
    "step_down_costs",
    "void_invoice",
    "write_off_invoice",
]
