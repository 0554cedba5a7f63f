"""What entities answers when others ask."""

from billing.access.queries import SCOPES
from billing.entities.reach import accounts_within

SCOPES.append(accounts_within)
