from dataclasses import dataclass
from uuid import UUID

from billing.kernel.events import Event


@dataclass(frozen=True, kw_only=True)
class PaymentSucceeded(Event):
    name = "payment.succeeded"
    payment_id: UUID
