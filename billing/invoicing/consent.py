"""Some acts need other people's consent. Billing tells what it is about to do; higher apps answer by refusing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from billing.invoicing.models import CreditNote


@dataclass(frozen=True, kw_only=True)
class ProposedCredit:
    """A credit note with its amounts, not yet numbered, and the `terms` it was asked for with."""

    actor: str
    note: CreditNote
    terms: Mapping[str, object]


Guard = Callable[[ProposedCredit], None]
CREDIT_GUARDS: list[Guard] = []


def guards_credits(guard: Guard) -> Guard:
    """Register who is asked before a credit note is issued, under the invoice's lock. It refuses by a DomainError."""
    CREDIT_GUARDS.append(guard)
    return guard


def require_consent(proposed: ProposedCredit) -> None:
    for guard in CREDIT_GUARDS:
        guard(proposed)
