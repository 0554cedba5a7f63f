"""Some acts need other people's consent. Whoever is about to act says so first: a higher app lets it be, or refuses.

What an act says of itself is also what consent is asked for. So asking is doing it up to that point and taking it back
(`proposals_of`): an act is described in one place, and nobody agrees to something else than what would be done.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from billing.kernel.errors import Conflict


@dataclass(frozen=True, kw_only=True)
class ProposedAct:
    """What `actor` is about to do to the subject, at the entity whose business it is.

    `amount` is in `currency` and not negative; 0 where no money is in question. `terms` are JSON: all that whoever
    agrees looks at beside the amount, and all it takes to do it later. `kind` is stored with requests: never rename it.
    Department, GL code and `fields` are what rules can tell acts of a kind apart by; `beneficiary_id` is who gains.
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
    """`acts` are those that wait for it."""

    code = "approval-required"
    title = "This needs other people's consent first."

    def __init__(self, detail: str, *, acts: Sequence[ProposedAct]) -> None:
        super().__init__(detail, kind=acts[0].kind)
        self.acts = acts


Guard = Callable[[Sequence[ProposedAct]], None]
Asker = Callable[..., str]
GUARDS: list[Guard] = []
ASKERS: list[Asker] = []


def guards_acts(guard: Guard) -> Guard:
    """Register who is asked before something is done: under its locks, before anything is written. It refuses by
    ApprovalRequired. All acts of one transaction come together: a fixed number of queries, please."""
    GUARDS.append(guard)
    return guard


def asks_for_consent(asker: Asker) -> Asker:
    """Register who files a request: `(act, comment=…)`. It answers what the request is called."""
    ASKERS.append(asker)
    return asker


def require_consent(*acts: ProposedAct) -> None:
    """Raises ApprovalRequired."""
    if _proposing.get():
        raise _Proposed(acts)
    for guard in GUARDS:
        guard(acts)


def is_refused(act: ProposedAct) -> bool:
    """Whether it would be: of a part of an act that nobody can be asked about by itself."""
    try:
        for guard in GUARDS:
            guard([act])
    except ApprovalRequired:
        return True
    return False


def ask_for_consent(act: ProposedAct, *, comment: str) -> list[str]:
    """File what it takes to have consent to it. Raises what the askers refuse with."""
    return [asker(act, comment=comment) for asker in ASKERS]


def proposals_of(act: Callable[[], object]) -> Sequence[ProposedAct]:
    """What `act` would need consent for, below limits or above; empty if it asks for none. Nothing of it stays, and
    its locks are gone. Raises what refuses it before it comes to that."""
    token = _proposing.set(True)
    try:
        with transaction.atomic():
            act()
            transaction.set_rollback(True)
    except _Proposed as said:
        return said.acts
    finally:
        _proposing.reset(token)
    return ()


class _Proposed(Exception):
    def __init__(self, acts: Sequence[ProposedAct]) -> None:
        super().__init__()
        self.acts = acts


_proposing: ContextVar[bool] = ContextVar("proposing", default=False)
