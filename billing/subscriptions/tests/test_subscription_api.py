"""Subscriptions over the wire: what a preview shows is what the verb charges."""

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
import time_machine

from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.kernel.models import AuditEntry
from billing.subscriptions.models import (
    Basis,
    Subscription,
    SubscriptionChange,
    SubscriptionCharge,
    SubscriptionItem,
    SubscriptionPeriod,
    Timing,
)
from billing.subscriptions.tests.makers import make_plan, make_product, make_subscription

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"
TODAY = "2024-09-16T12:00:00Z"


@pytest.fixture(autouse=True)
def _today():
    with time_machine.travel(TODAY, tick=False):
        yield


def user(role: str, entity):
    return make_grant(role=role, entity=entity).user


def once(**headers) -> dict:
    return {"Idempotency-Key": str(uuid4())} | headers


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


def terms(plan, entity, **overrides) -> dict:
    return {"entity": str(entity.pk), "plan": str(plan.pk)} | overrides


def figures(charges: list[dict]) -> list[tuple]:
    """All that a preview and a charge have in common."""
    names = (
        "kind",
        "product_code",
        "quantity",
        "amount",
        "service_starts_on",
        "service_ends_on",
        "due_on",
    )
    return [(*(charge[name] for name in names), charge["derivation"]["exact"]) for charge in charges]


def charges_of(client, subscription_id) -> list[dict]:
    """The oldest first."""
    return client.get(f"{API}subscriptions/{subscription_id}/charges").json()["results"][::-1]


def test_a_customer_subscribes_and_is_charged_what_was_previewed(api):
    plan = make_plan()
    customer = make_entity(parent=plan.entity, currency="USD")
    client = api(user("BO", plan.entity))
    order = terms(plan, customer, quantity="3", alignment="calendar", reference="ORDER-7")

    shown = client.post(f"{API}subscriptions/preview", order, format="json")
    nothing_yet = Subscription.objects.count()
    made = client.post(f"{API}subscriptions", order, format="json", headers=once())

    assert (shown.status_code, nothing_yet, made.status_code) == (200, 0, 201)
    body = made.json()
    assert made["Location"].endswith(f"/subscriptions/{body['id']}")
    assert made["ETag"] == f'"{body["version"]}"'
    assert (body["state"], body["quantity"], body["currency"], body["starts_on"], body["next_on"]) == (
        "active",
        "3",
        "USD",
        "2024-09-16",
        "2024-10-01",
    )
    assert body["current_period"] == {
        "id": body["current_period"]["id"],
        "starts_on": "2024-09-16",
        "ends_on": "2024-10-01",
        "whole_starts_on": "2024-09-01",
        "whole_ends_on": "2024-10-01",
        "is_trial": False,
        "is_closed": False,
    }
    assert body["scheduled_change"] is None
    preview = shown.json()
    # 15 of 30 days of 3 × 30.00
    assert (preview["total_amount"], preview["next_on"], preview["next_total_amount"]) == (
        "45.00",
        "2024-10-01",
        "90.00",
    )
    assert figures(preview["charges"]) == figures(charges_of(client, body["id"]))


def test_the_day_is_that_of_the_customers_own_time_zone(api):
    plan = make_plan()
    auckland = make_entity(parent=plan.entity, currency="USD", time_zone="Pacific/Auckland")
    client = api(user("BO", plan.entity))

    made = client.post(f"{API}subscriptions", terms(plan, auckland), format="json", headers=once())

    assert made.json()["starts_on"] == "2024-09-17"


@pytest.mark.parametrize(
    ("_case", "changes", "status", "code"),
    [
        ("half a period back is fine, ages are not", {"starts_on": "1950-01-01"}, 422, "starts-too-long-ago"),
        ("no price in this currency", {"currency": "CHF"}, 422, "plan-not-priced"),
        ("no such plan", {"plan": str(uuid4())}, 400, "invalid-request"),
        ("no such entity", {"entity": str(uuid4())}, 400, "invalid-request"),
        ("a number", {"quantity": 3}, 400, "invalid-request"),
        ("below nothing", {"quantity": "-1"}, 400, "invalid-request"),
        ("more than money can say", {"quantity": "9999999999999999"}, 422, "amount-too-large"),
        ("a trial of ages", {"trial_days": 3651}, 400, "invalid-request"),
        ("unknown member", {"price": "1"}, 400, "invalid-request"),
    ],
)
@pytest.mark.parametrize("path", ["subscriptions", "subscriptions/preview"])
def test_terms_that_cannot_be_are_refused_and_change_nothing(api, path, _case, changes, status, code):
    plan = make_plan()
    customer = make_entity(parent=plan.entity, currency="USD")
    client = api(user("BO", plan.entity))
    before = everything()

    answer = client.post(f"{API}{path}", terms(plan, customer) | changes, format="json", headers=once())

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert everything() == before


