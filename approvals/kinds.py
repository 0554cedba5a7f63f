"""Kinds of controlled operations. For each kind, approvals registers what performs an approved request."""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from approvals.models import ApprovalRequest

GENERAL = "general"  # approval of something outside of this system

Effect = Callable[[ApprovalRequest], dict]
UnapprovedAmount = Callable[[UUID, str, datetime], Decimal]
ConflictOfInterest = Callable[[ApprovalRequest, datetime], Iterable[UUID]]
EFFECTS: dict[str, Effect] = {}
UNAPPROVED_AMOUNTS: dict[str, UnapprovedAmount] = {}
CONFLICTS_OF_INTEREST: dict[str, ConflictOfInterest] = {}
NOT_SUMMED: set[str] = set()
ALWAYS: set[str] = set()


def effect(kind: str, *, is_summed: bool = True, always: bool = False) -> Callable[[Effect], Effect]:
    """Register what performs an approved request of `kind`, in the transaction that approves it.

    It reads what to do from `request.content`, returns the outcome as JSON, and may refuse with a DomainError: then
    nothing is approved either. It calls no outside service. `kind` is stored with each request: never rename it.
    `is_summed`: amounts of the last 24 hours count together, because operations of the kind can be split into parts.
    `always`: it needs approval wherever any rule covers it, even a fallback.
    """

    def register(carry_out: Effect) -> Effect:
        assert kind not in EFFECTS, f"two effects for {kind}"
        EFFECTS[kind] = carry_out
        if not is_summed:
            NOT_SUMMED.add(kind)
        if always:
            ALWAYS.add(kind)
        return carry_out

    return register


def unapproved_amount(kind: str) -> Callable[[UnapprovedAmount], UnapprovedAmount]:
    """Register the amount of operations of `kind` at an entity, in a currency, since an instant, that were performed
    without a request of their own."""

    def register(amount_since: UnapprovedAmount) -> UnapprovedAmount:
        UNAPPROVED_AMOUNTS[kind] = amount_since
        return amount_since

    return register


def conflict_of_interest(kind: str) -> Callable[[ConflictOfInterest], ConflictOfInterest]:
    """Register which users, as of an instant, took part in what is requested: those who edited it, for example.

    They are excluded as approvers when it is requested, and whoever takes part later may not decide either."""

    def register(users_in_conflict: ConflictOfInterest) -> ConflictOfInterest:
        CONFLICTS_OF_INTEREST[kind] = users_in_conflict
        return users_in_conflict

    return register


def no_conflicts(request: ApprovalRequest, at: datetime) -> Iterable[UUID]:
    return ()


def no_unapproved_amount(entity_id: UUID, currency: str, since: datetime) -> Decimal:
    return Decimal(0)
