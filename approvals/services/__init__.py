from approvals.services.chasing import chase_requests
from approvals.services.credit_notes import request_credit_note
from approvals.services.deciding import bulk_approve, decide_request
from approvals.services.delegating import delegate_approvals, revoke_delegation
from approvals.services.ending import cancel_request, expire_requests
from approvals.services.invoices import request_invoice
from approvals.services.leaving import hand_over_requests
from approvals.services.pay_backs import request_pay_back
from approvals.services.payee_data import request_payee_data
from approvals.services.previewing import preview_proposal, preview_route
from approvals.services.reopenings import request_period_reopening
from approvals.services.requesting import request_approval
from approvals.services.role_grants import request_role_grant
from approvals.services.ruling import confirm_rule, propose_rule, propose_rule_version, withdraw_rule
from approvals.services.talking import comment_on_request, delegate_request, reassign_request
from approvals.services.telling import confirm_mail, retry_mail, send_mail, sweep_mails
from approvals.services.write_offs import request_write_off

__all__ = [
    "bulk_approve",
    "cancel_request",
    "chase_requests",
    "comment_on_request",
    "confirm_mail",
    "confirm_rule",
    "decide_request",
    "delegate_approvals",
    "delegate_request",
    "expire_requests",
    "hand_over_requests",
    "preview_proposal",
    "preview_route",
    "propose_rule",
    "propose_rule_version",
    "reassign_request",
    "request_approval",
    "request_credit_note",
    "request_invoice",
    "request_pay_back",
    "request_payee_data",
    "request_period_reopening",
    "request_role_grant",
    "request_write_off",
    "retry_mail",
    "revoke_delegation",
    "send_mail",
    "sweep_mails",
    "withdraw_rule",
]
