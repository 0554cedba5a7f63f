"""What the ledger asks of the apps above."""

from collections.abc import Callable
from dataclasses import dataclass

from billing.kernel.hooks import Hook, KeyedHook
from billing.ledger.models import AccountingPeriod


@dataclass(frozen=True)
class Differences:
    count: int
    samples: list[str]


before_period_close: Hook[Callable[[AccountingPeriod, str], str]] = Hook(
    "ledger.before_period_close",
    """`(period, actor)`: why the actor may not close the period, a sentence; "" if they may. Called under the
    period's lock; the first objection counts.""",
)

control_total: KeyedHook[Callable[[], Differences]] = KeyedHook(
    "ledger.control_total",
    """Compares a total of the ledger with the documents of the answering app; the key is its name in
    `verify_ledger`. Called in a read-only snapshot of the database.""",
)