def test_plans_departments_and_customers_out_of_reach_do_not_exist(api):
    mine, theirs = make_plan(), make_plan()
    customer = make_entity(parent=mine.entity, currency="USD")
    foreign = make_entity(parent=theirs.entity, currency="USD")
    client = api(user("BO", mine.entity))

    def post(**overrides):
        order = terms(mine, customer) | overrides
        return client.post(f"{API}subscriptions", order, format="json", headers=once()).status_code

    assert post(plan=str(theirs.pk)) == 400
    assert post(entity=str(foreign.pk)) == 400
    assert post(department=str(make_department(entity=foreign).pk)) == 400
    assert Subscription.objects.count() == 0


def test_who_reaches_only_the_customer_may_take_its_sellers_plans(api):
    plan = make_plan()
    customer = make_entity(parent=plan.entity, currency="USD")
    client = api(user("BO", customer))

    made = client.post(f"{API}subscriptions", terms(plan, customer), format="json", headers=once())

    assert made.status_code == 201


def test_a_change_charges_what_was_previewed(api):
    subscription = make_subscription()
    client = api(user("BO", subscription.seller))
    here = f"{API}subscriptions/{subscription.pk}"

    shown = client.post(f"{here}/preview-change", {"quantity": "4"}, format="json").json()
    unchanged = everything()
    changed = client.post(f"{here}/change", {"quantity": "4"}, format="json", headers=once())

    assert (changed.status_code, changed.json()["quantity"]) == (200, "4")
    # half of September is left: -30.00 × 15/30, and 4 × 30.00 × 15/30
    assert [charge["amount"] for charge in shown["charges"]] == ["-15.00", "60.00"]
    assert (shown["total_amount"], shown["next_total_amount"]) == ("45.00", "120.00")
    assert len(unchanged[3]) == 1
    assert figures(shown["charges"]) == figures(charges_of(client, subscription.pk)[1:])
    items = client.get(f"{here}/items").json()["results"]
    assert [(item["quantity"], item["starts_on"], item["ends_on"]) for item in items] == [
        ("1", "2024-09-01", "2024-09-16"),
        ("4", "2024-09-16", None),
    ]


def test_a_change_waits_for_the_end_of_the_period_and_can_be_withdrawn(api):
    subscription = make_subscription()
    client = api(user("BO", subscription.seller))
    here = f"{API}subscriptions/{subscription.pk}"
    order = {"quantity": "4", "at_period_end": True}

    waiting = client.post(f"{here}/change", order, format="json", headers=once()).json()
    again = client.post(f"{here}/change", order, format="json", headers=once())
    withdrawn = client.post(f"{here}/withdraw-change", {}, format="json")
    nothing_left = client.post(f"{here}/withdraw-change", {}, format="json")

    assert (waiting["quantity"], waiting["scheduled_change"]["quantity"]) == ("1", "4")
    assert waiting["scheduled_change"]["effective_on"] == "2024-10-01"
    assert (again.status_code, again.json()["code"]) == (409, "subscription-not-changeable")
    assert (withdrawn.status_code, withdrawn.json()["scheduled_change"]) == (200, None)
    assert (nothing_left.status_code, nothing_left.json()["code"]) == (409, "nothing-scheduled")


