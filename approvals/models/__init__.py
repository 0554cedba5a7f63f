from approvals.models.delegations import ApprovalDelegation
from approvals.models.guarded import (
    GuardedCreditNote,
    GuardedEntity,
    GuardedExchangeRate,
    GuardedInvoice,
    GuardedPeriod,
    GuardedRoleGrant,
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
    "GuardedEntity",
    "GuardedExchangeRate",
    "GuardedInvoice",
    "GuardedPeriod",
    "GuardedRoleGrant",
    "InboxRequest",
    "StuckRequest",
]
