"""Prices of the catalogue that include tax: what is subscribed and used costs what was told, or a minor unit less."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.tests.makers import (
    make_discount,
    make_discount_grant,
    make_seller,
    meter_of,
    report_usage,
)
from billing.invoicing.tests.test_subscription_invoices import MIDDLE, NOV, OCT, SEP, bill, cancel, draft
from billing.invoicing.tests.test_usage_rating import FLAT, GRADUATED, PACKAGE, PER_UNIT, PERCENTAGE, VOLUME
from billing.invoicing.verification.services.recalculation import differences_in
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.kernel.invariant_checks import find_violations
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions import services as subscriptions
from billing.subscriptions.models import Price, Subscription
from billing.subscriptions.tests.makers import make_plan, make_product, make_subscription
from billing.usage.tests.makers import make_meter

pytestmark = pytest.mark.django_db


def make_told(
    unit_price="119", *, terms=None, seller=None, country="DE", tax_id="", **overrides
) -> Subscription:
    """Seats in advance at a price with tax, and usage in arrears at another; monthly from 1 September 2024 on."""
    seller = seller or make_seller()
    seats = make_product(entity=seller, name="Seats", unit="seat")
    used = make_product(entity=seller, name="Storage")
    plan = make_plan(
        entity=seller,
        items=[(seats, "in_advance", "quantity"), (used, "in_arrears", "usage")],
        prices=[
            {"currency": "EUR", "unit_price": Decimal(unit_price), "tax_inclusive": True},
            {"currency": "EUR", "tax_inclusive": True} | (terms or PER_UNIT),
        ],
    )
    make_meter(entity=seller, product=used)
    entity = make_entity(parent=seller, country=country, tax_id=tax_id)
    return make_subscription(plan=plan, entity=entity, **overrides)


def figures(invoice: Invoice) -> tuple[Decimal, Decimal, Decimal]:
    return invoice.net_amount, invoice.tax_amount, invoice.total_amount


def test_what_a_seat_is_told_to_cost_is_what_is_paid():
    subscription = make_told(quantity=Decimal(2))

    [invoice] = bill(subscription)

    assert figures(invoice) == (200, 38, 238)
    line = invoice.lines.get()
    assert (line.unit_price, line.inclusive_unit_price, line.inclusive_amount) == (None, 119, 238)
    assert (subscription.charges.get().amount, line.derivation["tax_inclusive"]) == (238, True)
    assert proof_of(invoice).holds
    assert_invariants_hold()


def test_where_no_net_makes_it_a_cent_less_is_paid():
    [invoice] = bill(make_told("9.99"))

    assert figures(invoice) == (Decimal("8.39"), Decimal("1.59"), Decimal("9.98"))


def test_a_customer_that_owes_no_tax_pays_the_price_as_its_net():
    [invoice] = bill(make_told(country="FR", tax_id="FR40303265045"))

    assert figures(invoice) == (119, 0, 119)


def test_a_discount_is_off_the_net_of_the_price():
    subscription = make_told()
    make_discount_grant(subscription.entity, make_discount(subscription.seller))

    [invoice] = bill(subscription)

    assert figures(invoice) == (90, Decimal("17.10"), Decimal("107.10"))
    assert differences_in(invoice) == []


def test_a_change_credits_and_charges_the_days_left_at_prices_with_tax():
    subscription = make_told(quantity=Decimal(2))
    bill(subscription)

    preview = subscriptions.preview_change(subscription_id=subscription.pk, quantity=Decimal(3), as_of=MIDDLE)
    subscriptions.change_subscription(
        actor="user:1", subscription_id=subscription.pk, quantity=Decimal(3), as_of=MIDDLE
    )
    [invoice] = bill(subscription, MIDDLE)

    # 15 of 30 days: 119.00 of two seats back, 178.50 of three; 59.50 is told, 50.00 and 9.50.
    assert (preview.total, preview.inclusive_total) == (0, Decimal("59.50"))
    assert sorted(line.inclusive_amount for line in invoice.lines.all()) == [-119, Decimal("178.50")]
    assert figures(invoice) == (50, Decimal("9.50"), Decimal("59.50"))
    assert differences_in(invoice) == []
    assert_invariants_hold()


def test_unused_days_are_credited_with_their_tax_and_their_discount():
    subscription = make_told()
    make_discount_grant(subscription.entity, make_discount(subscription.seller))
    bill(subscription)
    cancel(subscription, MIDDLE)
    make_subscription(plan=subscription.plan, entity=subscription.entity, starts_on=MIDDLE)

    [invoice] = bill(subscription, MIDDLE)

    # 50.00 and its tenth back; the new one begins at 100.00 less a tenth.
    assert sorted((line.gross_amount, line.net_amount) for line in invoice.lines.all()) == [
        (-50, -45),
        (100, 90),
    ]
    assert figures(invoice) == (45, Decimal("8.55"), Decimal("53.55"))
    assert_invariants_hold()


@pytest.mark.parametrize("terms", [FLAT, PER_UNIT, GRADUATED, VOLUME, PACKAGE, PERCENTAGE])
def test_usage_and_what_comes_late_of_it_are_told_with_tax_under_every_model(terms):
    subscription = make_told(terms=terms)
    bill(subscription)
    customer, meter = subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "8")
    [first] = bill(subscription, OCT)
    report_usage(customer, meter, "40", day=20)
    [second] = bill(subscription, NOV)

    terms_of = Price.objects.get(product=meter.product).terms
    lines = list(InvoiceLine.objects.filter(derivation__from="usage").order_by("invoice__issued_on"))
    told = [line.inclusive_amount for line in lines]
    assert lines[0].kind == "usage"
    assert told[0] == round(terms_of.exact_amount(Decimal(8), events=1), 2)
    if terms is FLAT:
        assert told[1:] == [0]
    else:
        assert lines[1].kind == "adjustment"
        assert abs(sum(told) - terms_of.exact_amount(Decimal(48), events=2)) <= Decimal("0.01")
    for invoice in (first, second):
        with_tax = sum(line.inclusive_amount for line in invoice.lines.all())
        assert invoice.total_amount in (with_tax, with_tax - Decimal("0.01"))
        assert differences_in(invoice) == []
    assert_invariants_hold()


def test_a_preview_is_what_is_then_issued():
    subscription = make_told("9.99", quantity=Decimal(7))

    shown = services.preview_billing(seller_id=subscription.seller_id, as_of=SEP)
    [invoice] = bill(subscription)

    assert [each.total_amount for each in shown.invoices] == [invoice.total_amount]


WITHOUT = {"inclusive_amount": None, "inclusive_unit_price": None, "unit_price": 100}


def test_a_line_of_a_charge_includes_tax_exactly_if_its_price_does():
    [invoice] = draft(make_told())

    with pytest.raises(IntegrityError, match="does not bill its charge in full"), transaction.atomic():
        invoice.lines.update(**WITHOUT)
        as_if_committed()

    assert invoice.lines.get().inclusive_amount == 119


def test_a_line_that_does_not_say_what_its_price_says_is_found():
    [invoice] = draft(make_told())
    as_if_committed()

    invoice.lines.update(**WITHOUT)

    assert [(each.what, each.stored, each.recomputed) for each in differences_in(invoice)] == [
        ("amount with tax", "nothing", "119")
    ]
    assert [found.invariant.split()[0] for found in find_violations() if found.violations] == ["S2", "T2"]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    prices=st.lists(st.tuples(st.decimals("0.01", 500, places=2), st.booleans()), min_size=1, max_size=5),
    percent=st.sampled_from([5, 7, 19, 20, 21, 25]),
    day=st.integers(2, 30),
)
def test_any_mixture_on_a_plan_comes_to_what_was_told_or_a_cent_less(prices, percent, day):
    seller = make_seller()
    country = {5: "FR", 7: "PL", 19: "DE", 20: "AT", 21: "NL", 25: "SE"}[percent]
    services.add_tax_rate(
        actor="test", country=country, category="S", percent=Decimal(percent), starts_on=date(2020, 1, 1)
    )
    products = [make_product(entity=seller) for _ in prices]
    plan = make_plan(
        entity=seller,
        products=products,
        prices=[
            {"currency": "EUR", "unit_price": price, "tax_inclusive": inclusive}
            for price, inclusive in prices
        ],
    )
    customer = make_entity(parent=seller, country="DE")
    BillingEntity.objects.filter(pk=customer.pk).update(country=country)
    starts_on = date(2024, 9, day)
    subscription = make_subscription(plan=plan, entity=customer, starts_on=starts_on, alignment="calendar")

    drafts = draft(subscription, starts_on)

    charges = list(subscription.charges.select_related("item__price"))
    with_tax = sum((c.amount for c in charges if c.tax_inclusive), Decimal(0))
    beside = sum((c.amount for c in charges if not c.tax_inclusive), Decimal(0))
    most = with_tax + beside + (beside * percent / 100).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    allowed = {most, most - Decimal("0.01")} if with_tax else {most}
    for invoice in drafts:
        assert invoice.total_amount in allowed
        [tax] = invoice.taxes.all()
        assert tax.taxable_amount == sum(line.net_amount for line in invoice.lines.all())
        assert tax.tax_amount == (tax.taxable_amount * percent / 100).quantize(
            Decimal("0.01"), "ROUND_HALF_UP"
        )
        assert differences_in(invoice) == []
