from billing.invoicing.services.documenting import render_invoice_document
from billing.invoicing.services.drafting import draft_invoices
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
from billing.invoicing.services.one_off import (
    ONE_OFF_LINES_MAX,
    delete_one_off_invoice,
    draft_one_off_invoice,
    preview_one_off_invoice,
    revise_one_off_invoice,
)
from billing.invoicing.services.queueing import RUN_BILLING, queue_billing_run
from billing.invoicing.services.reallocating import allocate_cost
from billing.invoicing.services.rerating import rerate_invoice, rerate_usage
from billing.invoicing.services.running import continue_billing_run, preview_billing, start_billing_run
from billing.invoicing.services.settling import settle_invoices
from billing.invoicing.services.standing import review_standing
from billing.invoicing.services.taxing import add_tax_rate
from billing.invoicing.services.voiding import void_invoice
from billing.invoicing.services.writing_off import write_off_invoice
from billing.invoicing.sources.one_off import OneOffLine

__all__ = [
    "DISCOUNT_MONTHS_MAX",
    "DISCOUNT_PRODUCTS_MAX",
    "ONE_OFF_LINES_MAX",
    "RUN_BILLING",
    "OneOffLine",
    "add_tax_exemption",
    "add_tax_rate",
    "allocate_cost",
    "continue_billing_run",
    "create_discount",
    "delete_one_off_invoice",
    "draft_invoices",
    "draft_one_off_invoice",
    "end_discount_grant",
    "end_tax_exemption",
    "grant_discount",
    "issue_invoice",
    "issue_invoices",
    "preview_billing",
    "preview_one_off_invoice",
    "queue_billing_run",
    "render_invoice_document",
    "rerate_invoice",
    "rerate_usage",
    "retire_discount",
    "review_standing",
    "revise_one_off_invoice",
    "settle_invoices",
    "start_billing_run",
    "void_invoice",
    "write_off_invoice",
]
