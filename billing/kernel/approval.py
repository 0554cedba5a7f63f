"""Controlled operations: whoever is about to perform one announces it, and a higher app allows or refuses it.

What an operation announces is also what approval is requested for. So requesting approval means to perform the
operation up to that point and roll it back (`proposals_of`): each operation is described in one place, and nobody
approves anything other than what would be done.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.kernel.errors import Conflict


@dataclass(frozen=True, kw_only=True)
class ProposedOperation:
    """What `actor` is about to do to the subject, at the entity concerned.

    `amount` is in `currency` and not negative; 0 where no money is involved. `terms` are JSON: all that an approver
    is shown beside the amount, and all that is needed to perform the operation later. `kind` is stored with requests:
    never rename it. Rules distinguish operations of a kind by department, GL code and `fields`; `beneficiary_id` is
    the user who gains.
    """

    kind: str
    actor: str
    title: str
    subject_id: UUID
    entity_id: UUID
    amount: Decimal
    currency: str
    terms: Mapping[str, object] = field(default_factory=dict)
    department_id: UUID | None = None
    gl_code: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    beneficiary_id: UUID | None = None


class ApprovalRequired(Conflict):
    """`operations` are those that need approval."""

    code = "approval-required"
    title = "This needs other people's approval first."

    def __init__(self, detail: str, *, operations: Sequence[ProposedOperation]) -> None:
        super().__init__(detail, kind=operations[0].kind)
        self.operations = operations


Guard = Callable[[Sequence[ProposedOperation]], None]
ApprovalRequester = Callable[..., str]
GUARDS: list[Guard] = []
REQUESTERS: list[ApprovalRequester] = []


def approval_guard(guard: Guard) -> Guard:
    """Register who decides whether operations may be performed: called under their locks, before anything is written.
    It refuses with ApprovalRequired. All operations of one call come together: use a fixed number of queries."""
    GUARDS.append(guard)
    return guard


def approval_requester(requester: ApprovalRequester) -> ApprovalRequester:
    """Register who files an approval request: `(operation, comment=…)`. Returns the request's name."""
    REQUESTERS.append(requester)
    return requester


def require_approval(*operations: ProposedOperation) -> None:
    """Raises ApprovalRequired."""
    if _proposing.get():
        raise _Proposed(operations)
    for guard in GUARDS:
        guard(operations)


def is_refused(operation: ProposedOperation) -> bool:
    """Whether the guards would refuse it: for a part of an operation that cannot be requested by itself."""
    try:
        for guard in GUARDS:
            guard([operation])
    except ApprovalRequired:
        return True
    return False


def file_approval_requests(operation: ProposedOperation, *, comment: str) -> list[str]:
    """File the approval requests that the operation needs. Raises whatever the requesters refuse with."""
    return [requester(operation, comment=comment) for requester in REQUESTERS]


def proposals_of(perform: Callable[[], object]) -> Sequence[ProposedOperation]:
    """The operations that `perform` would need approval for, within limits or above; empty if there are none.
    Everything is rolled back, and its locks are released. Raises whatever refuses it before that point."""
    token = _proposing.set(True)
    try:
        with transaction.atomic():
            perform()
            transaction.set_rollback(True)
    except _Proposed as proposed:
        return proposed.operations
    finally:
        _proposing.reset(token)
    return ()


class _Proposed(Exception):
    def __init__(self, operations: Sequence[ProposedOperation]) -> None:
        super().__init__()
        self.operations = operations


_proposing: ContextVar[bool] = ContextVar("proposing", default=False)
