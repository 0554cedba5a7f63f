"""Usage of subscriptions, every model and aggregation, and what comes late: billed in all as if in time."""

import random
from datetime import date
from decimal import Decimal

import pytest

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import queries, services
from billing.invoicing.errors import AdjustsDraft
from billing.invoicing.models import Invoice, InvoiceLine, UsageClaim
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import (
    make_seller,
    make_sold_meter,
    make_subscriber,
    make_terms,
    meter_of,
    report_usage,
)
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions import services as subscriptions
from billing.subscriptions.models import PriceModel
from billing.subscriptions.tests.makers import make_price, make_product
from billing.usage.models import Aggregation, LatePolicy
from billing.usage.tests.makers import make_meter

pytestmark = pytest.mark.django_db

SEP, OCT, NOV, DEC, JAN = (*(date(2024, month, 1) for month in (9, 10, 11, 12)), date(2025, 1, 1))
TIERS = [
    {"up_to": "10", "unit_price": "1", "flat_amount": "0"},
    {"up_to": None, "unit_price": "0.5", "flat_amount": "2"},
]
GRADUATED = {"model": PriceModel.GRADUATED, "tiers": TIERS}
VOLUME = {"model": PriceModel.VOLUME, "tiers": TIERS}
PACKAGE = {
    "model": PriceModel.PACKAGE,
    "unit_price": Decimal(3),
    "package_size": Decimal(5),
    "free_quantity": Decimal(2),
}
PERCENTAGE = {
    "model": PriceModel.PERCENTAGE,
    "percent": Decimal("2.9"),
    "per_event_amount": Decimal("0.30"),
    "free_events": 2,
    "minimum_amount": Decimal("1.50"),
}
FLAT = {"model": PriceModel.FLAT, "flat_amount": Decimal(7)}
PER_UNIT = {"unit_price": Decimal("0.125")}
PASS_THROUGH = {"model": PriceModel.PASS_THROUGH, "markup_percent": Decimal("12.5")}


def draft(seller, *customers, as_of) -> list[Invoice]:
    return services.draft_invoices(
        actor="user:1", seller_id=seller.pk, customer_ids=[c.pk for c in customers], as_of=as_of
    )


def bill(seller, *customers, as_of) -> list[Invoice]:
    drafts = draft(seller, *customers, as_of=as_of)
    services.issue_invoices(actor="user:1", invoice_ids=[d.pk for d in drafts], issued_on=as_of)
    return drafts


def make_paying(terms=None, **meter):
    """A seller, a customer without a subscription, and a meter at a list price."""
    seller = make_seller()
    product = make_product(entity=seller, name="Storage")
    make_terms(product, **(terms or PER_UNIT))
    return seller, make_entity(parent=seller), make_meter(entity=seller, product=product, **meter)


def used(*invoices: Invoice) -> list[tuple[str, str, Decimal, Decimal]]:
    """Kind, description, quantity and net of the lines of usage."""
    lines = InvoiceLine.objects.filter(invoice__in=invoices, derivation__from="usage")
    return [
        (line.kind, line.description, line.quantity, line.net_amount)
        for line in lines.order_by("invoice__billing_key", "position")
    ]


# --- of a subscription -------------------------------------------------------------------------------


def test_usage_of_a_subscription_is_rated_at_its_pinned_price_once_the_period_is_over():
    subscription = make_subscriber(starts_on=date(2024, 9, 10))
    seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    make_price(product=meter.product, currency="EUR", unit_price=Decimal(9), starts_on=date(2024, 9, 12))
    report_usage(customer, meter, "100", day=20)
    report_usage(customer, meter, "20", day=9, month=10)
    report_usage(customer, meter, "1", day=10, month=10)

    assert used(*bill(seller, customer, as_of=date(2024, 10, 9))) == []
    assert used(*bill(seller, customer, as_of=date(2024, 10, 10))) == [
        ("usage", "Storage, 10 Sep – 9 Oct 2024", 120, 30)
    ]
    line = InvoiceLine.objects.get(derivation__from="usage")
    assert (line.derivation["item"], line.derivation["events"]) == (
        str(subscription.items.get(basis="usage").pk),
        2,
    )
    assert line.derivation["steps"] == [
        {"label": "Per unit", "quantity": "120", "unit_price": "0.25", "amount": "30"}
    ]
    assert_invariants_hold()


