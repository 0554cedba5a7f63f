from approvals.models.delegations import ApprovalDelegation
from approvals.models.guarded import (
    GuardedCreditNote,
    GuardedExchangeRate,
    GuardedInvoice,
    GuardedPeriod,
)
from approvals.models.mails import ApprovalMail
from approvals.models.requests import (
    ApprovalAction,
    ApprovalEffect,
    ApprovalLevel,
    ApprovalRequest,
    ApprovalVote,
    InboxRequest,
    StuckRequest,
)
from approvals.models.rules import ApprovalRule, ApprovalRuleVersion

__all__ = [
    "ApprovalAction",
    "ApprovalDelegation",
    "ApprovalEffect",
    "ApprovalLevel",
    "ApprovalMail",
    "ApprovalRequest",
    "ApprovalRule",
    "ApprovalRuleVersion",
    "ApprovalVote",
    "GuardedCreditNote",
    "GuardedExchangeRate",
    "GuardedInvoice",
    "GuardedPeriod",
    "InboxRequest",
    "StuckRequest",
]
