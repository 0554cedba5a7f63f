"""Which rule an act falls under. Amounts are in the base currency (that of the group's root entity).

Bands are open below and closed above, (above, up_to]: "over 10,000" does not catch 10,000.00 and catches
10,000.01, and two bands that meet in one figure leave no gap and share no amount.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from billing.kernel.money import EXACT, round_half_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What approval is requested for, as rules see it.

    `amount` is None if no rate to the base currency is known: it then counts as above every bound, so that it
    falls under the strictest band and never slips below one. Paths are those of `billing.entities`; "" is none.
    """

    kind: str
    amount: Decimal | None
    entity_path: str
    requester: UUID
    department_path: str = ""
    gl_code: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A version of a rule. What is empty does not restrict. A fallback catches what no other rule does."""

    key: UUID
    kind: str  # "" for every kind: only of a fallback
    entity_path: str
    above: Decimal | None = None
    up_to: Decimal | None = None
    department_path: str = ""
    gl_codes: frozenset[str] = frozenset()
    requesters: frozenset[UUID] = frozenset()
    fields: Mapping[str, frozenset[str]] = field(default_factory=dict)
    priority: int = 0
    is_fallback: bool = False


def in_base(amount: Decimal, rate: Decimal, base_currency: str) -> Decimal:
    """`amount` × `rate`, half-up to the base currency's minor unit: the figure that is shown is the one compared."""
    return round_half_up(EXACT.multiply(amount, rate), base_currency)


def matches(rule: Rule, act: Act) -> bool:
    """Whether every condition of the rule holds of the act."""
    return (
        rule.kind in {"", act.kind}
        and act.entity_path.startswith(rule.entity_path)
        and _within(rule, act.amount)
        and act.department_path.startswith(rule.department_path)
        and (not rule.gl_codes or act.gl_code in rule.gl_codes)
        and (not rule.requesters or act.requester in rule.requesters)
        and all(act.fields.get(name) in wanted for name, wanted in rule.fields.items())
    )


def choose(rules: Iterable[Rule], act: Act) -> Rule | None:
    """The rule the act falls under: no fallback before any other rule, then the highest priority, then the
    nearest entity, then the oldest. None if not even a fallback matches. The order of `rules` does not matter."""
    return min((rule for rule in rules if matches(rule, act)), key=_rank, default=None)


def _rank(rule: Rule) -> tuple:
    return rule.is_fallback, -rule.priority, -len(rule.entity_path), rule.key


def _within(rule: Rule, amount: Decimal | None) -> bool:
    if amount is None:
        return rule.up_to is None
    return (rule.above is None or amount > rule.above) and (rule.up_to is None or amount <= rule.up_to)