def test_usage_before_a_subscription_and_of_other_products_is_billed_at_list_price_by_month():
    subscription = make_subscriber(starts_on=date(2024, 9, 10))
    seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "4", day=9)
    report_usage(customer, make_sold_meter(seller, name="Other"), "4", day=20)

    drafts = draft(seller, customer, as_of=OCT)

    [of_month] = [d for d in drafts if d.billing_key == "usage:2024-09-01"]
    assert sorted(used(of_month)) == [("usage", "Other", 4, 1), ("usage", "Storage", 4, 1)]


def test_of_two_subscriptions_the_one_that_started_first_has_the_usage_unless_the_other_is_named():
    first = make_subscriber()
    seller, customer, meter = first.seller, first.entity, meter_of(first)
    second = subscriptions.create_subscription(
        actor="user:1",
        entity_id=customer.pk,
        plan_id=first.plan_id,
        starts_on=date(2024, 9, 2),
        as_of=date(2024, 9, 2),
    )
    report_usage(customer, meter, "4")
    report_usage(customer, meter, "8", subscription_id=second.pk)

    bill(seller, customer, as_of=date(2024, 10, 2))

    assert {
        (line.derivation["subscription"], line.quantity)
        for line in InvoiceLine.objects.filter(derivation__from="usage")
    } == {(str(first.pk), 4), (str(second.pk), 8)}


def test_in_a_trial_the_usage_is_on_the_invoice_and_costs_nothing():
    subscription = make_subscriber(trial_days=14, terms=FLAT)
    seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "100", day=10)

    [invoice] = bill(seller, customer, as_of=date(2024, 9, 15))

    assert used(invoice) == [("usage", "Storage, 1–14 Sep 2024, trial", 100, 0)]
    line = invoice.lines.get(derivation__from="usage")
    assert (line.derivation["trial"], line.derivation["exact"]) == (True, "0")
    assert UsageClaim.objects.count() == 1
    assert_invariants_hold()


def test_a_change_in_the_middle_of_a_period_makes_a_line_for_each_price():
    subscription = make_subscriber()
    seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    make_price(product=meter.product, currency="EUR", unit_price=Decimal(1), starts_on=date(2024, 9, 5))
    subscriptions.change_subscription(
        actor="user:1",
        subscription_id=subscription.pk,
        quantity=Decimal(2),
        use_current_prices=True,
        as_of=date(2024, 9, 16),
    )
    report_usage(customer, meter, "4", day=15)
    report_usage(customer, meter, "4", day=16)

    assert used(*bill(seller, customer, as_of=OCT)) == [
        ("usage", "Storage, 1–15 Sep 2024", 4, 1),
        ("usage", "Storage, 16–30 Sep 2024", 4, 4),
    ]


def test_a_cost_in_another_currency_is_not_the_subscriptions():
    subscription = make_subscriber(terms=PASS_THROUGH)
    seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    make_price(
        product=meter.product,
        currency="USD",
        model=PriceModel.PASS_THROUGH,
        markup_percent=Decimal(0),
    )
    report_usage(customer, meter, "1", cost=Decimal(8), currency="USD")
    report_usage(customer, meter, "1", cost=Decimal(8), currency="EUR")

    drafts = draft(seller, customer, as_of=OCT)

    assert {(d.billing_key, d.currency) for d in drafts} == {
        ("subscriptions:2024-10-01", "EUR"),
        ("usage:2024-09-01", "USD"),
    }
    assert used(*drafts) == [
        ("usage", "Storage, 1–30 Sep 2024", 1, 9),
        ("usage", "Storage", 1, 8),
    ]


def test_usage_that_names_no_department_belongs_to_the_subscriptions():
    seller = make_seller()
    customer = make_entity(parent=seller)
    department, other = make_department(entity=customer), make_department(entity=customer)
    subscription = make_subscriber(seller, entity=customer, department_id=department.pk)
    report_usage(customer, meter_of(subscription), "4")
    report_usage(customer, meter_of(subscription), "8", department_id=other.pk)

    bill(seller, customer, as_of=OCT)

    line = InvoiceLine.objects.get(derivation__from="usage")
    assert {(s["department"], s["exact"]) for s in line.derivation["shares"]} == {
        (str(department.pk), "1"),
        (str(other.pk), "2"),
    }


