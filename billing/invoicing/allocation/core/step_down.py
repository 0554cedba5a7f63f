"""Step-down allocation: department after department gives away what it bears. Pure: no database.

Horngren, Datar, Rajan, *Cost Accounting*, chapter on support departments: each in its turn gives its own cost and
what it was given before to the departments that are still open, and is closed; nothing comes back to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from billing.invoicing.allocation.core.rules import by_weight
from billing.invoicing.errors import StepsUnclear
from billing.kernel.money import total_of


@dataclass(frozen=True, kw_only=True)
class Step:
    """What `giver` bears goes to the others in proportion to their weights."""

    giver: UUID
    weights: Mapping[UUID, Decimal]


def require_sound_steps(steps: Sequence[Step]) -> None:
    """Every department gives once, to some that are not closed yet. Raises StepsUnclear."""
    if not steps:
        raise StepsUnclear("There is no step.")
    closed: set[UUID] = set()
    for number, step in enumerate(steps, start=1):
        closed.add(step.giver)
        if len(closed) != number:
            raise StepsUnclear(f"Step {number}: the department has given its cost away before.", step=number)
        if closed & step.weights.keys():
            raise StepsUnclear(f"Step {number}: a department that is closed takes no more cost.", step=number)
        if any(weight < 0 for weight in step.weights.values()) or not any(step.weights.values()):
            raise StepsUnclear(f"Step {number}: the weights are not negative, and not all zero.", step=number)


def stepped_down(borne: Mapping[UUID, Decimal], currency: str, steps: Sequence[Step]) -> dict[UUID, Decimal]:
    """What each department that stays open takes over of what the givers bear; the sum is theirs exactly.

    `borne` is payable in `currency`, by department. Each step is divided to the minor unit by largest remainder.
    """
    taken: dict[UUID, Decimal] = {}
    for step in steps:
        amount = total_of([borne.get(step.giver, Decimal(0)), taken.pop(step.giver, Decimal(0))])
        if not amount:
            continue
        for department, part in by_weight(amount, currency, step.weights).items():
            taken[department] = total_of([taken.get(department, Decimal(0)), part])
    return dict(sorted(taken.items()))
