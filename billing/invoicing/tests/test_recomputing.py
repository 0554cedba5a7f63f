"""Every line comes out again from what is stored, and a line that was tampered with does not."""

import json
from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.tests.makers import (
    make_seller,
    make_sold_meter,
    make_subscriber,
    make_terms,
    meter_of,
    report_usage,
)
from billing.invoicing.tests.test_usage_rating import (
    CASES,
    GRADUATED,
    PASS_THROUGH,
    bill,
    make_paying,
)
from billing.invoicing.verification.services.recalculation import differences_in, recompute
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.subscriptions import services as subscriptions
from billing.subscriptions.tests.makers import make_product
from billing.usage.models import Aggregation
from billing.usage.tests.makers import make_meter

pytestmark = pytest.mark.django_db

SEP, MIDDLE, OCT, NOV = date(2024, 9, 1), date(2024, 9, 16), date(2024, 10, 1), date(2024, 11, 1)


def tamper(statement: str) -> None:
    """As somebody with the keys to the database could."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        assert cursor.rowcount == 1
        cursor.execute("SET session_replication_role = origin")


def differing() -> list[tuple[str, str, str]]:
    """What, stored and recomputed, over all invoices."""
    return [
        (each.what, each.stored, each.recomputed)
        for _, differences in recompute(Invoice.objects.exclude(number=None))
        for each in differences
    ]


@pytest.mark.parametrize("case", CASES)
def test_usage_late_usage_and_what_was_tampered_with(case):
    terms, aggregation = CASES[case]
    unique = {"counted_property": "user"} if aggregation == Aggregation.UNIQUE_COUNT else {}
    seller, customer, meter = make_paying(terms, aggregation=aggregation, **unique)
    cost = {"cost": Decimal("20.123456"), "currency": "EUR"} if terms is PASS_THROUGH else {}
    for quantity, user in (("8", "ann"), ("3", "bob")):
        report_usage(customer, meter, quantity, properties={"user": user}, **cost)
    bill(seller, customer, as_of=OCT)
    report_usage(customer, meter, "40", day=20, properties={"user": "eve"}, **cost)
    bill(seller, customer, as_of=NOV)
    kinds = list(InvoiceLine.objects.order_by("invoice__issued_on").values_list("kind", flat=True))
    assert kinds == ["usage", "adjustment"]

    assert differing() == []

    late = InvoiceLine.objects.get(kind="adjustment")
    tamper(f"UPDATE invoice_lines SET net_amount = net_amount + 1 WHERE id = '{late.pk}'")
    assert [(what, Decimal(stored), Decimal(found)) for what, stored, found in differing()] == [
        ("net amount", late.net_amount + 1, late.net_amount)
    ]


def test_a_changed_exact_amount_a_changed_quantity_and_a_lost_share_are_told():
    seller, customer, meter = make_paying(GRADUATED)
    report_usage(customer, meter, "8")
    bill(seller, customer, as_of=OCT)
    tamper('UPDATE invoice_lines SET quantity = 9, derivation = derivation || \'{"exact": "9"}\'')

    assert differing() == [("exact amount", "9", "8"), ("quantity", "9", "8")]

    tamper(
        'UPDATE invoice_lines SET quantity = 8, derivation = derivation || \'{"exact": "8", "shares": []}\''
    )
    assert differing() == [("shares of departments", "0", "8")]


def test_an_event_taken_from_its_line_is_told():
    seller, customer, meter = make_paying()
    report_usage(customer, meter, "8")
    report_usage(customer, meter, "80")
    bill(seller, customer, as_of=OCT)
    tamper("DELETE FROM usage_claims WHERE id = (SELECT max(id) FROM usage_claims)")

    assert {what for what, *_ in differing()} == {
        "exact amount",
        "shares of departments",
        "events",
        "quantity",
        "net amount",
    }


def test_a_stream_of_costs_is_rounded_over_the_whole_invoice():
    seller = make_seller()
    customer = make_entity(parent=seller)
    for cost in ("0.004", "0.004", "0.0069992", "0.0000008"):
        meter = make_sold_meter(seller, markup_percent="0")
        report_usage(customer, meter, "0", cost=Decimal(cost), currency="EUR")
    [invoice] = bill(seller, customer, as_of=OCT)
    assert invoice.net_amount == Decimal("0.02")

    assert differing() == []

    line = InvoiceLine.objects.filter(net_amount=0).first()
    tamper(f"UPDATE invoice_lines SET net_amount = 0.01 WHERE id = '{line.pk}'")
    assert differing() == [("net amount", "0.01", "0")]


def test_charges_credits_one_offs_and_trials_come_out_again():
    seller = make_seller()
    subscription = make_subscriber(seller, quantity=Decimal(3), trial_days=10)
    customer, meter = subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "8", day=5)
    bill(seller, customer, as_of=date(2024, 9, 11))
    subscriptions.change_subscription(
        actor="test", subscription_id=subscription.pk, quantity=Decimal(7), as_of=MIDDLE
    )
    report_usage(customer, meter, "8", day=20)
    subscriptions.cancel_subscription(actor="test", subscription_id=subscription.pk, as_of=date(2024, 9, 25))
    bill(seller, customer, as_of=date(2024, 9, 25))
    descriptions = set(InvoiceLine.objects.values_list("description", flat=True))
    assert descriptions >= {
        "Storage, 1–10 Sep 2024, trial",
        "Seats, 11 Sep – 10 Oct 2024",
        "Seats, unused days, 16 Sep – 10 Oct 2024",
        "Seats, rest of the period, 16 Sep – 10 Oct 2024",
    }

    assert differing() == []

    line = InvoiceLine.objects.get(description="Seats, unused days, 16 Sep – 10 Oct 2024")
    tamper(
        f"UPDATE invoice_lines SET derivation = derivation || '{{\"days\": \"24/31\"}}' WHERE id = '{line.pk}'"
    )
    assert differing() == [("exact amount", "-75", "nothing")]


def test_a_price_of_another_figure_is_told():
    seller, customer, meter = make_paying()
    report_usage(customer, meter, "8")
    bill(seller, customer, as_of=OCT)
    tamper("UPDATE prices SET unit_price = 1")

    assert differing() == [
        ("exact amount", "1", "8"),
        ("shares of departments", "1", "8"),
        ("net amount", "1", "8"),
    ]


def test_the_lines_of_a_void_invoice_still_come_out():
    seller, customer, meter = make_paying(GRADUATED)
    report_usage(customer, meter, "8")
    [invoice] = bill(seller, customer, as_of=OCT)
    tamper("UPDATE usage_claims SET released_at = now()")

    assert differences_in(Invoice.objects.get(pk=invoice.pk)) == []


def test_a_constant_number_of_statements(django_assert_num_queries):
    seller = make_seller()
    product = make_product(entity=seller)
    make_terms(product, **GRADUATED)
    meter = make_meter(entity=seller, product=product)

    def billed(count: int):
        customers = [make_entity(parent=seller) for _ in range(count)]
        for customer in customers:
            report_usage(customer, meter, "8")
        return Invoice.objects.filter(pk__in=[d.pk for d in bill(seller, *customers, as_of=OCT)])

    few, many = billed(1), billed(5)
    with django_assert_num_queries(5):
        [(lines, found)] = recompute(few)
    assert (lines, found) == (1, [])
    with django_assert_num_queries(5):
        [(lines, found)] = recompute(many)
    assert (lines, found) == (5, [])


def test_the_command_says_what_differs_and_fails():
    seller, customer, meter = make_paying()
    report_usage(customer, meter, "8")
    bill(seller, customer, as_of=OCT)
    out = StringIO()
    call_command("verify_invoice_lines", month=OCT, seller=seller.code, stdout=out)
    assert out.getvalue() == "lines=1 differences=0\n"
    out = StringIO()
    call_command("verify_invoice_lines", month=NOV, json=True, stdout=out)
    assert json.loads(out.getvalue()) == {"lines": 0, "differences": []}
    tamper("UPDATE invoice_lines SET net_amount = 2")
    out = StringIO()

    with pytest.raises(CommandError, match="1 difference"):
        call_command("verify_invoice_lines", invoice=Invoice.objects.get().number, stdout=out)

    assert out.getvalue().splitlines() == [
        "INV-2024-000001 line 1: net amount is 2, recomputed 1 (rounding of the recomputed amount)",
        "lines=1 differences=1",
    ]


def test_the_command_wants_to_know_which():
    with pytest.raises(CommandError, match="Say which"):
        call_command("verify_invoice_lines")
    with pytest.raises(CommandError, match="no such invoice"):
        call_command("verify_invoice_lines", invoice="INV-1")


def test_the_proof_recomputes_and_does_not_hold_where_a_line_differs(api):
    seller, customer, meter = make_paying(GRADUATED)
    report_usage(customer, meter, "12")
    [invoice] = bill(seller, customer, as_of=OCT)
    client = api(make_grant(role="AU", entity=seller).user)
    url = f"/api/v1/enterprise-billing/invoices/{invoice.pk}/allocations"
    assert (client.get(url).json()["holds"], client.get(url).json()["differences"]) == (True, [])
    tamper("UPDATE invoice_lines SET quantity = 1")

    shown = client.get(url).json()

    assert shown["holds"] is False
    assert [(d["what"], d["stored"], d["recomputed"]) for d in shown["differences"]] == [
        ("quantity", "1", "12")
    ]
    assert proof_of(Invoice.objects.get()).holds is False
