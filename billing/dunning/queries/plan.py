"""What is due for whom on a day, as data: which step of which invoice, what is passed over, and why.

Reads only. The worker plans under its locks and carries the plan out; a dry run shows the same plan.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Prefetch

from billing.dunning import queries
from billing.dunning.core.clock import Hold, collectable, days_late
from billing.dunning.models import (
    DunningCase,
    DunningNotice,
    DunningPause,
    DunningPolicy,
    DunningStep,
)
from billing.dunning.states import CaseState, Effect
from billing.entities.models import BillingEntity
from billing.invoicing.models import Invoice
from billing.kernel.money import round_half_up, total_of

LATER_STEP_DUE = "a later step was due as well"
ITS_DAY_HAS_PASSED = "it is for the time before the due day"


@dataclass(frozen=True, kw_only=True)
class Due:
    """The steps of one invoice that are due: all of the last day that is reached, those before passed over."""

    invoice: Invoice
    case: DunningCase | None
    policy: DunningPolicy
    days_late: int
    open_amount: Decimal
    collectable_amount: Decimal
    holds: Sequence[Hold]
    take: Sequence[DunningStep]
    skip: Sequence[tuple[DunningStep, str]]

    @property
    def letter(self) -> DunningStep | None:
        """The reminder among the steps that are due, if there is one."""
        return next((step for step in self.take if step.effect == Effect.NOTIFY), None)


def plan_dunning(*, seller_id: UUID, customers: Sequence[BillingEntity], as_of: date) -> list[Due]:
    """What is due on `as_of` for the open invoices of the customers, by customer and due day.

    An open case goes on by its own policy revision; an invoice without one by the customer's policy. A constant
    number of queries, however many customers.
    """
    invoices = list(
        queries.open_invoices(seller_id=seller_id, customer_ids=[customer.pk for customer in customers])
    )
    ids = [invoice.pk for invoice in invoices]
    cases = {case.invoice_id: case for case in DunningCase.objects.filter(invoice__in=ids)}
    own = queries.policies_of(customers, seller_id=seller_id, on=as_of)
    policies = _with_steps(
        {case.policy_id for case in cases.values()} | {policy.pk for policy in own.values()}
    )
    noticed = set(DunningNotice.objects.filter(invoice__in=ids).values_list("invoice_id", "step_id"))
    holds = holds_of(ids)

    reached, totals = [], defaultdict(list)
    for invoice in invoices:
        case = cases.get(invoice.pk)
        policy_id = case.policy_id if case else getattr(own.get(invoice.customer_id), "pk", None)
        if policy_id is None or (case and case.state != CaseState.OPEN):
            continue
        policy, held = policies[policy_id], holds[invoice.pk]
        open_amount = round_half_up(invoice.balance_amount, invoice.currency)
        late = days_late(invoice.due_on, as_of, held, open_amount)
        asked = round_half_up(collectable(open_amount, held, as_of), invoice.currency)
        if not asked or late < min(step.days_after_due for step in policy.steps.all()):
            continue
        totals[invoice.customer_id, invoice.currency].append(asked)
        left = [step for step in policy.steps.all() if (invoice.pk, step.pk) not in noticed]
        take, skip = steps_due(left, late)
        if take:
            reached.append(
                Due(
                    invoice=invoice,
                    case=case,
                    policy=policy,
                    days_late=late,
                    open_amount=open_amount,
                    collectable_amount=asked,
                    holds=held,
                    take=take,
                    skip=skip,
                )
            )
    return [
        due
        for due in reached
        if total_of(totals[due.invoice.customer_id, due.invoice.currency])
        >= _minimum(due.policy, due.invoice.currency)
    ]


def steps_due(
    left: Sequence[DunningStep], late: int
) -> tuple[list[DunningStep], list[tuple[DunningStep, str]]]:
    """Of the steps not noticed yet: those of the last day reached, and those passed over with the reason.

    A note for the time before the due day is not sent after it.
    """
    reached = [step for step in left if step.days_after_due <= late]
    too_late = [step for step in reached if step.days_after_due < 0 < late]
    in_time = [step for step in reached if step not in too_late]
    if not in_time:
        return [], []
    last = max(step.days_after_due for step in in_time)
    take = [step for step in in_time if step.days_after_due == last]
    skip = [(step, ITS_DAY_HAS_PASSED) for step in too_late]
    skip += [(step, LATER_STEP_DUE) for step in in_time if step.days_after_due < last]
    return take, skip


def holds_of(invoice_ids: Sequence[UUID]) -> dict[UUID, list[Hold]]:
    """The pauses of each invoice, also those that are over: their days stay uncounted."""
    holds: dict[UUID, list[Hold]] = defaultdict(list)
    for pause in DunningPause.objects.filter(invoice__in=invoice_ids).order_by("pk"):
        holds[pause.invoice_id].append(
            Hold(starts_on=pause.starts_on, ends_on=pause.ends_on, amount=pause.amount)
        )
    return holds


def _with_steps(policy_ids: set[UUID]) -> dict[UUID, DunningPolicy]:
    found = DunningPolicy.objects.filter(pk__in=policy_ids)
    steps = Prefetch("steps", DunningStep.objects.order_by("position"))
    return {policy.pk: policy for policy in found.prefetch_related(steps, "amounts")}


def _minimum(policy: DunningPolicy, currency: str) -> Decimal:
    """Below which sum of what a customer is late with nobody is reminded; nothing said: no minimum."""
    return next((one.minimum_amount for one in policy.amounts.all() if one.currency == currency), Decimal(0))
