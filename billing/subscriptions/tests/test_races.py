"""Two at once on one subscription: the second sees what the first has done."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import transaction

from billing.kernel.errors import IllegalMove
from billing.kernel.tests.races import start_rival
from billing.subscriptions import services
from billing.subscriptions.errors import NothingToChange
from billing.subscriptions.models import SubscriptionCharge
from billing.subscriptions.tests.makers import make_subscription

pytestmark = pytest.mark.django_db(transaction=True)

MIDDLE, NEXT = date(2024, 9, 11), date(2024, 10, 1)


def test_two_cancellations_credit_once():
    subscription = make_subscription()

    def cancel():
        return services.cancel_subscription(actor="test", subscription_id=subscription.pk, as_of=MIDDLE)

    with transaction.atomic():
        cancel()
        rival = start_rival(cancel)

    with pytest.raises(IllegalMove):
        rival.result()
    assert SubscriptionCharge.objects.filter(kind="credit").count() == 1


def test_two_changes_to_the_same_quantity_charge_once():
    subscription = make_subscription()

    def change():
        return services.change_subscription(
            actor="test", subscription_id=subscription.pk, quantity=Decimal(2), as_of=MIDDLE
        )

    with transaction.atomic():
        change()
        rival = start_rival(change)

    with pytest.raises(NothingToChange):
        rival.result()
    assert SubscriptionCharge.objects.filter(kind="proration").count() == 1


def test_two_runs_open_a_period_once():
    subscription = make_subscription()

    def roll():
        return services.roll_forward(
            actor="test", seller_id=subscription.seller_id, entity_ids=[subscription.entity_id], as_of=NEXT
        )

    with transaction.atomic():
        assert roll() == 1
        rival = start_rival(roll)

    assert rival.result() == 0
    assert SubscriptionCharge.objects.filter(kind="recurring").count() == 2


def test_a_run_and_a_cancellation_come_one_after_the_other():
    subscription = make_subscription()

    with transaction.atomic():
        services.cancel_subscription(actor="test", subscription_id=subscription.pk, as_of=MIDDLE)
        rival = start_rival(
            lambda: services.roll_forward(
                actor="test",
                seller_id=subscription.seller_id,
                entity_ids=[subscription.entity_id],
                as_of=NEXT,
            )
        )

    assert rival.result() == 0
    assert SubscriptionCharge.objects.filter(kind="recurring").count() == 1
