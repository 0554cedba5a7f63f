"""Who may not close a month, for what he did in it: the books ask, and apps above them answer."""

from collections.abc import Callable

from billing.ledger.models import AccountingPeriod

Objection = Callable[[AccountingPeriod, str], str]
OBJECTIONS: list[Objection] = []


def objects_to_closing(objection: Objection) -> Objection:
    """Register why `actor` may not close the month: a sentence, or "" if he may. Called under its lock."""
    OBJECTIONS.append(objection)
    return objection


def objection_to(period: AccountingPeriod, *, actor: str) -> str:
    """The first there is."""
    return next((said for said in (objection(period, actor) for objection in OBJECTIONS) if said), "")
