import logging
from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from django.db import transaction

from billing.entities.models import BillingEntity
from billing.kernel import audit, events
from billing.kernel.errors import DomainError, Unavailable
from billing.kernel.retrying import retrying
from billing.subscriptions.account import Account
from billing.subscriptions.events import SubscriptionCanceled, SubscriptionChanged
from billing.subscriptions.licensed import day_at
from billing.subscriptions.models import Subscription
from billing.subscriptions.services.accounts import accounts_of, count_seats_ahead, save_accounts
from billing.subscriptions.states import LIVE, ChangeState, SubscriptionState

CHUNK = 500
logger = logging.getLogger(__name__)


@transaction.atomic
def roll_forward(*, actor: str, seller_id: UUID, entity_ids: Sequence[UUID], as_of: date) -> int:
    """Close every period of these customers' subscriptions that is over by `as_of` and open the next ones.

    Charges what falls due, applies what was scheduled, ends trials. Doing it again changes nothing.
    Returns how many subscriptions moved on. Raises PlanNotPriced for a scheduled plan without a price.
    """
    due = list(
        Subscription.objects.locked()
        .filter(seller_id=seller_id, entity_id__in=entity_ids, next_on__lte=as_of, state__in=LIVE)
        .values_list("pk", flat=True)
    )
    accounts = accounts_of(due)
    count_seats_ahead(accounts)
    for account in accounts:
        account.roll_forward(as_of)
    save_accounts(accounts)
    audit.record_all(
        [
            audit.line(
                actor=actor,
                action="subscription.rolled_forward",
                subject=account.subscription,
                detail={"next_on": account.subscription.next_on, "charges": len(account.charges)},
            )
            for account in accounts
        ]
    )
    events.publish_all([event for account in accounts for event in _told(account)])
    return len(accounts)


def _told(account: Account) -> list[events.Event]:
    subscription = account.subscription
    about = {"subscription_id": subscription.pk, "entity_id": subscription.entity_id}
    told = []
    if account.scheduled and account.scheduled.state == ChangeState.APPLIED:
        told.append(SubscriptionChanged(**about))
    if subscription.state == SubscriptionState.CANCELED:
        told.append(SubscriptionCanceled(**about))
    return told


def roll_everything_forward(*, actor: str, at: datetime) -> tuple[int, list[UUID]]:
    """Roll every subscription forward to the day it is at its seller's; how many moved, and whose could not.

    In chunks of one transaction each. A customer that is refused stops nobody else, and is tried again next
    time. Raises Unavailable when others are in the way for long.
    """
    moved, refused = 0, []
    for seller in BillingEntity.objects.filter(is_seller=True).order_by("code"):
        today = day_at(seller, at)
        due = list(
            Subscription.objects.filter(seller=seller, next_on__lte=today, state__in=LIVE)
            .order_by("entity_id")
            .values_list("entity_id", flat=True)
            .distinct()
        )
        for first in range(0, len(due), CHUNK):
            done, failed = _roll_chunk(actor, seller.pk, due[first : first + CHUNK], today)
            moved, refused = moved + done, [*refused, *failed]
    return moved, refused


def _roll_chunk(
    actor: str, seller_id: UUID, entity_ids: Sequence[UUID], as_of: date
) -> tuple[int, list[UUID]]:
    try:
        return _roll_patiently(actor, seller_id, entity_ids, as_of), []
    except Unavailable:
        raise
    except DomainError:
        if len(entity_ids) == 1:
            logger.exception("subscriptions cannot roll forward", extra={"entity": str(entity_ids[0])})
            return 0, list(entity_ids)
    parts = [_roll_chunk(actor, seller_id, [entity_id], as_of) for entity_id in entity_ids]
    return sum(done for done, _ in parts), [entity_id for _, failed in parts for entity_id in failed]


@retrying
def _roll_patiently(actor: str, seller_id: UUID, entity_ids: Sequence[UUID], as_of: date) -> int:
    return roll_forward(actor=actor, seller_id=seller_id, entity_ids=entity_ids, as_of=as_of)
