"""An upgrade in the middle of a month.

Falken subscribes to Starter for 30.00 EUR a month from 1 November, charged in advance. On 16 November, with 15 of 30
days left, it changes to Team for 60.00 EUR:

    unused days of Starter   15/30 of 30.00   −15.00
    remaining days of Team   15/30 of 60.00    30.00
    December of Team                           60.00
    invoice of 1 December                      75.00 + 19 % tax 14.25 = 89.25
"""

from datetime import date
from decimal import Decimal

import pytest

from billing.subscriptions import services as subscriptions
from billing.subscriptions.models import Alignment, Subscription
from billing.subscriptions.states import SubscriptionState
from config.tests.scenarios.steps import (
    ACTOR,
    assert_books_are_sound,
    found_seller,
    offer_plan,
    run_billing,
    sign_customer,
)

pytestmark = pytest.mark.django_db

SUBSCRIBED, UPGRADED, NEXT_MONTH = date(2025, 11, 1), date(2025, 11, 16), date(2025, 12, 1)


@pytest.fixture
def seller():
    return found_seller()


@pytest.fixture
def team(seller):
    return offer_plan(seller, "TEAM", monthly="60")


@pytest.fixture
def subscription(seller) -> Subscription:
    """Starter from 1 November, billed on that day."""
    subscription = subscriptions.create_subscription(
        actor=ACTOR,
        entity_id=sign_customer(seller, "FALKEN").pk,
        plan_id=offer_plan(seller, "STARTER", monthly="30").pk,
        starts_on=SUBSCRIBED,
        as_of=SUBSCRIBED,
        alignment=Alignment.CALENDAR,
    )
    [first] = run_billing(seller, on=SUBSCRIBED)
    assert first.total_amount == Decimal("35.70")
    return subscription


def upgrade(subscription, team):
    return subscriptions.change_subscription(
        actor=ACTOR, subscription_id=subscription.pk, plan_id=team.pk, as_of=UPGRADED
    )


def charges_of(subscription) -> list[tuple[date, Decimal]]:
    """First day and amount of every charge."""
    return sorted(subscription.charges.values_list("service_starts_on", "amount"))


def test_the_preview_says_what_will_be_charged(subscription, team):
    before = charges_of(subscription)

    preview = subscriptions.preview_change(subscription_id=subscription.pk, plan_id=team.pk, as_of=UPGRADED)

    assert (preview.total, preview.next_total) == (Decimal("15.00"), Decimal("60.00"))
    assert charges_of(subscription) == before == [(SUBSCRIBED, Decimal("30.00"))]


def test_an_upgrade_is_prorated_by_the_day(subscription, team):
    upgraded = upgrade(subscription, team)

    assert (upgraded.plan, upgraded.state) == (team, SubscriptionState.ACTIVE)
    assert charges_of(subscription) == [
        (SUBSCRIBED, Decimal("30.00")),
        (UPGRADED, Decimal("-15.00")),
        (UPGRADED, Decimal("30.00")),
    ]
    assert_books_are_sound()


def test_the_next_invoice_has_credit_remainder_and_next_month(seller, subscription, team):
    upgrade(subscription, team)

    [invoice] = run_billing(seller, on=NEXT_MONTH)

    assert sorted(invoice.lines.values_list("service_starts_on", "net_amount")) == [
        (UPGRADED, Decimal("-15.00")),
        (UPGRADED, Decimal("30.00")),
        (NEXT_MONTH, Decimal("60.00")),
    ]
    assert (invoice.net_amount, invoice.tax_amount) == (Decimal("75.00"), Decimal("14.25"))
    assert invoice.total_amount == Decimal("89.25")
    assert_books_are_sound()