def test_a_pause_credits_and_a_resumption_charges_the_days_that_are_left(api):
    subscription = make_subscription()
    client = api(user("BO", subscription.seller))
    here = f"{API}subscriptions/{subscription.pk}"

    paused = client.post(f"{here}/pause", {"on": "2024-09-11"}, format="json", headers=once())
    twice = client.post(f"{here}/pause", {}, format="json", headers=once())
    resumed = client.post(f"{here}/resume", {}, format="json", headers=once())

    assert (paused.json()["state"], resumed.json()["state"]) == ("paused", "active")
    assert (twice.status_code, twice.json()["code"]) == (409, "illegal-move")
    amounts = [(charge["kind"], charge["amount"]) for charge in charges_of(client, subscription.pk)]
    # 20 of 30 days back from the 11th, 15 of 30 again from the 16th
    assert amounts == [("recurring", "30.00"), ("credit", "-20.00"), ("proration", "15.00")]


@pytest.mark.parametrize(
    ("order", "state", "total"),
    [
        ({}, "canceled", "-15.00"),
        ({"on": "2024-09-11"}, "canceled", "-20.00"),
        ({"credit_unused": False}, "canceled", "0.00"),
        ({"at_period_end": True}, "active", "0.00"),
    ],
)
def test_a_cancellation_credits_what_was_previewed(api, order, state, total):
    subscription = make_subscription()
    client = api(user("CM", subscription.seller))
    here = f"{API}subscriptions/{subscription.pk}"

    shown = client.post(f"{here}/preview-cancel", order, format="json").json()
    ended = client.post(f"{here}/cancel", order | {"reason": "moved"}, format="json", headers=once())

    assert (ended.status_code, ended.json()["state"], shown["total_amount"]) == (200, state, total)
    assert figures(shown["charges"]) == figures(charges_of(client, subscription.pk)[1:])
    assert (ended.json()["cancels_on"] == "2024-10-01") is (state == "active")
    assert (ended.json()["current_period"] is None) is (state == "canceled")
    assert AuditEntry.objects.filter(action__startswith="subscription.cancel", reason="moved").count() == 1


@pytest.mark.parametrize("verb", ["change", "pause", "cancel"])
def test_money_moves_once_per_key_and_not_without_one(api, verb):
    subscription = make_subscription()
    client = api(user("FC", subscription.seller))
    address = f"{API}subscriptions/{subscription.pk}/{verb}"
    order = {"quantity": "2"} if verb == "change" else {}
    headers = once()

    keyless = client.post(address, order, format="json")
    before = SubscriptionCharge.objects.count()
    first = client.post(address, order, format="json", headers=headers)
    again = client.post(address, order, format="json", headers=headers)

    assert (keyless.status_code, before) == (400, 1)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert SubscriptionCharge.objects.count() == (3 if verb == "change" else 2)


@pytest.mark.parametrize(
    ("verb", "order"),
    [
        ("change", {"quantity": "2"}),
        ("pause", {}),
        ("cancel", {}),
        ("withdraw-change", {}),
    ],
)
def test_what_has_changed_since_it_was_seen_is_left_alone(api, verb, order):
    subscription = make_subscription()
    client = api(user("FC", subscription.seller))
    address = f"{API}subscriptions/{subscription.pk}/{verb}"
    before = everything()

    stale = client.post(address, order, format="json", headers=once(**{"If-Match": '"99"'}))

    assert stale.status_code == 412
    assert everything() == before


def test_resuming_what_has_changed_is_refused(api):
    subscription = make_subscription()
    client = api(user("FC", subscription.seller))
    here = f"{API}subscriptions/{subscription.pk}"
    seen = client.get(here)["ETag"]
    client.post(f"{here}/pause", {}, format="json", headers=once())

    stale = client.post(f"{here}/resume", {}, format="json", headers=once(**{"If-Match": seen}))

    assert stale.status_code == 412
    assert Subscription.objects.get().state == "paused"


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({}, 422, "nothing-to-change"),
        ({"quantity": "1"}, 422, "nothing-to-change"),
        ({"quantity": "2", "on": "2024-08-31"}, 422, "day-outside-period"),
        ({"quantity": "2", "on": "2024-09-17"}, 422, "day-in-future"),
        ({"quantity": "9999999999999999"}, 422, "amount-too-large"),
        ({"plan": str(uuid4())}, 400, "invalid-request"),
        ({"seats": "2"}, 400, "invalid-request"),
    ],
)
@pytest.mark.parametrize("verb", ["change", "preview-change"])
def test_changes_that_cannot_be_are_refused_and_change_nothing(api, verb, order, status, code):
    subscription = make_subscription()
    client = api(user("BO", subscription.seller))
    before = everything()

    answer = client.post(f"{API}subscriptions/{subscription.pk}/{verb}", order, format="json", headers=once())

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert everything() == before


