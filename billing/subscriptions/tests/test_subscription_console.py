"""The console shows what a verb charges before it is confirmed, and charges exactly that."""

import re
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
import time_machine
from django.urls import reverse

from billing.entities.tests.makers import make_entity, make_grant
from billing.subscriptions import services
from billing.subscriptions.models import (
    Subscription,
    SubscriptionChange,
    SubscriptionCharge,
    SubscriptionItem,
    SubscriptionPeriod,
)
from billing.subscriptions.tests.makers import make_plan, make_price, make_subscription

pytestmark = pytest.mark.django_db
BACKEND = "billing.entities.backends.GrantBackend"


@pytest.fixture(autouse=True)
def _today():
    with time_machine.travel("2024-09-16T12:00:00Z", tick=False):
        yield


@pytest.fixture
def console(client):
    """A console that somebody with `role` over `entity` has signed in to."""

    def sign_in(role, entity):
        client.force_login(make_grant(role=role, entity=entity).user, backend=BACKEND)
        return client

    return sign_in


def page(name: str, *args) -> str:
    return reverse(f"admin:subscriptions_subscription_{name}", args=args)


def everything() -> list:
    return [
        list(rows.objects.order_by("pk").values())
        for rows in (
            Subscription,
            SubscriptionItem,
            SubscriptionPeriod,
            SubscriptionCharge,
            SubscriptionChange,
        )
    ]


def shown_then_confirmed(client, address: str, given: dict) -> tuple[str, str]:
    """The text of the preview, and that of the page after the confirmation."""
    given = given | {"once": uuid4().hex}
    preview = client.post(address, given | {"preview": "yes"}).content.decode()
    seal = re.search(r'name="seen" value="([0-9a-f]{64})"', preview)
    assert seal, "no preview was shown"
    done = client.post(address, given | {"confirm": "yes", "seen": seal[1]}, follow=True)
    return preview, done.content.decode()


def amounts(subscription) -> list[str]:
    return [f"{charge.amount:.2f}" for charge in subscription.charges.order_by("pk")]


CHANGE = {"plan": "", "quantity": "", "when": "now", "on": ""}


def test_a_change_is_shown_before_it_is_charged(console):
    subscription = make_subscription()
    client = console("BO", subscription.seller)
    address = page("action_change_terms", subscription.pk)

    asked = client.get(address).content.decode()
    assert 'name="confirm"' not in asked
    before = everything()
    client.post(address, CHANGE | {"quantity": "4", "preview": "yes"})
    assert everything() == before
    shown, done = shown_then_confirmed(client, address, CHANGE | {"quantity": "4"})

    for text in (
        "-15.00 USD",
        "60.00 USD",
        "45.00 USD together",
        "120.00 USD together",
        "(4 × 30) × 15/30 days = 60",
    ):
        assert text in shown, text
    assert amounts(subscription) == ["30.00", "-15.00", "60.00"]
    assert "Change plan or quantity: done" in done


def test_a_confirmation_without_a_preview_changes_nothing(console):
    subscription = make_subscription()
    client = console("BO", subscription.seller)
    before = everything()

    client.post(
        page("action_change_terms", subscription.pk),
        CHANGE | {"quantity": "4", "confirm": "yes", "once": uuid4().hex},
    )

    assert everything() == before


@pytest.mark.parametrize("what", ["terms", "price"])
def test_what_is_no_longer_what_was_seen_is_shown_anew_and_not_done(console, what):
    subscription = make_subscription()
    client = console("BO", subscription.seller)
    address = page("action_change_terms", subscription.pk)
    given = CHANGE | {"quantity": "4", "use_current_prices": "on", "once": uuid4().hex}
    preview = client.post(address, given | {"preview": "yes"}).content.decode()
    seal = re.search(r'name="seen" value="([0-9a-f]{64})"', preview)[1]
    confirmed = given | {"confirm": "yes", "seen": seal}
    if what == "terms":
        confirmed["quantity"] = "5"
    else:
        product = subscription.plan.items.get().product
        make_price(product=product, unit_price=Decimal(31), starts_on=date(2024, 9, 16))
    before = everything()

    answer = client.post(address, confirmed)

    assert "Look again: this is not what you saw before." in answer.content.decode()
    assert everything() == before


