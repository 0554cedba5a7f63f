"""Who owes something that only a higher app knows of, so that a billing run does not pass it by."""

from collections.abc import Callable

from django.db.models import QuerySet

# Called with `seller_id` and `as_of`; the ids of customers, as a subquery.
Owing = Callable[..., QuerySet]
OWING: list[Owing] = []


def owes(owing: Owing) -> Owing:
    """Register who is billed although neither usage nor a subscription, a charge or a draft says so."""
    OWING.append(owing)
    return owing
