"""Who may do what to invoices, shares of cost and tax rates (the table of roles, endpoints 11 and 12)."""

from billing.access.permissions import declare
from billing.access.roles import AP, AU, BO, BU, CM, FC, VW

declare("invoicing.view_invoice", VW, BO, CM, AP, FC, AU, scope="invoices:read")
declare("invoicing.draft_invoice", BO, FC)
declare("invoicing.issue_invoice", BO, FC)
declare("invoicing.void_invoice", FC)
declare("invoicing.rerate_invoice", FC)
declare("invoicing.write_off_invoice", FC)  # an operator may only ask for it
declare("invoicing.recover_invoice", FC)
declare("invoicing.view_creditnote", VW, BO, CM, AP, FC, AU, scope="invoices:read")
declare("invoicing.issue_credit_note", FC)  # the same holds for credits
declare("invoicing.apply_credit", BO, FC)
declare("invoicing.redirect_credit", BO, FC)

declare("invoicing.view_costallocation", VW, BO, CM, AP, FC, AU, own={BU}, scope="allocations:read")
declare("invoicing.allocate_cost", BO, FC, scope="allocations:write")

declare("invoicing.view_billingrun", BO, FC, AU)
declare("invoicing.view_billingrunitem", BO, FC, AU)
declare("invoicing.run_billing", BO, FC)

declare("invoicing.view_taxrate", VW, BO, CM, AP, FC, AU, scope="invoices:read")
declare("invoicing.create_tax_rate", FC)
declare("invoicing.view_taxexemption", VW, BO, CM, AP, FC, AU, scope="invoices:read")
declare("invoicing.create_tax_exemption", FC)
declare("invoicing.end_tax_exemption", FC)
declare("invoicing.view_allocationrule", VW, BO, CM, AP, FC, AU, scope="allocations:read")
declare("invoicing.create_allocation_rule", FC)
declare("invoicing.activate_allocation_rule", FC)
declare("invoicing.retire_allocation_rule", FC)
declare("invoicing.simulate_allocation_rule", BO, FC)
declare("invoicing.view_allocationrun", BO, FC, AU)
declare("invoicing.run_allocation", FC)
declare("invoicing.reverse_allocation_run", FC)
declare("invoicing.view_glcodemapping", VW, BO, CM, AP, FC, AU, scope="allocations:read")
declare("invoicing.create_gl_code_mapping", FC)
declare("invoicing.end_gl_code_mapping", FC)
declare("invoicing.view_discount", VW, BO, CM, FC, AU, scope="catalogue:read")
declare("invoicing.create_discount", CM, FC, scope="catalogue:write")
declare("invoicing.retire_discount", CM, FC, scope="catalogue:write")
declare("invoicing.view_discountgrant", VW, BO, CM, AP, FC, AU, scope="invoices:read")
declare("invoicing.grant_discount", CM, FC)  # who sets prices, not who bills them
declare("invoicing.view_numberseries", BO, FC, AU)

declare("invoicing.view_consolidatedinvoice", VW, BO, CM, AP, FC, AU, scope="invoices:read")
declare("invoicing.consolidate_invoices", BO, FC)
declare("invoicing.void_consolidated_invoice", FC)
declare("invoicing.view_exchangerate", VW, BO, CM, AP, FC, AU, scope="invoices:read")
declare("invoicing.create_exchange_rate", FC)