def test_a_preview_of_yesterday_is_shown_anew(console):
    subscription = make_subscription()
    address = page("action_pause", subscription.pk)
    with time_machine.travel("2024-09-16T21:00:00Z", tick=False):
        client = console("BO", subscription.seller)
        preview = client.post(address, {"preview": "yes", "on": ""}).content.decode()
    seal = re.search(r'name="seen" value="([0-9a-f]{64})"', preview)[1]
    before = everything()

    with time_machine.travel("2024-09-17T01:00:00Z", tick=False):
        answer = client.post(address, {"confirm": "yes", "seen": seal, "once": uuid4().hex, "on": ""})

    assert "Look again" in answer.content.decode()
    assert everything() == before


def test_what_somebody_else_changed_meanwhile_is_not_changed_on_top(console):
    """The amounts may be the same and the subscription another: the version decides."""
    subscription = make_subscription()
    client = console("BO", subscription.seller)
    address = page("action_pause", subscription.pk)
    preview = client.post(address, {"preview": "yes", "on": ""}).content.decode()
    seal = re.search(r'name="seen" value="([0-9a-f]{64})"', preview)[1]
    services.pause_subscription(actor="test", subscription_id=subscription.pk, as_of=date(2024, 9, 16))
    before = everything()

    answer = client.post(address, {"confirm": "yes", "seen": seal, "once": uuid4().hex, "on": ""})

    assert answer.status_code == 200
    assert everything() == before


def test_pause_and_resume_show_the_days_that_are_left(console):
    subscription = make_subscription()
    client = console("BO", subscription.seller)

    credited, _ = shown_then_confirmed(client, page("action_pause", subscription.pk), {"on": "2024-09-11"})
    paused = client.get(page("change", subscription.pk)).content.decode()
    charged, _ = shown_then_confirmed(client, page("action_resume", subscription.pk), {"on": ""})

    assert "-20.00 USD" in credited
    assert "until somebody presses Resume…" in paused
    assert "15.00 USD" in charged
    assert amounts(subscription) == ["30.00", "-20.00", "15.00"]


def test_a_cancellation_for_the_end_of_the_period_is_scheduled_and_withdrawn(console):
    subscription = make_subscription()
    client = console("CM", subscription.seller)
    given = {"when": "period_end", "on": "", "reason": "moves away"}

    shown, _ = shown_then_confirmed(client, page("action_cancel", subscription.pk), given)
    waiting = client.get(page("change", subscription.pk)).content.decode()
    client.post(page("action_withdraw", subscription.pk), {"confirm": "yes", "once": uuid4().hex})

    assert "Nothing is charged or credited now." in shown
    assert "It will be canceled on 2024-10-01" in waiting
    subscription.refresh_from_db()
    assert (subscription.state, subscription.cancels_on) == ("active", None)


def test_a_cancellation_without_credit_keeps_what_was_charged(console):
    subscription = make_subscription()
    client = console("FC", subscription.seller)
    given = {"when": "now", "on": "", "keep_unused": "on", "reason": "did not pay"}

    shown_then_confirmed(client, page("action_cancel", subscription.pk), given)

    subscription.refresh_from_db()
    assert subscription.state == "canceled"
    assert amounts(subscription) == ["30.00"]
    assert "the first day no longer covered" in client.get(page("change", subscription.pk)).content.decode()


def test_a_day_and_the_end_of_the_period_exclude_each_other(console):
    subscription = make_subscription()
    client = console("FC", subscription.seller)
    given = {"when": "period_end", "on": "2024-09-20", "reason": "x", "preview": "yes"}

    answer = client.post(page("action_cancel", subscription.pk), given).content.decode()

    assert "Leave it empty for the end of the period." in answer
    assert 'name="seen"' not in answer


def test_a_rule_that_refuses_says_so_in_the_form(console):
    subscription = make_subscription()
    client = console("BO", subscription.seller)

    answer = client.post(
        page("action_change_terms", subscription.pk), CHANGE | {"quantity": "1", "preview": "yes"}
    )

    assert "It already has this plan and quantity." in answer.content.decode()
    assert 'name="confirm"' not in answer.content.decode()


SUBSCRIBE = {
    "quantity": "2",
    "starts_on": "2024-09-16",
    "alignment": "calendar",
    "trial_days": "",
    "reference": "ORDER-7",
}


