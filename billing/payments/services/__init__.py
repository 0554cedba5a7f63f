"""The public face of payments for writing."""

from billing.payments.services.applications import apply_payment
from billing.payments.services.payments import record_payment
from billing.payments.services.statements import render_statement

__all__ = ["apply_payment", "record_payment", "render_statement"]