def test_another_plan_of_the_seller_is_taken_and_a_foreign_one_does_not_exist(api):
    subscription = make_subscription()
    larger = make_plan(entity=subscription.seller)
    client = api(user("BO", subscription.seller))
    address = f"{API}subscriptions/{subscription.pk}/change"

    foreign = client.post(address, {"plan": str(make_plan().pk)}, format="json", headers=once())
    changed = client.post(address, {"plan": str(larger.pk)}, format="json", headers=once())

    assert (foreign.status_code, changed.status_code) == (400, 200)
    assert changed.json()["plan_code"] == larger.code


def test_metadata_is_written_with_its_version_also_after_the_end(api):
    subscription = make_subscription()
    client = api(user("FC", subscription.seller))
    here = f"{API}subscriptions/{subscription.pk}"
    client.post(f"{here}/cancel", {}, format="json", headers=once())
    seen = client.get(here)["ETag"]

    written = client.patch(here, {"metadata": {"crm": "7"}}, format="json", headers={"If-Match": seen})
    stale = client.patch(here, {"metadata": {"crm": "8"}}, format="json", headers={"If-Match": seen})
    other = client.patch(here, {"quantity": "9"}, format="json")

    assert (written.status_code, written.json()["metadata"]) == (200, {"crm": "7"})
    assert (stale.status_code, other.status_code) == (412, 400)
    subscription.refresh_from_db()
    assert (subscription.metadata, subscription.quantity) == ({"crm": "7"}, Decimal(1))


def test_the_list_shows_what_is_within_reach_and_filters(api):
    mine = make_subscription(reference="Order-7")
    theirs = make_subscription()
    client = api(user("VW", mine.seller))

    def found(query: str) -> list[str]:
        return [row["id"] for row in client.get(f"{API}subscriptions?{query}").json()["results"]]

    assert found("") == [str(mine.pk)]
    for hit in (
        f"entity={mine.entity_id}",
        f"plan={mine.plan_id}",
        f"seller={mine.seller_id}",
        "state=active&state=paused",
        "currency=USD",
        "reference=ORDER-7",
        "search=order",
        "starts_after=2024-09-01&starts_before=2024-09-02",
    ):
        assert found(hit) == [str(mine.pk)], hit
    for miss in ("state=paused", "currency=EUR", "reference=order", "starts_before=2024-09-01"):
        assert found(miss) == [], miss
    assert client.get(f"{API}subscriptions/{theirs.pk}").status_code == 404
    assert client.get(f"{API}subscriptions?colour=red").status_code == 400
    for parts in ("charges", "items", "periods"):
        assert client.get(f"{API}subscriptions/{theirs.pk}/{parts}").status_code == 404
        assert len(client.get(f"{API}subscriptions/{mine.pk}/{parts}").json()["results"]) == 1


def test_entity_and_plan_are_shown_when_asked_and_a_known_version_is_not_sent_again(api):
    subscription = make_subscription()
    client = api(user("VW", subscription.seller))
    here = f"{API}subscriptions/{subscription.pk}"

    shown = client.get(f"{here}?expand=entity,plan").json()
    known = client.get(here, headers={"If-None-Match": client.get(here)["ETag"]})

    assert shown["entity"]["name"] == subscription.entity.name
    assert (shown["plan"]["code"], shown["plan"]["interval"]) == (subscription.plan.code, "month")
    assert known.status_code == 304


def test_charges_are_filtered_by_kind_and_day(api):
    subscription = make_subscription()
    client = api(user("BO", subscription.seller))
    here = f"{API}subscriptions/{subscription.pk}"
    client.post(f"{here}/change", {"quantity": "4"}, format="json", headers=once())

    def kinds(query: str) -> list[str]:
        return [row["kind"] for row in client.get(f"{here}/charges?{query}").json()["results"]]

    assert kinds("") == ["proration", "credit", "recurring"]
    assert kinds("kind=credit&kind=recurring") == ["credit", "recurring"]
    assert kinds("due_after=2024-09-02") == ["proration", "credit"]
    assert kinds("due_before=2024-09-02") == ["recurring"]


