"""Which rule divides a line. Read once for a batch of customers; the same for issuing, simulating and runs."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from uuid import UUID

from django.db import connection

from billing.entities.models import BillingEntity, Department
from billing.invoicing.allocation.core.rules import Driver, Target, TargetKind, divide
from billing.invoicing.allocation.services.drivers import Need, in_force, weights_for
from billing.invoicing.allocation.services.gl_codes import covers, line_of_descent
from billing.invoicing.models import AllocationRuleVersion, InvoiceLine, RuleKind
from billing.kernel.money import EXACT, total_of

# Nobody ends a version while cost is allocated by it: its end is noted after that.
_HELD = """
    SELECT v.id FROM allocation_rule_versions v JOIN allocation_rules r ON r.id = v.rule_id
    WHERE r.entity_id = ANY(%s) AND v.state <> 'draft' ORDER BY v.id FOR SHARE OF v
"""


@dataclass(frozen=True)
class Chosen:
    """A version that divides a line, with its targets as departments of the line's customer."""

    version: AllocationRuleVersion
    targets: Sequence[Target]
    needs: Mapping[int, Need]  # what its drivers weigh by, by position


class Rulebook:
    """All activated versions over some customers, the best first."""

    def __init__(
        self,
        versions: Iterable[AllocationRuleVersion] = (),
        *,
        departments: Mapping[UUID, Collection[Department]],
        trial: AllocationRuleVersion | None = None,
    ) -> None:
        self._by_entity = defaultdict(list)
        for version in versions:
            self._by_entity[version.rule.entity_id].append(version)
        self._departments = departments
        self._trial = trial
        self._chosen: dict[tuple, Chosen | None] = {}
        self._ranked: dict[UUID, list[AllocationRuleVersion]] = {}
        self._weights: dict[Need, dict[UUID, Decimal]] = {}

    @classmethod
    def for_customers(
        cls,
        customers: Iterable[BillingEntity],
        *,
        departments: Mapping[UUID, Collection[Department]],
        trial: AllocationRuleVersion | None = None,
    ) -> "Rulebook":
        """`trial` takes the place of its rule's other versions, on any day, as if it had been in force."""
        above = {entity_id for customer in customers for entity_id in line_of_descent(customer)}
        with connection.cursor() as cursor:
            cursor.execute(_HELD, [list(above)])
            held = [pk for (pk,) in cursor.fetchall()]
        versions = AllocationRuleVersion.objects.filter(pk__in=held).select_related("rule")
        found = list(versions.prefetch_related("targets"))
        if trial is not None:
            found = [version for version in found if version.rule_id != trial.rule_id] + [trial]
        return cls(found, departments=departments, trial=trial)

    def override_for(self, line: InvoiceLine, customer: BillingEntity) -> Chosen | None:
        return self._best(line, customer, RuleKind.OVERRIDE)

    def standard_for(self, line: InvoiceLine, customer: BillingEntity) -> Chosen | None:
        return self._best(line, customer, RuleKind.STANDARD)

    def read_weights(self, chosen: Iterable[Chosen]) -> None:
        """What the drivers of these weigh, in a constant number of queries."""
        needs = {need for each in chosen for need in each.needs.values()} - self._weights.keys()
        if needs:
            self._weights |= weights_for(needs, self._departments)

    def divide(
        self, chosen: Chosen, amount: Decimal, currency: str, *, otherwise: UUID
    ) -> dict[UUID, Decimal]:
        """`amount` by department; call `read_weights` before."""
        return divide(
            amount,
            currency,
            targets=chosen.targets,
            weights={position: self._weights[need] for position, need in chosen.needs.items()},
            otherwise=otherwise,
        )

    def weights_of(self, chosen: Chosen) -> dict[UUID, dict[str, dict[str, str]]]:
        """By department what each driver weighs of it and in all, by the target's position: to be kept with its share."""
        found: dict[UUID, dict[str, dict[str, str]]] = defaultdict(dict)
        for position, need in chosen.needs.items():
            weights = self._weights[need]
            whole = _plain(total_of(list(weights.values())))
            for department_id, weight in weights.items():
                if weight:
                    kept = {"driver": need.driver.value, "weight": _plain(weight), "of": whole}
                    found[department_id][str(position)] = kept
        return found

    def _best(self, line: InvoiceLine, customer: BillingEntity, kind: str) -> Chosen | None:
        if not self._by_entity:
            return None
        for version in self._over(customer):
            if version.kind == kind and self._matches(version, line):
                chosen = self._as_departments(version, line, customer)
                if chosen:
                    return chosen
        return None

    def _as_departments(
        self, version: AllocationRuleVersion, line: InvoiceLine, customer: BillingEntity
    ) -> Chosen | None:
        """None if the customer has not all the departments that the version names."""
        key = (version.pk, customer.pk, line.service_starts_on, line.service_ends_on)
        if key not in self._chosen:
            targets = self._targets_of(version, customer, line.service_starts_on)
            needs = _needs_of(version, line, customer)
            self._chosen[key] = None if targets is None else Chosen(version, targets, needs)
        return self._chosen[key]

    def _over(self, customer: BillingEntity) -> list[AllocationRuleVersion]:
        """Those of the customer and the entities above it, in the order in which they are asked."""
        if customer.pk not in self._ranked:
            descent = line_of_descent(customer)
            self._ranked[customer.pk] = sorted(
                (version for entity_id in descent for version in self._by_entity.get(entity_id, ())),
                key=lambda version: precedence(version, depth=descent.index(version.rule.entity_id)),
            )
        return self._ranked[customer.pk]

    def _matches(self, version: AllocationRuleVersion, line: InvoiceLine) -> bool:
        meter = line.derivation.get("meter")
        return (
            (version == self._trial or covers(version, line.service_starts_on))
            and version.product_id in (None, line.product_id)
            and (version.meter_id is None or str(version.meter_id) == meter)
            and version.gl_code in ("", line.gl_code)
            and version.line_kind in ("", line.kind)
            and version.currency in ("", line.currency)
        )

    def _targets_of(
        self, version: AllocationRuleVersion, customer: BillingEntity, day: date
    ) -> list[Target] | None:
        codes = self._codes.get(customer.pk, {})
        targets = []
        for target in targets_of(version):
            if target.key is not None:
                department = codes.get(target.key.lower())
                if department is None or not in_force(department, day):
                    return None
                target = replace(target, key=department.pk)
            targets.append(target)
        return targets

    @cached_property
    def _codes(self) -> dict[UUID, dict[str, Department]]:
        return {
            customer_id: {department.code.lower(): department for department in departments}
            for customer_id, departments in self._departments.items()
        }


