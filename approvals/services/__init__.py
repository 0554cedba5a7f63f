from approvals.services.closing import cancel_request, expire_requests
from approvals.services.comments import comment_on_request, delegate_request, reassign_request
from approvals.services.credit_notes import request_credit_note
from approvals.services.decisions import bulk_approve, decide_request
from approvals.services.delegations import delegate_approvals, revoke_delegation
from approvals.services.invoices import request_invoice
from approvals.services.notifications import confirm_mail, retry_mail, send_mail, sweep_mails
from approvals.services.payee_data import request_payee_data
from approvals.services.previews import preview_proposal, preview_route
from approvals.services.reassignment import reassign_requests_of
from approvals.services.refunds import request_refund
from approvals.services.reminders import remind_approvers
from approvals.services.reopenings import request_period_reopening
from approvals.services.requests import request_approval
from approvals.services.role_grants import request_role_grant
from approvals.services.rules import confirm_rule, propose_rule, propose_rule_version, withdraw_rule
from approvals.services.write_offs import request_write_off

__all__ = [
    "bulk_approve",
    "cancel_request",
    "comment_on_request",
    "confirm_mail",
    "confirm_rule",
    "decide_request",
    "delegate_approvals",
    "delegate_request",
    "expire_requests",
    "preview_proposal",
    "preview_route",
    "propose_rule",
    "propose_rule_version",
    "reassign_request",
    "reassign_requests_of",
    "remind_approvers",
    "request_approval",
    "request_credit_note",
    "request_invoice",
    "request_payee_data",
    "request_period_reopening",
    "request_refund",
    "request_role_grant",
    "request_write_off",
    "retry_mail",
    "revoke_delegation",
    "send_mail",
    "sweep_mails",
    "withdraw_rule",
]
