"""The ledger's public face for writing."""

from billing.ledger.services.chart import accounts_of
from billing.ledger.services.posting import post_entries, post_entry

__all__ = ["accounts_of", "post_entries", "post_entry"]
