"""Django's autodiscovery; the pages stand in `console`."""

from billing.dunning.console import cases, mails, policies

__all__ = ["cases", "mails", "policies"]
