"""Targets of a rule as a person writes them: one a line.

IT 60 %
LAB 30.00 EUR
by headcount 25 %
by seats 5 %
by usage of storage-gb 10 %
OPS remainder
"""

import re
from decimal import Decimal
from uuid import UUID

from billing.invoicing.allocation.core.rules import Driver, TargetKind
from billing.invoicing.errors import TargetsUnclear
from billing.invoicing.models import AllocationTarget
from billing.invoicing.services import TargetTerms
from billing.kernel.money import plain

_FIGURE = r"(?P<figure>[0-9]{1,15}(?:\.[0-9]{1,4})?)"
_PERCENT = re.compile(rf"(?P<code>\S+) {_FIGURE} ?%")
_FIXED = re.compile(rf"(?P<code>\S+) {_FIGURE} (?P<currency>[A-Z]{{3}})")
_DRIVER = re.compile(rf"by (?P<driver>headcount|seats) {_FIGURE} ?%")
_USAGE = re.compile(rf"by usage of (?P<meter>\S+) {_FIGURE} ?%")
_REMAINDER = re.compile(r"(?P<code>\S+) remainder")


def targets_from(text: str, *, meters: dict[str, UUID]) -> list[TargetTerms]:
    """`meters` are those that may be named, by code. Raises TargetsUnclear for a line that is not understood."""
    return [_target(" ".join(line.split()), meters) for line in text.splitlines() if line.strip()]


def text_of(target: AllocationTarget) -> str:
    """What `targets_from` reads as the same target."""
    if target.kind == TargetKind.PERCENT:
        return f"{target.department_code} {plain(target.percent)} %"
    if target.kind == TargetKind.FIXED:
        return f"{target.department_code} {plain(target.amount).replace(',', '')} {target.currency}"
    if target.kind == TargetKind.REMAINDER:
        return f"{target.department_code} remainder"
    what = f"usage of {target.driver_meter.code}" if target.driver == Driver.USAGE else target.driver
    return f"by {what} {plain(target.percent)} %"


def _target(line: str, meters: dict[str, UUID]) -> TargetTerms:
    if found := _DRIVER.fullmatch(line):
        return TargetTerms(kind=TargetKind.DRIVER, driver=found["driver"], percent=Decimal(found["figure"]))
    if found := _USAGE.fullmatch(line):
        if found["meter"] not in meters:
            raise TargetsUnclear(f"There is no meter '{found['meter']}'.")
        return TargetTerms(
            kind=TargetKind.DRIVER,
            driver=Driver.USAGE,
            driver_meter_id=meters[found["meter"]],
            percent=Decimal(found["figure"]),
        )
    if found := _PERCENT.fullmatch(line):
        return TargetTerms(
            kind=TargetKind.PERCENT, department_code=found["code"], percent=Decimal(found["figure"])
        )
    if found := _FIXED.fullmatch(line):
        return TargetTerms(
            kind=TargetKind.FIXED,
            department_code=found["code"],
            amount=Decimal(found["figure"]),
            currency=found["currency"],
        )
    if found := _REMAINDER.fullmatch(line):
        return TargetTerms(kind=TargetKind.REMAINDER, department_code=found["code"])
    raise TargetsUnclear(f"'{line[:100]}' is not understood as a target.")
