"""The public face of payments for writing."""

from billing.payments.services.applying import apply_payment
from billing.payments.services.receiving import record_payment
from billing.payments.services.stating import render_statement

__all__ = ["apply_payment", "record_payment", "render_statement"]
