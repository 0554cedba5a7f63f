"""From the first day to the last: what a subscription charges, worked out by hand."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection

from billing.entities.tests.makers import make_entity
from billing.kernel.errors import IllegalMove
from billing.subscriptions import services, tasks
from billing.subscriptions.errors import (
    DayInFuture,
    DayOutsidePeriod,
    NotChangeable,
    NothingScheduled,
    NothingToChange,
    PlanNotPriced,
    PlanOfAnotherSeller,
)
from billing.subscriptions.models import (
    Alignment,
    Basis,
    Subscription,
    SubscriptionCharge,
    SubscriptionItem,
    SubscriptionPeriod,
    Timing,
)
from billing.subscriptions.states import SubscriptionState
from billing.subscriptions.tests.makers import make_plan, make_price, make_product, make_subscription

pytestmark = pytest.mark.django_db


def charges_of(subscription: Subscription) -> list[tuple[str, str, date, date]]:
    """Kind, amount and days of every charge, as they came."""
    return [
        (charge.kind, f"{charge.amount:.2f}", charge.service_starts_on, charge.service_ends_on)
        for charge in subscription.charges.order_by("id")
    ]


def everything_of(subscription: Subscription) -> list:
    return [
        list(Subscription.objects.filter(pk=subscription.pk).values()),
        *(
            list(rows.objects.filter(subscription=subscription).order_by("pk").values())
            for rows in (SubscriptionItem, SubscriptionPeriod, SubscriptionCharge)
        ),
    ]


def roll(subscription: Subscription, as_of: date) -> int:
    return services.roll_forward(
        actor="test", seller_id=subscription.seller_id, entity_ids=[subscription.entity_id], as_of=as_of
    )


SEP, OCT, NOV, DEC = date(2024, 9, 1), date(2024, 10, 1), date(2024, 11, 1), date(2024, 12, 1)


def test_a_monthly_subscription_is_charged_in_advance_on_the_first_day_of_each_period():
    subscription = make_subscription(quantity=Decimal(2))

    assert charges_of(subscription) == [("recurring", "60.00", SEP, OCT)]
    assert roll(subscription, date(2024, 9, 30)) == 0
    assert roll(subscription, NOV) == 1
    assert charges_of(subscription)[1:] == [
        ("recurring", "60.00", OCT, NOV),
        ("recurring", "60.00", NOV, DEC),
    ]


def test_rolling_forward_again_changes_nothing():
    subscription = make_subscription()
    roll(subscription, NOV)
    before = everything_of(subscription)

    assert roll(subscription, NOV) == 0

    assert everything_of(subscription) == before


def test_an_anchor_on_the_31st_clamps_and_comes_back():
    subscription = make_subscription(starts_on=date(2024, 1, 31))
    roll(subscription, date(2024, 5, 1))

    assert [days for *_, days, _ in charges_of(subscription)] == [
        date(2024, 1, 31),
        date(2024, 2, 29),
        date(2024, 3, 31),
        date(2024, 4, 30),
    ]


def test_a_calendar_month_begun_in_the_middle_is_charged_for_its_days():
    subscription = make_subscription(starts_on=date(2024, 9, 16), alignment=Alignment.CALENDAR)
    roll(subscription, OCT)

    # 15 of 30 days: 30.00 × 15 / 30 = 15.00
    assert charges_of(subscription) == [
        ("recurring", "15.00", date(2024, 9, 16), OCT),
        ("recurring", "30.00", OCT, NOV),
    ]


def test_a_trial_charges_nothing_and_the_cycle_begins_when_it_ends():
    subscription = make_subscription(trial_days=14)
    assert subscription.state == SubscriptionState.TRIALING
    assert charges_of(subscription) == []

    roll(subscription, date(2024, 9, 15))

    subscription.refresh_from_db()
    assert subscription.state == SubscriptionState.ACTIVE
    assert charges_of(subscription) == [("recurring", "30.00", date(2024, 9, 15), date(2024, 10, 15))]
    assert list(
        subscription.periods.order_by("starts_on").values_list("starts_on", "ends_on", "is_trial")
    ) == [
        (SEP, date(2024, 9, 15), True),
        (date(2024, 9, 15), date(2024, 10, 15), False),
    ]


def test_arrears_are_charged_when_the_period_is_over_and_a_set_up_fee_once():
    seller = make_entity(is_seller=True)
    base, fee = make_product(entity=seller), make_product(entity=seller)
    plan = make_plan(
        entity=seller,
        items=[(base, Timing.IN_ARREARS, Basis.QUANTITY), (fee, Timing.ONE_OFF, Basis.FIXED)],
        prices=[{"unit_price": Decimal("7.5")}, {"model": "flat", "flat_amount": Decimal(99)}],
    )
    subscription = make_subscription(plan=plan, quantity=Decimal(4))
    assert charges_of(subscription) == [("one_off", "99.00", SEP, date(2024, 9, 2))]

    roll(subscription, NOV)

    assert charges_of(subscription)[1:] == [
        ("recurring", "30.00", SEP, OCT),
        ("recurring", "30.00", OCT, NOV),
    ]


def test_an_upgrade_now_credits_and_charges_the_days_left_over_the_whole_period():
    subscription = make_subscription(quantity=Decimal(1))

    services.change_subscription(
        actor="test", subscription_id=subscription.pk, quantity=Decimal(3), as_of=date(2024, 9, 11)
    )

    # 20 of 30 days are left: −30.00 × 20/30 = −20.00, +90.00 × 20/30 = 60.00
    assert charges_of(subscription)[1:] == [
        ("credit", "-20.00", date(2024, 9, 11), OCT),
        ("proration", "60.00", date(2024, 9, 11), OCT),
    ]


def test_a_downgrade_at_the_end_of_the_period_charges_the_next_one_only():
    subscription = make_subscription(quantity=Decimal(3))

    services.change_subscription(
        actor="test",
        subscription_id=subscription.pk,
        quantity=Decimal(1),
        at_period_end=True,
        as_of=date(2024, 9, 11),
    )
    assert charges_of(subscription) == [("recurring", "90.00", SEP, OCT)]
    roll(subscription, OCT)

    assert charges_of(subscription)[1:] == [("recurring", "30.00", OCT, NOV)]
    subscription.refresh_from_db()
    assert subscription.quantity == 1
    assert subscription.changes.get().state == "applied"


def test_a_running_subscription_keeps_its_price_until_it_is_changed_to_current_prices():
    subscription = make_subscription()
    product = subscription.items.get().product
    make_price(product=product, unit_price=Decimal(45), starts_on=date(2024, 9, 5))

    roll(subscription, OCT)
    services.change_subscription(
        actor="test", subscription_id=subscription.pk, quantity=Decimal(2), at_period_end=True, as_of=OCT
    )
    roll(subscription, NOV)
    services.change_subscription(
        actor="test", subscription_id=subscription.pk, use_current_prices=True, at_period_end=True, as_of=NOV
    )
    roll(subscription, DEC)

    assert [amount for _, amount, *_ in charges_of(subscription)] == ["30.00", "30.00", "60.00", "90.00"]


def test_a_plan_with_another_interval_begins_a_new_cycle_on_the_day():
    monthly = make_plan()
    subscription = make_subscription(plan=monthly)
    yearly_product = make_product(entity=monthly.entity)
    yearly = make_plan(
        entity=monthly.entity,
        interval="year",
        items=[(yearly_product, Timing.IN_ADVANCE, Basis.QUANTITY)],
        prices=[{"unit_price": Decimal(300)}],
    )

    services.change_subscription(
        actor="test", subscription_id=subscription.pk, plan_id=yearly.pk, as_of=date(2024, 9, 16)
    )

    # 15 of 30 days unused: −15.00; then a whole year from the day
    assert charges_of(subscription)[1:] == [
        ("credit", "-15.00", date(2024, 9, 16), OCT),
        ("recurring", "300.00", date(2024, 9, 16), date(2025, 9, 16)),
    ]
    subscription.refresh_from_db()
    assert (subscription.plan, subscription.anchor_on) == (yearly, date(2024, 9, 16))


def test_a_pause_credits_what_is_left_and_resuming_charges_what_is_left_then():
    subscription = make_subscription()

    services.pause_subscription(actor="test", subscription_id=subscription.pk, as_of=date(2024, 9, 11))
    roll(subscription, OCT)
    services.resume_subscription(actor="test", subscription_id=subscription.pk, as_of=date(2024, 10, 17))

    # −30.00 × 20/30 = −20.00; October has 31 days, 15 are left: 30.00 × 15/31 = 14.516… → 14.52
    assert charges_of(subscription)[1:] == [
        ("credit", "-20.00", date(2024, 9, 11), OCT),
        ("proration", "14.52", date(2024, 10, 17), NOV),
    ]


def test_canceled_now_it_credits_the_unused_days_and_charges_the_arrears():
    seller = make_entity(is_seller=True)
    ahead, behind = make_product(entity=seller), make_product(entity=seller)
    plan = make_plan(
        entity=seller,
        items=[(ahead, Timing.IN_ADVANCE, Basis.FIXED), (behind, Timing.IN_ARREARS, Basis.FIXED)],
        prices=[{"unit_price": Decimal(10)}, {"unit_price": Decimal(20)}],
    )
    subscription = make_subscription(plan=plan)

    services.cancel_subscription(actor="test", subscription_id=subscription.pk, as_of=date(2024, 9, 11))

    # unused 20/30 of 10.00 = 6.67; ran 10/30 of 20.00 = 6.67
    assert charges_of(subscription)[1:] == [
        ("credit", "-6.67", date(2024, 9, 11), OCT),
        ("recurring", "6.67", SEP, date(2024, 9, 11)),
    ]
    subscription.refresh_from_db()
    assert (subscription.state, subscription.ended_on) == (SubscriptionState.CANCELED, date(2024, 9, 11))
    assert roll(subscription, DEC) == 0


def test_canceled_on_its_first_day_it_gives_back_everything():
    subscription = make_subscription(quantity=Decimal("0.333333333333"))

    services.cancel_subscription(actor="test", subscription_id=subscription.pk, as_of=SEP)

    assert sum(charge.amount for charge in subscription.charges.all()) == 0


def test_canceled_at_the_end_of_the_period_it_runs_until_then():
    subscription = make_subscription()

    services.cancel_subscription(
        actor="test", subscription_id=subscription.pk, as_of=date(2024, 9, 11), at_period_end=True
    )
    subscription.refresh_from_db()
    assert (subscription.state, subscription.cancels_on) == (SubscriptionState.ACTIVE, OCT)
    roll(subscription, DEC)

    subscription.refresh_from_db()
    assert (subscription.state, subscription.ended_on) == (SubscriptionState.CANCELED, OCT)
    assert charges_of(subscription) == [("recurring", "30.00", SEP, OCT)]


def test_what_is_scheduled_can_be_withdrawn():
    subscription = make_subscription()
    services.cancel_subscription(actor="test", subscription_id=subscription.pk, as_of=SEP, at_period_end=True)

    services.withdraw_change(actor="test", subscription_id=subscription.pk, as_of=SEP)

    roll(subscription, OCT)
    assert len(charges_of(subscription)) == 2
    with pytest.raises(NothingScheduled):
        services.withdraw_change(actor="test", subscription_id=subscription.pk, as_of=OCT)


def test_free_things_are_not_charged():
    plan = make_plan(prices=[{"unit_price": Decimal(0)}])

    assert charges_of(make_subscription(plan=plan)) == []


def test_a_subscription_that_starts_later_is_charged_when_its_day_comes():
    subscription = make_subscription(starts_on=OCT, as_of=SEP)
    assert charges_of(subscription) == []

    roll(subscription, OCT)

    assert charges_of(subscription) == [("recurring", "30.00", OCT, NOV)]


@pytest.mark.parametrize(
    ("_case", "refusal", "terms"),
    [
        ("the same again", NothingToChange, {"quantity": Decimal(1)}),
        ("tomorrow", DayInFuture, {"quantity": Decimal(2), "on": date(2024, 9, 12)}),
        ("before it began", DayOutsidePeriod, {"quantity": Decimal(2), "on": date(2024, 8, 31)}),
    ],
)
def test_a_refused_change_changes_nothing(_case, refusal, terms):
    subscription = make_subscription()
    before = everything_of(subscription)

    with pytest.raises(refusal):
        services.change_subscription(
            actor="test", subscription_id=subscription.pk, as_of=date(2024, 9, 11), **terms
        )

    assert everything_of(subscription) == before


def test_a_day_before_the_last_change_is_refused():
    subscription = make_subscription()
    services.change_subscription(
        actor="test", subscription_id=subscription.pk, quantity=Decimal(2), as_of=date(2024, 9, 11)
    )
    before = everything_of(subscription)

    with pytest.raises(DayOutsidePeriod):
        services.change_subscription(
            actor="test",
            subscription_id=subscription.pk,
            quantity=Decimal(3),
            on=date(2024, 9, 10),
            as_of=date(2024, 9, 12),
        )

    assert everything_of(subscription) == before


def test_what_is_canceled_or_paused_or_about_to_end_is_not_changed():
    canceled, paused, ending = make_subscription(), make_subscription(), make_subscription()
    services.cancel_subscription(actor="test", subscription_id=canceled.pk, as_of=SEP)
    services.pause_subscription(actor="test", subscription_id=paused.pk, as_of=SEP)
    services.cancel_subscription(actor="test", subscription_id=ending.pk, as_of=SEP, at_period_end=True)

    for subscription in (canceled, paused, ending):
        before = everything_of(subscription)
        with pytest.raises(NotChangeable):
            services.change_subscription(
                actor="test", subscription_id=subscription.pk, quantity=Decimal(2), as_of=SEP
            )
        assert everything_of(subscription) == before
    with pytest.raises(IllegalMove):
        services.cancel_subscription(actor="test", subscription_id=canceled.pk, as_of=SEP)


def test_a_customer_subscribes_to_priced_plans_of_its_own_seller_only():
    plan = make_plan()
    elsewhere = make_entity(parent=make_entity(is_seller=True), currency="USD")
    in_yen = make_entity(parent=plan.entity, currency="JPY")

    with pytest.raises(PlanOfAnotherSeller):
        make_subscription(plan=plan, entity=elsewhere)
    with pytest.raises(PlanNotPriced):
        make_subscription(plan=plan, entity=in_yen)

    assert Subscription.objects.count() == 0


def test_a_preview_stores_nothing_and_names_the_next_period():
    subscription = make_subscription()
    before = everything_of(subscription)

    preview = services.preview_change(
        subscription_id=subscription.pk, quantity=Decimal(3), as_of=date(2024, 9, 11)
    )

    assert (preview.total, preview.next_total, preview.next_on) == (Decimal(40), Decimal(90), OCT)
    assert everything_of(subscription) == before


def test_a_change_before_a_scheduled_one_is_refused_until_that_is_withdrawn():
    subscription = make_subscription()
    services.change_subscription(
        actor="test", subscription_id=subscription.pk, quantity=Decimal(2), as_of=SEP, at_period_end=True
    )

    with pytest.raises(NotChangeable):
        services.change_subscription(
            actor="test", subscription_id=subscription.pk, quantity=Decimal(3), as_of=SEP
        )


def test_what_is_scheduled_waits_while_it_is_paused():
    subscription = make_subscription()
    services.change_subscription(
        actor="test", subscription_id=subscription.pk, quantity=Decimal(2), as_of=SEP, at_period_end=True
    )
    services.pause_subscription(actor="test", subscription_id=subscription.pk, as_of=date(2024, 9, 11))
    roll(subscription, OCT)
    assert [kind for kind, *_ in charges_of(subscription)] == ["recurring", "credit"]

    services.resume_subscription(actor="test", subscription_id=subscription.pk, as_of=OCT)
    roll(subscription, NOV)

    assert charges_of(subscription)[2:] == [
        ("proration", "30.00", OCT, NOV),
        ("recurring", "60.00", NOV, DEC),
    ]


def test_a_plan_changed_in_a_trial_begins_its_own_cycle_when_the_trial_ends():
    weekly = make_plan(interval="week")
    monthly = make_plan(entity=weekly.entity)
    subscription = make_subscription(
        plan=weekly, starts_on=date(2024, 9, 3), trial_days=14, alignment=Alignment.CALENDAR
    )

    services.change_subscription(
        actor="test", subscription_id=subscription.pk, plan_id=monthly.pk, as_of=date(2024, 9, 10)
    )
    roll(subscription, date(2024, 10, 5))

    # 14 of September's 30 days are left on the 17th: 30.00 × 14/30 = 14.00
    assert charges_of(subscription) == [
        ("recurring", "14.00", date(2024, 9, 17), OCT),
        ("recurring", "30.00", OCT, NOV),
    ]


def test_what_has_taken_effect_can_no_longer_be_withdrawn():
    subscription = make_subscription()
    services.cancel_subscription(actor="test", subscription_id=subscription.pk, as_of=SEP, at_period_end=True)

    with pytest.raises(NothingScheduled):
        services.withdraw_change(actor="test", subscription_id=subscription.pk, as_of=OCT)

    roll(subscription, OCT)
    subscription.refresh_from_db()
    assert subscription.ended_on == OCT


def test_the_sweep_rolls_every_seller_to_its_own_day_and_passes_over_who_cannot(freeze):
    tokyo = make_entity(is_seller=True, time_zone="Asia/Tokyo")
    at_home, ahead = make_subscription(), make_subscription(plan=make_plan(entity=tokyo))
    stuck = make_subscription(plan=at_home.plan)
    other = make_plan(entity=at_home.plan.entity)
    services.change_subscription(
        actor="test", subscription_id=stuck.pk, plan_id=other.pk, at_period_end=True, as_of=SEP
    )
    with connection.cursor() as cursor:  # a price that was there is gone: no service would do that
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM prices WHERE product_id = %s", [other.items.get().product_id])
        cursor.execute("SET LOCAL session_replication_role = origin")

    freeze("2024-09-30T20:00:00Z")  # in Tokyo it is October
    tasks.roll_forward()
    assert [charges_of(one)[1:] for one in (at_home, ahead)] == [[], [("recurring", "30.00", OCT, NOV)]]
    moved, refused = services.roll_everything_forward(
        actor="test", at=datetime(2024, 10, 1, 0, 30, tzinfo=UTC)
    )

    assert (moved, refused) == (1, [stuck.entity_id])
    assert charges_of(at_home)[1:] == [("recurring", "30.00", OCT, NOV)]
    assert len(charges_of(stuck)) == 1
