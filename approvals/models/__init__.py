from approvals.models.delegations import ApprovalDelegation
from approvals.models.guarded import GuardedCreditNote, GuardedInvoice, GuardedPeriod
from approvals.models.requests import (
    ApprovalAction,
    ApprovalEffect,
    ApprovalLevel,
    ApprovalRequest,
    ApprovalVote,
    InboxRequest,
)
from approvals.models.rules import ApprovalRule, ApprovalRuleVersion

__all__ = [
    "ApprovalAction",
    "ApprovalDelegation",
    "ApprovalEffect",
    "ApprovalLevel",
    "ApprovalRequest",
    "ApprovalRule",
    "ApprovalRuleVersion",
    "ApprovalVote",
    "GuardedCreditNote",
    "GuardedInvoice",
    "GuardedPeriod",
    "InboxRequest",
]