# --- aggregations and models -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aggregation", "quantity"),
    [
        (Aggregation.SUM, 20),
        (Aggregation.COUNT, 4),
        (Aggregation.MAX, 9),
        (Aggregation.LATEST, 4),
        (Aggregation.UNIQUE_COUNT, 2),
    ],
)
def test_the_quantity_is_what_the_meter_says(aggregation, quantity):
    unique = {"counted_property": "user"} if aggregation == Aggregation.UNIQUE_COUNT else {}
    seller, customer, meter = make_paying(aggregation=aggregation, **unique)
    for figure, day, user in (("3", 5, "ann"), ("4", 25, "bob"), ("9", 15, "ann"), ("4", 10, "bob")):
        report_usage(customer, meter, figure, day=day, properties={"user": user})

    [invoice] = bill(seller, customer, as_of=OCT)

    [(_, _, billed, net)] = used(invoice)
    assert (billed, net) == (quantity, quantity * Decimal("0.125") if quantity != 9 else Decimal("1.13"))


def test_each_combination_of_group_values_is_a_line_rated_by_itself():
    seller, customer, meter = make_paying(GRADUATED, group_by=["region"])
    report_usage(customer, meter, "12", properties={"region": "eu"})
    report_usage(customer, meter, "4", properties={"region": "us"})
    report_usage(customer, meter, "2", properties={"region": "eu"})

    [invoice] = bill(seller, customer, as_of=OCT)

    assert used(invoice) == [("usage", "Storage, region eu", 14, 14), ("usage", "Storage, region us", 4, 4)]
    assert invoice.lines.get(position=1).derivation["group"] == {"region": "eu"}


def test_events_that_the_filter_leaves_out_are_not_billed():
    seller, customer, meter = make_paying(filters=[{"property": "region", "values": ["eu"]}])
    report_usage(customer, meter, "8", properties={"region": "eu"})
    report_usage(customer, meter, "80", properties={"region": "us"})

    [invoice] = bill(seller, customer, as_of=OCT)

    assert used(invoice) == [("usage", "Storage", 8, 1)]
    assert UsageClaim.objects.count() == 1
    assert not queries.customers_due(seller_id=seller.pk, as_of=OCT)


def test_a_tiered_amount_is_divided_by_quantity_and_loses_nothing():
    seller, customer, meter = make_paying(GRADUATED)
    departments = [make_department(entity=customer) for _ in range(3)]
    for department, quantity in zip(departments, ("1", "2", "4"), strict=True):
        report_usage(customer, meter, quantity, department_id=department.pk)
    report_usage(customer, meter, "6", department_id=departments[0].pk)

    [invoice] = bill(seller, customer, as_of=OCT)

    # 10 + 2 + 3 × 0.5 = 13.5, over 7, 2 and 4 of 13
    [line] = invoice.lines.all()
    exact = {share["department"]: Decimal(share["exact"]) for share in line.derivation["shares"]}
    assert sum(exact.values()) == Decimal(line.derivation["exact"]) == Decimal("13.5")
    assert round(exact[str(departments[0].pk)], 6) == Decimal("7.269231")
    assert_invariants_hold()


# --- what comes late ---------------------------------------------------------------------------------


def test_late_usage_is_billed_as_the_difference_it_makes():
    seller, customer, meter = make_paying(GRADUATED)
    report_usage(customer, meter, "8")
    bill(seller, customer, as_of=OCT)
    report_usage(customer, meter, "4")

    [adjusting] = bill(seller, customer, as_of=NOV)

    # 8 -> 12: 10 × 1 + 2 + 2 × 0.5 = 13, less 8
    assert used(adjusting) == [("adjustment", "Storage, adjustment", 4, 5)]
    line = adjusting.lines.get()
    assert line.derivation["before"] == {"quantity": "8", "events": 1, "exact": "8"}
    assert line.derivation["after"] == {"quantity": "12", "events": 2, "exact": "13"}
    assert (line.service_starts_on, adjusting.period_starts_on) == (SEP, OCT)
    assert_invariants_hold()


