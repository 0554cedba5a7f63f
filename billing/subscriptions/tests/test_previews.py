"""Whatever a preview says is what the verb then charges, to the cent, in every currency."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.entities.tests.makers import make_entity
from billing.kernel.errors import DomainError
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions import services
from billing.subscriptions.models import Alignment, Basis, Subscription, SubscriptionCharge, Timing
from billing.subscriptions.tests.makers import make_plan, make_product

pytestmark = pytest.mark.django_db

START = date(2024, 1, 31)
PRICES = ["0", "9.99", "33.333", "100.005", "0.07"]
CURRENCIES = ["JPY", "USD", "KWD"]


@pytest.fixture
def catalogue():
    """Two monthly plans and a yearly one that share a product, priced in three currencies."""
    seller = make_entity(is_seller=True)
    base, extra, fee = (make_product(entity=seller) for _ in range(3))
    figures = iter(PRICES * 10)

    def plan(interval: str, *items) -> object:
        made = make_plan(entity=seller, interval=interval, items=list(items), prices=[])
        for product, _, _ in items:
            for currency in CURRENCIES:
                if not product.prices.filter(currency=currency).exists():
                    services.add_price(
                        actor="test",
                        product_id=product.pk,
                        currency=currency,
                        model="per_unit",
                        unit_price=Decimal(next(figures)),
                        starts_on=date(2020, 1, 1),
                    )
        return made

    return [
        plan("month", (base, Timing.IN_ADVANCE, Basis.QUANTITY), (fee, Timing.ONE_OFF, Basis.FIXED)),
        plan("month", (base, Timing.IN_ADVANCE, Basis.FIXED), (extra, Timing.IN_ARREARS, Basis.QUANTITY)),
        plan("year", (extra, Timing.IN_ADVANCE, Basis.QUANTITY)),
    ]


def as_rows(charges) -> list[tuple]:
    return [
        (
            c.kind,
            c.item.product_id,
            c.quantity,
            c.amount,
            c.service_starts_on,
            c.service_ends_on,
            c.due_on,
        )
        for c in charges
    ]


def posted(subscription: Subscription, seen: set) -> list[tuple]:
    new = SubscriptionCharge.objects.filter(subscription=subscription).exclude(pk__in=seen)
    rows = as_rows(new.select_related("item").order_by("id"))
    seen.update(new.values_list("pk", flat=True))
    return rows


steps = st.lists(
    st.tuples(
        st.sampled_from(["change", "change", "schedule", "cancel", "cancel at end", "pause", "resume"]),
        st.integers(min_value=0, max_value=40),
        st.integers(min_value=0, max_value=2),
        st.decimals(min_value=0, max_value=9, places=3),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    currency=st.sampled_from(CURRENCIES),
    alignment=st.sampled_from(list(Alignment.values)),
    trial_days=st.sampled_from([0, 0, 10]),
    taken=steps,
)
def test_a_preview_is_the_result(catalogue, currency, alignment, trial_days, taken):
    customer = make_entity(parent=catalogue[0].entity, currency=currency)
    terms = {
        "entity_id": customer.pk,
        "plan_id": catalogue[0].pk,
        "starts_on": START,
        "as_of": START,
        "alignment": alignment,
        "trial_days": trial_days,
    }
    foreseen = services.preview_subscription(**terms)
    subscription = services.create_subscription(actor="test", **terms)
    seen: set = set()
    assert posted(subscription, seen) == as_rows(foreseen.charges)
    due_next = (foreseen.next_on, foreseen.next_charges)

    today = START
    for verb, later, which, quantity, current in taken:
        today += timedelta(days=later)
        if due_next[0] and today >= due_next[0]:
            today = due_next[0]
            roll(subscription, today)
            assert posted(subscription, seen) == as_rows(due_next[1])
        foreseen = act(verb, subscription, today, catalogue[which].pk, quantity, current, preview=True)
        if foreseen is None:
            roll(subscription, today)
            posted(subscription, seen)
            due_next = (None, [])
            continue
        act(verb, subscription, today, catalogue[which].pk, quantity, current, preview=False)
        assert posted(subscription, seen) == as_rows(foreseen.charges)
        due_next = (foreseen.next_on, foreseen.next_charges)
    assert_invariants_hold()


def roll(subscription: Subscription, as_of: date) -> None:
    services.roll_forward(
        actor="test", seller_id=subscription.seller_id, entity_ids=[subscription.entity_id], as_of=as_of
    )


def act(verb, subscription, today, plan_id, quantity, current, *, preview):
    """The preview or the verb itself; None where there is no preview or it is refused."""
    about = {"subscription_id": subscription.pk, "as_of": today}
    posting = {} if preview else {"actor": "test"}
    try:
        match verb:
            case "change" | "schedule":
                terms = {"plan_id": plan_id, "quantity": quantity, "use_current_prices": current}
                run = services.preview_change if preview else services.change_subscription
                return run(**about, **terms, **posting, at_period_end=verb == "schedule")
            case "cancel" | "cancel at end":
                run = services.preview_cancellation if preview else services.cancel_subscription
                return run(**about, **posting, at_period_end=verb != "cancel", credit_unused=current)
            case "pause":
                services.pause_subscription(actor="test", **about)
            case "resume":
                services.resume_subscription(actor="test", **about)
    except DomainError:
        assert preview or verb in {"pause", "resume"}, "what could be previewed can be done"
    return None
