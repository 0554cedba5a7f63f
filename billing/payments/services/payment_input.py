"""What was asked for, checked for form, and reduced to a digest that tells a repetition from a clash."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.kernel.errors import Invalid
from billing.kernel.money import LARGEST_AMOUNT, Money, total_of
from billing.payments.errors import (
    ApplicationsExceedPayment,
    DuplicateInvoice,
    InvalidPaymentAmount,
    PaymentDateInFuture,
)
from billing.payments.states import PaymentMethodKind

REFERENCE_LENGTH_MAX = 100

Wanted = Sequence[tuple[UUID, Decimal]]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """A payment as it was told to us. `applications` None: whatever is due, the oldest first, of the payer or,
    if one is named, on a consolidated invoice."""

    seller_id: UUID
    customer_id: UUID
    amount: Decimal
    currency: str
    received_on: date
    method: str
    reference: str
    note: str
    applications: Wanted | None
    consolidated_invoice_id: UUID | None = None

    def check(self, *, as_of: date) -> None:
        """Raises Invalid, InvalidPaymentAmount, PaymentDateInFuture, DuplicateInvoice, ApplicationsExceedPayment."""
        if self.method not in PaymentMethodKind.values:
            raise Invalid(f"'{self.method}' is not a method of payment.")
        if not self.reference.strip() or len(self.reference) > REFERENCE_LENGTH_MAX:
            raise Invalid(f"The reference has 1 to {REFERENCE_LENGTH_MAX} characters.")
        require_payable(self.amount, self.currency)
        if self.received_on > as_of:
            raise PaymentDateInFuture(
                f"{self.received_on} is after {as_of}.", received_on=str(self.received_on), as_of=str(as_of)
            )
        if self.applications is None:
            return
        if self.consolidated_invoice_id is not None:
            raise Invalid("A payment is for a consolidated invoice or for the invoices listed, not for both.")
        for _, amount in self.applications:
            require_payable(amount, self.currency)
        if len({invoice_id for invoice_id, _ in self.applications}) != len(self.applications):
            raise DuplicateInvoice("Add up what goes to the same invoice.")
        wanted = total_of([amount for _, amount in self.applications])
        if wanted > self.amount:
            raise ApplicationsExceedPayment(
                f"{wanted} {self.currency} are to be applied of {self.amount} received.",
                wanted=str(wanted),
                received=str(self.amount),
            )

    @property
    def digest(self) -> str:
        """The same for the same content, whatever the order and the trailing zeros."""
        said = [
            "v1", self.seller_id, self.customer_id, _plain(self.amount), self.currency, self.received_on,
            self.method, self.reference, self.note,
            None if self.applications is None
            else sorted([str(invoice_id), _plain(amount)] for invoice_id, amount in self.applications),
            *([self.consolidated_invoice_id] if self.consolidated_invoice_id else []),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()


def require_payable(amount: Decimal, currency: str) -> None:
    """More than nothing, below 10^15, and no more decimals than the currency has. Raises InvalidPaymentAmount."""
    if not amount.is_finite() or not 0 < amount < LARGEST_AMOUNT or not Money(amount, currency).is_payable:
        raise InvalidPaymentAmount(f"{amount} {currency} cannot be paid.")


def _plain(amount: Decimal) -> str:
    return format(amount.normalize(), "f")
