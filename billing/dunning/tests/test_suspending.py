"""A suspended service: the subscriptions charged on the invoice are paused, and go on once it is settled."""

from datetime import date, timedelta

import pytest

from billing.dunning import services
from billing.dunning.models import DunningCase, DunningSuspension
from billing.dunning.reactions import close_case
from billing.dunning.tests.makers import make_policy, run
from billing.invoicing import services as invoicing
from billing.invoicing.tests.makers import make_subscriber, make_tax_rate
from billing.kernel.models import EventDelivery
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.payments.tests.test_subscription_standing import billed, pay, state_of
from billing.subscriptions import services as subscriptions
from billing.subscriptions.tests.makers import make_subscription

pytestmark = pytest.mark.django_db

SEP, OCT = date(2024, 9, 1), date(2024, 10, 1)
STEPS = [{"days_after_due": 10, "effect": "suspend"}]


@pytest.fixture
def subscription():
    make_tax_rate()
    subscription = make_subscriber()
    make_policy(seller=subscription.seller, steps=STEPS, amounts=[])
    return subscription


@pytest.fixture
def invoice(subscription):
    return billed(subscription)


def suspended_on(invoice) -> date:
    """The day of the step, which is taken."""
    day = invoice.due_on + timedelta(days=10)
    run(invoice.seller, day)
    return day


def closed(invoice, as_of: date) -> None:
    services.close_cases(actor="test", invoice_ids=[invoice.pk], as_of=as_of)


def test_what_is_charged_on_the_invoice_is_paused_and_resumed_when_it_is_paid(subscription, invoice):
    invoicing.review_standing(actor="test", as_of=invoice.due_on + timedelta(days=1))
    other = make_subscription(
        entity=subscription.entity, plan=subscription.plan, currency=subscription.currency
    )
    assert state_of(subscription) == "past_due"

    day = suspended_on(invoice)

    assert (state_of(subscription), state_of(other)) == ("paused", "active")
    assert DunningSuspension.objects.get().suspended_on == day
    pay(invoice)
    closed(invoice, day + timedelta(days=1))
    closed(invoice, day + timedelta(days=2))
    assert state_of(subscription) == "active"
    assert DunningSuspension.objects.get().lifted_on == day + timedelta(days=1)
    assert DunningCase.objects.get().closed_because == "paid"
    assert_invariants_hold()


def test_the_payment_itself_closes_the_case(subscription, invoice):
    suspended_on(invoice)
    pay(invoice)

    [delivery] = EventDelivery.objects.filter(subscriber="dunning.close_paid")
    close_case(delivery.event.payload)

    assert (state_of(subscription), DunningCase.objects.get().state) == ("active", "closed")


def test_a_case_that_is_still_open_is_not_closed(subscription, invoice):
    day = suspended_on(invoice)

    closed(invoice, day)

    assert (state_of(subscription), DunningCase.objects.get().state) == ("paused", "open")


def test_what_is_written_off_was_not_paid_and_stays_suspended(subscription, invoice):
    day = suspended_on(invoice)
    invoicing.write_off_invoice(actor="test", invoice_id=invoice.pk, written_off_on=day, reason="insolvent")

    closed(invoice, day)

    assert state_of(subscription) == "paused"
    assert DunningSuspension.objects.get().lifted_on is None
    assert DunningCase.objects.get().closed_because == "uncollectible"


def test_it_stays_paused_until_the_last_of_its_invoices_is_settled(subscription, invoice):
    second = billed(subscription, OCT)
    day = second.due_on + timedelta(days=10)
    run(invoice.seller, day)
    assert DunningSuspension.objects.count() == 2

    pay(invoice)
    closed(invoice, day)
    assert state_of(subscription) == "paused"
    pay(second)
    closed(second, day + timedelta(days=1))

    assert state_of(subscription) == "active"
    assert_invariants_hold()


def test_what_somebody_else_paused_is_none_of_our_business(subscription, invoice):
    day = invoice.due_on + timedelta(days=9)
    subscriptions.pause_subscription(actor="user:1", subscription_id=subscription.pk, as_of=day)

    taken = suspended_on(invoice)
    pay(invoice)
    closed(invoice, taken)

    assert state_of(subscription) == "paused"
    assert DunningSuspension.objects.count() == 0


def test_what_was_canceled_meanwhile_stays_so(subscription, invoice):
    day = suspended_on(invoice)
    subscriptions.cancel_subscription(
        actor="user:1", subscription_id=subscription.pk, as_of=day, at_period_end=False
    )
    pay(invoice)

    closed(invoice, day)

    assert state_of(subscription) == "canceled"
