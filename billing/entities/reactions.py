"""What entities answers to the hooks of the apps below."""

from billing.access.hooks import accounts_in_reach
from billing.entities.queries import of_entities_within
from billing.entities.reach import accounts_within
from billing.kernel.hooks import rows_in_reach

accounts_in_reach(accounts_within)
rows_in_reach(of_entities_within)