def test_late_usage_of_a_subscription_goes_to_its_next_invoice():
    subscription = make_subscriber(terms=VOLUME)
    seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "8")
    bill(seller, customer, as_of=OCT)
    report_usage(customer, meter, "4")

    [same_day] = bill(seller, customer, as_of=OCT)

    # volume: 12 × 0.5 + 2 = 8, and 8 was billed
    assert same_day.billing_key == "subscriptions:2024-10-01#2"
    assert used(same_day) == [("adjustment", "Storage, 1–30 Sep 2024, adjustment", 4, 0)]


def test_an_adjustment_below_zero_waits_like_a_credit():
    seller, customer, meter = make_paying(VOLUME)
    report_usage(customer, meter, "10")
    bill(seller, customer, as_of=OCT)  # 10.00
    report_usage(customer, meter, "2")  # 12 × 0.5 + 2 = 8: 2.00 back

    assert draft(seller, customer, as_of=NOV) == []
    assert UsageClaim.objects.count() == 1
    report_usage(customer, meter, "1", month=10)
    report_usage(customer, meter, "5", month=11)
    drafts = bill(seller, customer, as_of=DEC)

    # October has 1.00, which is not enough; November has 5.00
    assert [(d.billing_key, d.net_amount) for d in drafts] == [
        ("usage:2024-10-01", 1),
        ("usage:2024-11-01", 3),
    ]
    assert_invariants_hold()


def test_a_negative_correction_of_a_billed_month_is_given_back():
    seller, customer, meter = make_paying(allows_negative=True)
    report_usage(customer, meter, "80")
    bill(seller, customer, as_of=OCT)
    report_usage(customer, meter, "-8")
    report_usage(customer, meter, "80", month=10)

    [invoice] = bill(seller, customer, as_of=NOV)

    assert sorted(used(invoice)) == [
        ("adjustment", "Storage, adjustment", -8, -1),
        ("usage", "Storage", 80, 10),
    ]
    assert_invariants_hold()


def test_late_usage_joins_the_draft_of_its_month_unless_the_meter_says_next():
    for policy, expected in (
        (LatePolicy.SAME_INVOICE_IF_DRAFT, [("usage:2024-09-01", 2)]),
        (LatePolicy.ADJUST_NEXT, [("usage:2024-09-01", 1)]),
    ):
        seller, customer, meter = make_paying(late_policy=policy)
        report_usage(customer, meter, "8", recorded_on=date(2024, 9, 30))
        report_usage(customer, meter, "8", recorded_on=OCT)

        drafts = draft(seller, customer, as_of=date(2024, 10, 3))

        assert [(d.billing_key, d.net_amount) for d in drafts] == expected


def test_two_drafts_of_one_period_adjust_each_other_and_are_issued_in_order():
    seller, customer, meter = make_paying(GRADUATED, late_policy=LatePolicy.ADJUST_NEXT)
    report_usage(customer, meter, "8", recorded_on=date(2024, 9, 30))
    report_usage(customer, meter, "4", recorded_on=OCT)

    first, second = draft(seller, customer, as_of=NOV)

    assert used(first, second) == [("usage", "Storage", 8, 8), ("adjustment", "Storage, adjustment", 4, 5)]
    with pytest.raises(AdjustsDraft):
        services.issue_invoice(actor="user:1", invoice_id=second.pk, issued_on=NOV)
    assert Invoice.objects.get(pk=second.pk).state == InvoiceState.DRAFT
    for invoice in (first, second):
        services.issue_invoice(actor="user:1", invoice_id=invoice.pk, issued_on=NOV)
    assert_invariants_hold()


def test_late_usage_of_a_subscription_waits_for_the_period_it_was_reported_in_if_the_meter_says_next():
    subscription = make_subscriber(late_policy=LatePolicy.ADJUST_NEXT)
    seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "4", recorded_on=date(2024, 9, 30))
    report_usage(customer, meter, "8", recorded_on=OCT)

    assert used(*bill(seller, customer, as_of=date(2024, 10, 31))) == [
        ("usage", "Storage, 1–30 Sep 2024", 4, 1)
    ]
    assert used(*bill(seller, customer, as_of=NOV)) == [
        ("adjustment", "Storage, 1–30 Sep 2024, adjustment", 8, 2)
    ]


