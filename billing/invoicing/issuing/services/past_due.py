from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db import transaction

from billing.invoicing import queries
from billing.subscriptions import services as subscriptions
from billing.subscriptions.models import Subscription


@dataclass(frozen=True)
class Reviewed:
    past_due: int
    recovered: int


@transaction.atomic
def review_standing(*, actor: str, as_of: date, subscription_ids: Sequence[UUID] | None = None) -> Reviewed:
    """Have subscriptions fall past due that were charged on an invoice overdue on `as_of`, and recover others.

    All of them, or those named. An invoice is overdue from the day after it is due until it is paid or void.
    Doing it again changes nothing. Returns how many fell past due and how many recovered.
    """
    wanted = queries.standing_to_review(as_of=as_of)
    if subscription_ids is not None:
        wanted = wanted.filter(pk__in=subscription_ids)
    # Looked at again under their locks: a payment that comes in between is seen here, or reviews after us.
    held = [
        one.pk
        for one in Subscription.objects.locked().filter(pk__in=list(wanted.values_list("pk", flat=True)))
    ]
    late = set(queries.subscriptions_overdue(as_of=as_of).filter(pk__in=held).values_list("pk", flat=True))
    return Reviewed(
        past_due=subscriptions.mark_past_due(actor=actor, subscription_ids=sorted(late)),
        recovered=subscriptions.mark_recovered(
            actor=actor, subscription_ids=[pk for pk in held if pk not in late]
        ),
    )
