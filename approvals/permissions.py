"""Who may do what to approvals (the table of roles, endpoints 26-32). Keys never decide: no decision has a scope."""

from billing.access.permissions import declare
from billing.access.roles import AP, AU, BO, BU, CM, FC

declare("approvals.request_approval", BO, CM, FC, own={BU}, scope="approvals:write")
declare("approvals.request_credit_note", BO, FC, scope="approvals:write")
declare("approvals.request_write_off", BO, FC, scope="approvals:write")
declare("approvals.request_invoice", BO, FC, scope="approvals:write")
declare("approvals.request_pay_back", BO, FC, scope="approvals:write")
declare("approvals.request_period_reopening", FC)
declare("approvals.request_role_grant", FC)
declare("approvals.request_payee_data", FC)
declare("approvals.cancel_request", BO, CM, FC, own={BU}, scope="approvals:write")
declare("approvals.view_approvalrequest", BO, CM, AP, FC, AU, own={BU}, scope="approvals:read")
declare("approvals.view_all_requests", FC, AU)  # the others see what they asked for or are asked about
declare("approvals.decide_request", AP, FC)
declare("approvals.view_inboxrequest", AP, FC)
declare("approvals.view_stuckrequest", FC, AU)
declare("approvals.comment_request", BO, CM, AP, FC, own={BU})
declare("approvals.reassign_request", FC)
declare("approvals.view_approvalrule", BO, CM, AP, FC, AU, own={BU})
declare("approvals.propose_rule", FC)
declare("approvals.confirm_rule", FC)
declare("approvals.withdraw_rule", FC)
declare("approvals.view_approvaldelegation", AP, FC, AU)
declare("approvals.delegate_approvals", AP, FC)
declare("approvals.view_approvalmail", AP, FC, AU)
declare("approvals.retry_mail", FC)
declare("approvals.confirm_mail", FC)
