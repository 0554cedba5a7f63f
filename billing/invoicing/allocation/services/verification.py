"""Shares by rules once more: the targets of their version, and the weights kept with them, on what they sum to."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from billing.invoicing.allocation.core.rules import Target, divide
from billing.invoicing.allocation.services.allocation import NOBODY
from billing.invoicing.allocation.services.rule_matching import targets_of
from billing.invoicing.models import AllocationBasis, CostAllocation
from billing.kernel.money import total_of


@dataclass(frozen=True, kw_only=True)
class Redivided:
    """A department whose share does not come out as it was posted. None: it has no share, or should have none."""

    line_id: UUID
    department: str
    posted: Decimal | None
    redivided: Decimal | None


def redivided_of(line_ids: Collection[UUID]) -> Iterator[Redivided]:
    """What differs among all shares that rules ever made of the lines, reversed ones too; three statements."""
    shares = (
        CostAllocation.objects.filter(
            line__in=line_ids, basis=AllocationBasis.RULE, division__isnull=False, reverses__isnull=True
        )
        .select_related("department", "rule_version")
        .prefetch_related("rule_version__targets")
        .order_by("pk")
    )
    # What a run put back is a division of its own run, though its figures are those of the first.
    divisions: dict[tuple, list[CostAllocation]] = defaultdict(list)
    for share in shares:
        divisions[share.line_id, share.division, share.run_id].append(share)
    for together in divisions.values():
        yield from _differing(together)


def _differing(shares: Sequence[CostAllocation]) -> Iterator[Redivided]:
    codes = {share.department_id: share.department.code for share in shares}
    posted = {share.department_id: share.net_amount for share in shares}
    anew = _divided(shares)
    for department_id in sorted(posted.keys() | anew.keys()):
        before, after = posted.get(department_id), anew.get(department_id)
        if before != after:
            yield Redivided(
                line_id=shares[0].line_id,
                department=codes.get(department_id, "a department without a share"),
                posted=before,
                redivided=after,
            )


def _divided(shares: Sequence[CostAllocation]) -> dict[UUID, Decimal]:
    by_code = {share.department.code.lower(): share.department_id for share in shares}
    targets = [_of_department(target, by_code) for target in targets_of(shares[0].rule_version)]
    weights = {target.position: dict[UUID, Decimal]() for target in targets if target.driver}
    for share in shares:
        for position, kept in (share.weights or {}).items():
            weights[int(position)][share.department_id] = Decimal(kept["weight"])
    explained = {target.key for target in targets}.union(*weights.values())
    return divide(
        total_of([share.net_amount for share in shares]),
        shares[0].currency,
        targets=targets,
        weights=weights,
        # Who takes what no driver weighs, the default department of that day, is neither named nor weighed.
        otherwise=next((pk for pk in by_code.values() if pk not in explained), NOBODY),
    )


def _of_department(target: Target, by_code: dict[str, UUID]) -> Target:
    return target if target.key is None else replace(target, key=by_code.get(target.key.lower(), NOBODY))
