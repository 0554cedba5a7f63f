"""Where the lines of a draft come from. Higher apps add what they know to be owed (contracts: minimums, fees)."""

from collections.abc import Callable, Sequence

from billing.invoicing.sources.charges import charge_lines
from billing.invoicing.sources.making import DraftLine
from billing.invoicing.sources.usage import usage_lines

# Called with `seller_id`, `customers` (by id, locked) and `as_of`, within the transaction of the drafting.
Source = Callable[..., Sequence[DraftLine]]
SOURCES: list[Source] = []


def bills(source: Source) -> Source:
    """Register what hands lines to the drafting. A fixed number of queries, however many customers, please.

    Drafts are taken back and made anew: a source says the same again until its lines are issued. It raises a
    DomainError when a customer cannot be billed.
    """
    SOURCES.append(source)
    return source


bills(charge_lines)
bills(usage_lines)
