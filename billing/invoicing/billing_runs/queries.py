"""How far a billing run is, in figures: three queries, however large it is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum
from django.utils import timezone

from billing.invoicing.models import BillingRun
from billing.invoicing.states import RunItemState, RunState

NOTHING_MORE = "Nothing more to generate."


@dataclass(frozen=True, kw_only=True)
class RunFigures:
    """Customers by what became of them, and what was issued. `amounts` are totals with tax, by currency."""

    state: str
    finished_at: datetime | None
    done: int
    failed: int
    pending: int
    invoices: int
    amounts: dict[str, Decimal]
    elapsed: timedelta  # since the run was last started
    rest: timedelta | None  # estimated; None before the first customer, and once nothing is pending

    @property
    def customers(self) -> int:
        return self.done + self.failed + self.pending

    @property
    def percent(self) -> int:
        """Of the customers, whole and rounded down: 100 only when none is pending."""
        return (self.done + self.failed) * 100 // self.customers if self.customers else 100

    @property
    def message(self) -> str:
        if not self.pending:
            return NOTHING_MORE
        return (
            f"{self.pending} customer to bill." if self.pending == 1 else f"{self.pending} customers to bill."
        )


def figures_of(run: BillingRun, *, now: datetime | None = None) -> RunFigures:
    """The run as it stands in the database at this moment; `now` is for tests."""
    now = now or timezone.now()
    run = BillingRun.objects.get(pk=run.pk)
    counted = run.items.aggregate(
        **{state: Count("pk", filter=Q(state=state)) for state in RunItemState.values},
        since=Count("pk", filter=Q(updated_at__gte=run.continued_at) & ~Q(state=RunItemState.PENDING)),
    )
    issued = (
        run.invoices.filter(number__isnull=False)
        .order_by("currency")
        .values_list("currency")
        .annotate(count=Count("pk"), total=Sum("total_amount"))
    )
    rows = list(issued)
    elapsed = (run.finished_at or now) - run.continued_at
    pending, since = counted[RunItemState.PENDING], counted["since"]
    return RunFigures(
        state=run.state,
        finished_at=run.finished_at,
        done=counted[RunItemState.DONE],
        failed=counted[RunItemState.FAILED],
        pending=pending,
        invoices=sum(count for _, count, _ in rows),
        amounts={currency: total for currency, _, total in rows},
        elapsed=elapsed,
        rest=elapsed * pending / since if run.state == RunState.RUNNING and pending and since else None,
    )
