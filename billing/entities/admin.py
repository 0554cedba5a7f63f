"""Django's autodiscovery; the pages stand in `console`."""

from billing.entities.console import entities

__all__ = ["entities"]
