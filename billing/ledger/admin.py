"""Django's autodiscovery; the pages stand in `console`."""

from billing.ledger.console import ledger

__all__ = ["ledger"]