def test_an_entitys_own_subscriptions_and_those_below_it_when_asked(api):
    plan = make_plan()
    above = make_entity(parent=plan.entity, currency="USD")
    below = make_entity(parent=above, currency="USD")
    own, deeper = (make_subscription(plan=plan, entity=entity) for entity in (above, below))
    make_subscription(plan=plan)
    client = api(user("AP", above))
    here = f"{API}entities/{above.pk}/subscriptions"

    def found(query: str) -> set[str]:
        return {row["id"] for row in client.get(here + query).json()["results"]}

    assert found("") == found("?include_descendants=false") == {str(own.pk)}
    assert found("?include_descendants=true") == {str(own.pk), str(deeper.pk)}
    assert found(f"?include_descendants=true&entity={below.pk}") == {str(deeper.pk)}
    assert client.get(f"{here}?include_descendants=yes").status_code == 400
    assert client.get(f"{API}entities/{plan.entity_id}/subscriptions").status_code == 404
    assert client.get(f"{API}entities/{uuid4()}/subscriptions").status_code == 404


def test_operators_change_and_pause_but_do_not_cancel(api):
    subscription = make_subscription()
    client = api(user("BO", subscription.seller))
    before = everything()

    for verb in ("cancel", "preview-cancel"):
        answer = client.post(
            f"{API}subscriptions/{subscription.pk}/{verb}", {}, format="json", headers=once()
        )
        assert answer.status_code == 403
    assert everything() == before


def test_a_viewer_previews_and_changes_nothing(api):
    subscription = make_subscription()
    client = api(user("VW", subscription.seller))
    before = everything()

    for verb in (
        *("change", "preview-change", "withdraw-change", "pause"),
        *("resume", "cancel", "preview-cancel"),
    ):
        answer = client.post(
            f"{API}subscriptions/{subscription.pk}/{verb}", {}, format="json", headers=once()
        )
        assert answer.status_code == 403, verb
    order = terms(subscription.plan, subscription.entity)
    for path in ("subscriptions", "subscriptions/preview"):
        assert client.post(API + path, order, format="json", headers=once()).status_code == 403
    assert client.patch(f"{API}subscriptions/{subscription.pk}", {}, format="json").status_code == 403
    assert everything() == before


def test_one_off_and_arrears_are_previewed_where_they_fall_due(api):
    seller = make_entity(is_seller=True)
    setup, fee = make_product(entity=seller), make_product(entity=seller)
    plan = make_plan(
        entity=seller,
        items=[(setup, Timing.ONE_OFF, Basis.FIXED), (fee, Timing.IN_ARREARS, Basis.QUANTITY)],
        prices=[{"unit_price": Decimal(100)}, {"unit_price": Decimal(10)}],
    )
    customer = make_entity(parent=seller, currency="USD")
    client = api(user("BO", seller))

    shown = client.post(
        f"{API}subscriptions/preview", terms(plan, customer, quantity="2"), format="json"
    ).json()

    assert [(c["kind"], c["amount"]) for c in shown["charges"]] == [("one_off", "100.00")]
    assert [(c["kind"], c["amount"], c["due_on"]) for c in shown["next_charges"]] == [
        ("recurring", "20.00", "2024-10-16")
    ]


def test_a_list_costs_as_many_queries_whatever_its_length(api, django_assert_max_num_queries):
    plan = make_plan()
    for _ in range(4):
        make_subscription(plan=plan)
    client = api(user("VW", plan.entity))

    with django_assert_max_num_queries(5):
        body = client.get(f"{API}subscriptions?expand=entity,plan").json()

    assert len(body["results"]) == 4


def test_it_starts_at_most_three_years_back(api):
    plan = make_plan(prices=[{"unit_price": Decimal(30), "starts_on": date(2020, 1, 1)}])
    customer = make_entity(parent=plan.entity, currency="USD")
    client = api(user("BO", plan.entity))

    def start(day: str):
        order = terms(plan, customer, starts_on=day)
        return client.post(f"{API}subscriptions/preview", order, format="json").status_code

    assert (start("2021-09-16"), start("2021-09-15")) == (200, 422)
