"""The ledger's public face for writing."""

from billing.ledger.services.chart import accounts_of
from billing.ledger.services.periods import (
    begin_closing_period,
    close_period,
    keep_period_open,
    reopen_period,
)
from billing.ledger.services.posting import post_entries, post_entry
from billing.ledger.services.reversals import reverse_entries, reverse_entry

__all__ = [
    "accounts_of",
    "begin_closing_period",
    "close_period",
    "keep_period_open",
    "post_entries",
    "post_entry",
    "reopen_period",
    "reverse_entries",
    "reverse_entry",
]
