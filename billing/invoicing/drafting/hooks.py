"""Where the lines of a draft come from. Higher apps add what they know to be owed (late fees; contracts: minimums)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from django.db import models

from billing.invoicing.drafting.services.charge_lines import charge_lines
from billing.invoicing.drafting.services.usage_lines import usage_lines
from billing.invoicing.invoices.core.draft_lines import DraftLine
from billing.invoicing.models import ChargeClaim, DiscountUse, UsageClaim

# Called with `seller_id`, `customers` (by id, locked) and `as_of`, within the transaction of the drafting.
Source = Callable[..., Sequence[DraftLine]]
SOURCES: list[Source] = []
# Tables that say which line bills what, with `line` and `released_at`. Rows of a void invoice are released with it.
CLAIMS: list[type[models.Model]] = []
# By what a derivation names as `from`: the exact amounts of lines, by their ids, once more from what is stored.
Recomputation = Callable[[Collection[UUID]], Mapping[UUID, Decimal]]
RECOMPUTATIONS: dict[str, Recomputation] = {}


def bills(source: Source) -> Source:
    """Register what hands lines to the drafting. A fixed number of queries, however many customers, please.

    Drafts are taken back and made anew: a source says the same again until its lines are issued. It raises a
    DomainError when a customer cannot be billed. What a line bills only once has a row of `claims` with it.
    """
    SOURCES.append(source)
    return source


def claims(table: type[models.Model]) -> type[models.Model]:
    """Register a table of claims; its triggers are those of `triggers.claims_follow_invoice`."""
    CLAIMS.append(table)
    return table


def recomputes(name: str) -> Callable[[Recomputation], Recomputation]:
    """Register how lines whose derivation is `from` `name` are recomputed."""

    def register(recomputation: Recomputation) -> Recomputation:
        RECOMPUTATIONS[name] = recomputation
        return recomputation

    return register


bills(charge_lines)
bills(usage_lines)
claims(UsageClaim)
claims(ChargeClaim)
claims(DiscountUse)
