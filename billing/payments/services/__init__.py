"""The public face of payments for writing."""

from billing.payments.services.applying import apply_payment
from billing.payments.services.receiving import record_payment

__all__ = ["apply_payment", "record_payment"]