CASES = {
    "flat": (FLAT, Aggregation.SUM),
    "per unit": (PER_UNIT, Aggregation.SUM),
    "per unit, counted": (PER_UNIT, Aggregation.COUNT),
    "per unit, highest": (PER_UNIT, Aggregation.MAX),
    "per unit, latest": (PER_UNIT, Aggregation.LATEST),
    "graduated": (GRADUATED, Aggregation.SUM),
    "graduated, distinct": (GRADUATED, Aggregation.UNIQUE_COUNT),
    "volume": (VOLUME, Aggregation.SUM),
    "package": (PACKAGE, Aggregation.SUM),
    "percentage": (PERCENTAGE, Aggregation.SUM),
    "pass through": (PASS_THROUGH, Aggregation.SUM),
}


@pytest.mark.parametrize("is_subscribed", [False, True], ids=["by month", "subscribed"])
@pytest.mark.parametrize("case", CASES)
def test_whatever_the_order_all_that_is_billed_is_the_price_of_all_events(case, is_subscribed):
    """Random events, reported in random batches, with invoices drafted and issued in between."""
    terms, aggregation = CASES[case]
    chance = random.Random(f"{case} {is_subscribed}")
    unique = {"counted_property": "user"} if aggregation == Aggregation.UNIQUE_COUNT else {}
    fields = {"aggregation": aggregation, "late_policy": chance.choice(list(LatePolicy)[:2]), **unique}
    if is_subscribed:
        subscription = make_subscriber(terms=terms, quantity=Decimal(10), **fields)
        seller, customer, meter = subscription.seller, subscription.entity, meter_of(subscription)
    else:
        seller, customer, meter = make_paying(terms, **fields)
    departments = [None, make_department(entity=customer).pk, make_department(entity=customer).pk]
    costs = {"currency": "EUR"} if terms is PASS_THROUGH else {}
    events = []
    moments = [date(2024, 9, 20), OCT, date(2024, 10, 2), date(2024, 10, 20), NOV, date(2024, 11, 3), DEC]
    for as_of in moments:
        for _ in range(chance.randint(0, 3)):
            quantity = Decimal(chance.randint(0, 40)) / 4
            if costs:
                costs["cost"] = Decimal(chance.randint(1, 10**6)) / 10**5
            events.append(
                report_usage(
                    customer,
                    meter,
                    quantity,
                    day=chance.randint(1, 30 if as_of > date(2024, 9, 20) else 20),
                    recorded_on=as_of,
                    department_id=chance.choice(departments),
                    properties={"user": chance.choice(["ann", "bob", "eve"])},
                    **costs,
                )
            )
        chance.choice([draft, bill, bill])(seller, customer, as_of=as_of)
    # Enough for whatever waits to be set off against.
    report_usage(customer, make_sold_meter(seller), "100000", month=12)
    bill(seller, customer, as_of=JAN)

    lines = InvoiceLine.objects.filter(
        derivation__meter=str(meter.pk), invoice__number__isnull=False, invoice__customer=customer
    )
    billed = sum(Decimal(line.derivation["exact"]) for line in lines)
    assert events
    assert billed == price_of_all(meter, events)
    claims = UsageClaim.objects.filter(released_at=None, event__in=[event.pk for event in events])
    assert sorted(claims.values_list("event_id", flat=True)) == sorted(event.pk for event in events)
    for line in lines:
        assert sum(Decimal(s["exact"]) for s in line.derivation["shares"]) == Decimal(
            line.derivation["exact"]
        )
    assert_invariants_hold()


def price_of_all(meter, events) -> Decimal:
    quantities = [event.quantity for event in events]
    quantity = {
        Aggregation.SUM: sum(quantities),
        Aggregation.COUNT: Decimal(len(events)),
        Aggregation.MAX: max(quantities),
        Aggregation.LATEST: max(events, key=lambda event: (event.occurred_at, event.pk)).quantity,
        Aggregation.UNIQUE_COUNT: Decimal(len({event.properties["user"] for event in events})),
    }[meter.aggregation]
    terms = meter.product.prices.get().terms
    if terms.model == PriceModel.PASS_THROUGH:
        quantity = sum(event.cost for event in events)
    return terms.exact_amount(quantity, events=len(events))