def test_a_customer_is_subscribed_once_and_charged_what_was_shown(console):
    plan = make_plan()
    customer = make_entity(parent=plan.entity, currency="USD")
    client = console("BO", plan.entity)
    given = SUBSCRIBE | {"customer_code": customer.code, "plan": str(plan.pk)}

    shown, done = shown_then_confirmed(client, page("add"), given)

    assert "30.00 USD" in shown
    assert f"subscribes to {plan}" in done
    subscription = Subscription.objects.get()
    assert (subscription.reference, subscription.quantity) == ("ORDER-7", Decimal(2))
    assert amounts(subscription) == ["30.00"]  # 15 of 30 days of 2 × 30.00


def test_a_second_click_subscribes_nobody_twice(console):
    plan = make_plan()
    customer = make_entity(parent=plan.entity, currency="USD")
    client = console("BO", plan.entity)
    given = SUBSCRIBE | {
        "customer_code": customer.code,
        "plan": str(plan.pk),
        "reference": "",
        "once": uuid4().hex,
    }
    preview = client.post(page("add"), given | {"preview": "yes"}).content.decode()
    seal = re.search(r'name="seen" value="([0-9a-f]{64})"', preview)[1]

    for _ in range(2):
        client.post(page("add"), given | {"confirm": "yes", "seen": seal})

    assert Subscription.objects.count() == 1


def test_customers_and_plans_out_of_reach_cannot_be_named(console):
    mine, theirs = make_plan(), make_plan()
    customer = make_entity(parent=mine.entity, currency="USD")
    foreign = make_entity(parent=theirs.entity, currency="USD")
    client = console("BO", mine.entity)

    for given in (
        {"customer_code": foreign.code, "plan": str(mine.pk)},
        {"customer_code": customer.code, "plan": str(theirs.pk)},
    ):
        answer = client.post(page("add"), SUBSCRIBE | given | {"preview": "yes"}).content.decode()
        assert 'name="seen"' not in answer
    assert theirs.name not in client.get(page("add")).content.decode()
    assert Subscription.objects.count() == 0


def test_whoever_reaches_only_the_customer_chooses_from_its_sellers_plans(console):
    plan = make_plan()
    make_plan()
    customer = make_entity(parent=plan.entity, currency="USD")
    client = console("BO", customer)

    offered = client.get(page("add")).context["form"].fields["plan"].queryset

    assert list(offered) == [plan]


def test_the_page_tells_the_whole_story(console):
    subscription = make_subscription()
    services.change_subscription(
        actor="test",
        subscription_id=subscription.pk,
        as_of=date(2024, 9, 16),
        quantity=Decimal(4),
    )
    client = console("VW", subscription.seller)

    listed = client.get(page("changelist")).content.decode()
    shown = client.get(page("change", subscription.pk)).content.decode()

    assert subscription.plan.name in listed
    for text in (
        "The next period begins on 2024-10-01",
        "2024-09-01 – 2024-09-15",
        "2024-09-16 – …",
        "Credit for days not used",
        "-(1 × 30) × 15/30 days = -15",
        "per unit, version 1",
        "<svg",
        "× 4, 2024-09-16 open",
    ):
        assert text.lower() in shown.lower(), text
    assert "style=" not in re.search(r"<svg viewBox.*?</svg>", shown, re.DOTALL)[0]
    assert "Cancel…" not in shown
    assert client.get(page("add")).status_code == 403
    assert client.get(page("action_change_terms", subscription.pk)).status_code == 403


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"trial_days": 30}, "The trial is free. Charging begins on 2024-10-01."),
        (
            {"starts_on": date(2024, 10, 1), "as_of": date(2024, 9, 16)},
            "The next period begins on 2024-10-01",
        ),
    ],
)
def test_the_page_says_what_happens_next(console, overrides, said):
    subscription = make_subscription(**overrides)
    client = console("VW", subscription.seller)

    assert said in client.get(page("change", subscription.pk)).content.decode()


def test_many_are_previewed_and_changed_together(console):
    plan = make_plan()
    two = [make_subscription(plan=plan) for _ in range(2)]
    client = console("BO", plan.entity)
    given = {"action": "action_pause", "_selected_action": [str(one.pk) for one in two], "on": ""}

    shown, _ = shown_then_confirmed(client, page("changelist"), given)

    assert shown.count("Credit for days not used") == 2
    assert [subscription.state for subscription in Subscription.objects.all()] == ["paused", "paused"]
