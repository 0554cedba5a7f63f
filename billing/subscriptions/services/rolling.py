from collections.abc import Sequence
from datetime import date
from uuid import UUID

from django.db import transaction

from billing.kernel import audit, events
from billing.subscriptions.account import Account
from billing.subscriptions.events import SubscriptionCanceled, SubscriptionChanged
from billing.subscriptions.models import Subscription
from billing.subscriptions.services.accounts import accounts_of, count_seats_ahead, save_accounts
from billing.subscriptions.states import LIVE, ChangeState, SubscriptionState


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
