from dataclasses import dataclass
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class DunningStepTaken(Event):
    """`effect` is notify, suspend, late_fee or stop; a stop hands the invoice over to collection."""

    name = "dunning.step_taken"
    invoice_id: UUID
    notice_id: UUID
    effect: str
