"""The kinds of acts that can wait for consent. The app that owns a kind says what happens once it is given."""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from approvals.models import ApprovalRequest

GENERAL = "general"  # consent to something outside of this system

Effect = Callable[[ApprovalRequest], dict]
Unasked = Callable[[UUID, str, datetime], Decimal]
Involved = Callable[[ApprovalRequest, datetime], Iterable[UUID]]
EFFECTS: dict[str, Effect] = {}
UNASKED: dict[str, Unasked] = {}
INVOLVED: dict[str, Involved] = {}
BY_ITSELF: set[str] = set()
ALWAYS: set[str] = set()


def effect(kind: str, *, by_itself: bool = False, always: bool = False) -> Callable[[Effect], Effect]:
    """Register what carries out an approved request of `kind`, in the transaction that approves it.

    It reads what to do from `request.content`, returns the outcome as JSON, and may refuse by a DomainError: then
    nothing is approved either. It calls nobody outside. `kind` is stored with each request: never rename it.
    `by_itself`: amounts of different acts of the kind are no parts of one whole, and are not summed.
    `always`: it takes consent wherever there is a rule to ask by, be it a fallback.
    """

    def register(carry_out: Effect) -> Effect:
        assert kind not in EFFECTS, f"two effects for {kind}"
        EFFECTS[kind] = carry_out
        if by_itself:
            BY_ITSELF.add(kind)
        if always:
            ALWAYS.add(kind)
        return carry_out

    return register


def unasked(kind: str) -> Callable[[Unasked], Unasked]:
    """Register what was done of `kind` at an entity, in a currency, since an instant, without a request of its own."""

    def register(done: Unasked) -> Unasked:
        UNASKED[kind] = done
        return done

    return register


def involved(kind: str) -> Callable[[Involved], Involved]:
    """Register who else has a part in what is asked for, as of an instant: the users who edited it, say. They are
    barred from the beginning, and who gets a part in it later does not decide any more."""

    def register(found: Involved) -> Involved:
        INVOLVED[kind] = found
        return found

    return register


def nobody_else(request: ApprovalRequest, at: datetime) -> Iterable[UUID]:
    return ()


def nothing_unasked(entity_id: UUID, currency: str, since: datetime) -> Decimal:
    return Decimal(0)
