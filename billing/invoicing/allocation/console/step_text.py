"""Steps of a step-down as a person writes them: one a line, in their order.

FACILITIES by headcount
IT to OPS 30, LAB 50.5
"""

import re
from decimal import Decimal

from billing.invoicing.errors import StepsUnclear
from billing.invoicing.services import StepTerms

_BY_HEADCOUNT = re.compile(r"(?P<giver>\S+) by headcount")
_TO = re.compile(r"(?P<giver>\S+) to (?P<takers>.+)")
_TAKER = re.compile(r"(?P<code>\S+) (?P<weight>[0-9]{1,12}(?:\.[0-9]{1,12})?)")


def steps_from(text: str) -> list[StepTerms]:
    """Raises StepsUnclear for a line that is not understood."""
    return [_step(" ".join(line.split())) for line in text.splitlines() if line.strip()]


def _step(line: str) -> StepTerms:
    if found := _BY_HEADCOUNT.fullmatch(line):
        return StepTerms(department_code=found["giver"])
    found = _TO.fullmatch(line)
    takers = [_TAKER.fullmatch(taker.strip()) for taker in found["takers"].split(",")] if found else []
    weights = {taker["code"]: Decimal(taker["weight"]) for taker in takers if taker}
    if not takers or len(weights) != len(takers):
        raise StepsUnclear(f"'{line[:100]}' is not understood as a step.")
    return StepTerms(department_code=found["giver"], weights=weights)