def precedence(version: AllocationRuleVersion, *, depth: int) -> tuple:
    """Smaller goes first: the version that names most of product, meter, GL code and line kind (of as many, in that
    order), then the one of the entity nearest to the customer, then the highest priority, then the newest."""
    named = (
        version.product_id is not None,
        version.meter_id is not None,
        version.gl_code != "",
        version.line_kind != "",
    )
    return (-sum(named), [not name for name in named], -depth, -version.priority, -version.pk.int)


def targets_of(version: AllocationRuleVersion) -> list[Target]:
    """The targets as the rule says them: their keys are codes of departments."""
    return [
        Target(
            kind=TargetKind(target.kind),
            position=target.position,
            key=target.department_code or None,
            percent=target.percent,
            amount=target.amount,
            driver=Driver(target.driver) if target.driver else None,
        )
        for target in version.targets.all()
    ]


def _plain(weight: Decimal) -> str:
    return f"{weight.normalize(EXACT):f}"


def _needs_of(version: AllocationRuleVersion, line: InvoiceLine, customer: BillingEntity) -> dict[int, Need]:
    return {
        target.position: Need(
            Driver(target.driver),
            customer.pk,
            target.driver_meter_id,
            line.service_starts_on,
            line.service_ends_on,
        )
        for target in version.targets.all()
        if target.driver
    }
