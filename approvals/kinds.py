"""The kinds of acts that can wait for consent. The app that owns a kind says what happens once it is given."""

from collections.abc import Callable

from approvals.models import ApprovalRequest

GENERAL = "general"  # consent to something outside of this system

Effect = Callable[[ApprovalRequest], dict]
EFFECTS: dict[str, Effect] = {}


def effect(kind: str) -> Callable[[Effect], Effect]:
    """Register what carries out an approved request of `kind`, in the transaction that approves it.

    It reads what to do from `request.content`, returns the outcome as JSON, and may refuse by a DomainError: then
    nothing is approved either. It calls nobody outside. `kind` is stored with each request: never rename it.
    """

    def register(carry_out: Effect) -> Effect:
        assert kind not in EFFECTS, f"two effects for {kind}"
        EFFECTS[kind] = carry_out
        return carry_out

    return register
