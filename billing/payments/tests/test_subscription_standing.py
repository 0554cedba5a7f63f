"""A subscription is past due while an invoice it was charged on is overdue, and not a day longer."""

import io
from datetime import date, timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.db import transaction

from billing.invoicing import services
from billing.invoicing.models import Invoice
from billing.invoicing.reactions import review_standing
from billing.invoicing.tasks import mark_past_due
from billing.invoicing.tests.makers import make_subscriber, make_tax_rate
from billing.kernel.models import AuditEntry, EventDelivery
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.races import start_rival
from billing.payments.tests.makers import make_payment
from billing.subscriptions import services as subscriptions
from billing.subscriptions.models import Subscription

pytestmark = pytest.mark.django_db
SEP, OCT = date(2024, 9, 1), date(2024, 10, 1)


def billed(subscription: Subscription, as_of: date = SEP) -> Invoice:
    drafts = services.draft_invoices(
        actor="user:1",
        seller_id=subscription.seller_id,
        customer_ids=[subscription.entity_id],
        as_of=as_of,
    )
    services.issue_invoices(actor="user:1", invoice_ids=[d.pk for d in drafts], issued_on=as_of)
    as_if_committed()
    return Invoice.objects.get(pk=drafts[0].pk)


def state_of(subscription: Subscription) -> str:
    return Subscription.objects.values_list("state", flat=True).get(pk=subscription.pk)


def review(as_of: date, **which) -> tuple[int, int]:
    reviewed = services.review_standing(actor="test", as_of=as_of, **which)
    return reviewed.past_due, reviewed.recovered


def pay(invoice: Invoice) -> None:
    make_payment(
        seller=invoice.seller,
        customer=invoice.customer,
        amount=invoice.total_amount,
        applications=[(invoice.pk, invoice.total_amount)],
    )


@pytest.fixture
def late() -> tuple[Subscription, Invoice, date]:
    """A subscription with an issued invoice, and the first day on which that is overdue."""
    make_tax_rate()
    subscription = make_subscriber()
    invoice = billed(subscription)
    return subscription, invoice, invoice.due_on + timedelta(days=1)


def test_it_falls_past_due_the_day_after_its_invoice_was_due(late):
    subscription, invoice, overdue_on = late

    assert review(invoice.due_on) == (0, 0)
    assert state_of(subscription) == "active"
    assert review(overdue_on) == (1, 0)
    assert state_of(subscription) == "past_due"
    assert review(overdue_on) == (0, 0)
    assert AuditEntry.objects.filter(action="subscription.fall_past_due").count() == 1


def test_somebody_elses_invoice_does_not_matter(late):
    subscription, _, overdue_on = late
    punctual = make_subscriber(subscription.seller)

    review(overdue_on)

    assert (state_of(subscription), state_of(punctual)) == ("past_due", "active")


def test_it_recovers_once_none_of_its_invoices_is_overdue(late):
    subscription, first, _ = late
    second = billed(subscription, as_of=OCT)
    overdue_on = second.due_on + timedelta(days=1)
    assert review(overdue_on) == (1, 0)

    pay(first)
    assert review(overdue_on) == (0, 0)
    pay(second)
    assert review(overdue_on) == (0, 1)
    assert state_of(subscription) == "active"


def test_the_payment_itself_lets_it_recover(late):
    subscription, invoice, overdue_on = late
    review(overdue_on)

    pay(invoice)
    delivery = EventDelivery.objects.get(subscriber="invoicing.review_standing")
    with time_machine.travel(overdue_on, tick=False):
        review_standing(delivery.event.payload)

    assert state_of(subscription) == "active"


def test_a_void_invoice_is_overdue_no_more(late):
    subscription, invoice, overdue_on = late
    review(overdue_on)

    services.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=overdue_on, reason="wrong")
    delivery = EventDelivery.objects.get(subscriber="invoicing.review_standing_of_void")
    with time_machine.travel(overdue_on, tick=False):
        review_standing(delivery.event.payload)

    assert state_of(subscription) == "active"


@pytest.mark.parametrize("verb", ["pause_subscription", "cancel_subscription"])
def test_what_is_paused_or_has_ended_stays_so(late, verb):
    subscription, _, overdue_on = late
    getattr(subscriptions, verb)(actor="test", subscription_id=subscription.pk, as_of=SEP)
    before = state_of(subscription)

    assert review(overdue_on) == (0, 0)
    assert state_of(subscription) == before


def test_only_those_named_are_reviewed(late):
    subscription, _, overdue_on = late

    assert review(overdue_on, subscription_ids=[]) == (0, 0)
    assert review(overdue_on, subscription_ids=[subscription.pk]) == (1, 0)


def test_the_sweep_and_the_command_do_the_same(late):
    subscription, invoice, overdue_on = late
    said = io.StringIO()

    call_command("mark_past_due", as_of=str(overdue_on), dry_run=True, stdout=said)
    assert state_of(subscription) == "active"
    call_command("mark_past_due", as_of=str(overdue_on), stdout=said)
    assert state_of(subscription) == "past_due"
    assert said.getvalue().splitlines() == [
        f"{subscription.entity.code} {subscription} is active",
        f"late=1 as_of={overdue_on}",
        f"past_due=1 recovered=0 as_of={overdue_on}",
    ]
    pay(invoice)
    with time_machine.travel(overdue_on, tick=False):
        mark_past_due()
    assert state_of(subscription) == "active"


def test_many_are_reviewed_in_as_many_queries_as_one(late, django_assert_num_queries):
    subscription, _, overdue_on = late
    review(overdue_on)
    for _ in range(3):
        billed(make_subscriber(subscription.seller))

    with django_assert_num_queries(12):
        assert review(overdue_on) == (3, 0)


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_comes_in_meanwhile_is_seen():
    """The review has seen it overdue, waits for the subscription, and looks again once it has it."""
    make_tax_rate()
    subscription = make_subscriber()
    invoice = billed(subscription)
    overdue_on = invoice.due_on + timedelta(days=1)

    with transaction.atomic():
        Subscription.objects.locked().get(pk=subscription.pk)
        rival = start_rival(lambda: review(overdue_on))
        pay(invoice)

    assert rival.result(timeout=10) == (0, 0)
    assert state_of(subscription) == "active"
