"""Hook: higher apps may veto the closing of a period by a given user."""

from collections.abc import Callable

from billing.ledger.models import AccountingPeriod

PeriodCloseHook = Callable[[AccountingPeriod, str], str]
PERIOD_CLOSE_HOOKS: list[PeriodCloseHook] = []


def before_period_close(hook: PeriodCloseHook) -> PeriodCloseHook:
    """Register `hook(period, actor)`: why the actor may not close the period, or "". Called under the period's lock."""
    PERIOD_CLOSE_HOOKS.append(hook)
    return hook


def period_close_objection(period: AccountingPeriod, *, actor: str) -> str:
    """The first objection, or ""."""
    objections = (hook(period, actor) for hook in PERIOD_CLOSE_HOOKS)
    return next((objection for objection in objections if objection), "")
