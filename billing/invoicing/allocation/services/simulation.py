from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction

from billing.entities.models import Department
from billing.invoicing.allocation.services.allocation import Policy
from billing.invoicing.allocation.services.posted_lines import (
    Division,
    divided_by,
    lines_of_version,
    lines_within,
    next_invoices,
    posted_lines,
)
from billing.invoicing.models import AllocationRule, AllocationRuleVersion
from billing.invoicing.states import RuleState
from billing.kernel.errors import Conflict
from billing.kernel.money import EXACT


@dataclass(frozen=True, kw_only=True)
class Shift:
    """The net cost of a department on the lines that the version would divide, before and after."""

    department: Department
    currency: str
    before_amount: Decimal
    after_amount: Decimal

    @property
    def difference_amount(self) -> Decimal:
        return self.after_amount - self.before_amount


@dataclass(frozen=True, kw_only=True)
class Simulation:
    version: AllocationRuleVersion
    lines_in_scope: int
    lines_divided: int
    shifts: list[Shift]


@transaction.atomic
def simulate_allocation_rule(*, rule_id: UUID, starts_on: date, ends_on: date) -> Simulation:
    """What the cost of the period (half-open, by the day a line's service starts) would have looked like.

    Of the draft, else of the version in force; as if it had been in force on all days of the period, beside all
    other active rules. Changes nothing. Raises Conflict if the rule is retired and has no draft.
    """
    version = _version_to_try(AllocationRule.objects.select_related("entity").get(pk=rule_id))
    lines = lines_of_version(
        version, lines_within(entity=version.rule.entity, starts_on=starts_on, ends_on=ends_on)
    )
    before, after = defaultdict(Decimal), defaultdict(Decimal)
    departments: dict[UUID, Department] = {}
    in_scope = divided = 0
    last = None
    while invoice_ids := next_invoices(lines, after=last, count=settings.ALLOCATION_RUN_CHUNK):
        last = invoice_ids[-1]
        posted = posted_lines(lines, invoice_ids)
        customers = {each.line.invoice.customer_id: each.line.invoice.customer for each in posted}
        policy = Policy.for_customers(customers.values(), trial=version)
        divisions = divided_by(version, posted, policy)
        in_scope, divided = in_scope + len(posted), divided + len(divisions)
        for division in divisions:
            _add(division, before, after)
        departments |= {d.pk: d for group in policy.departments.values() for d in group}
    return Simulation(
        version=version,
        lines_in_scope=in_scope,
        lines_divided=divided,
        shifts=[
            Shift(
                department=departments[department_id],
                currency=currency,
                before_amount=before[department_id, currency],
                after_amount=after[department_id, currency],
            )
            for department_id, currency in sorted(
                before.keys() | after.keys(), key=lambda place: (departments[place[0]].code, str(place))
            )
        ],
    )


def _version_to_try(rule: AllocationRule) -> AllocationRuleVersion:
    versions = rule.versions.exclude(state=RuleState.RETIRED).prefetch_related("targets").order_by("number")
    if not versions:
        raise Conflict(f"{rule.code} is retired. Draft a version to try it.")
    version = versions[len(versions) - 1]
    version.rule = rule
    return version


def _add(division: Division, before: dict, after: dict) -> None:
    for sums, amounts in (
        (before, [*division.kept, *division.replaced]),
        (after, [*division.kept, *division.parts]),
    ):
        for each in amounts:
            place = (each.department_id, division.line.currency)
            sums[place] = EXACT.add(sums[place], each.net_amount)
