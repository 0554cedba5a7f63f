"""What is subscribed is invoiced: charges as they are, credits as far as they fit."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import queries, services
from billing.invoicing.models import AllocationBasis, ChargeClaim, CostAllocation, Invoice, InvoiceLine
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import (
    make_seller,
    make_sold_meter,
    make_subscriber,
    make_tax_rate,
    make_usage,
    meter_of,
)
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.subscriptions import services as subscriptions
from billing.subscriptions.models import SubscriptionCharge
from billing.subscriptions.tests.makers import make_plan

pytestmark = pytest.mark.django_db

SEP, MIDDLE, OCT, NOV = date(2024, 9, 1), date(2024, 9, 16), date(2024, 10, 1), date(2024, 11, 1)


def draft(subscription, as_of=SEP) -> list[Invoice]:
    return services.draft_invoices(
        actor="user:1",
        seller_id=subscription.seller_id,
        customer_ids=[subscription.entity_id],
        as_of=as_of,
    )


def issue(*drafts: Invoice, on: date) -> None:
    services.issue_invoices(actor="user:1", invoice_ids=[d.pk for d in drafts], issued_on=on)


def bill(subscription, as_of=SEP) -> list[Invoice]:
    drafts = draft(subscription, as_of)
    issue(*drafts, on=as_of)
    return list(Invoice.objects.filter(pk__in=[d.pk for d in drafts]).order_by("billing_key"))


def lines_of(invoice: Invoice) -> list[tuple[str, str, str]]:
    return [
        (line.kind, line.description, f"{line.net_amount:.2f}") for line in invoice.lines.order_by("position")
    ]


def cancel(subscription, as_of, **options):
    subscriptions.cancel_subscription(actor="user:1", subscription_id=subscription.pk, as_of=as_of, **options)


def test_a_charge_becomes_a_line_with_all_that_it_says():
    seller = make_seller()
    customer = make_entity(parent=seller)
    department = make_department(entity=customer)
    subscription = make_subscriber(seller, entity=customer, quantity=Decimal(2), department_id=department.pk)
    charge = subscription.charges.get()

    [invoice] = bill(subscription)

    assert (invoice.billing_key, invoice.net_amount, invoice.total_amount) == (
        "subscriptions:2024-09-01",
        60,
        Decimal("71.40"),
    )
    assert (invoice.period_starts_on, invoice.period_ends_on) == (SEP, OCT)
    line = invoice.lines.get()
    assert (line.kind, line.description) == ("subscription", "Seats, 1–30 Sep 2024")
    assert (line.quantity, line.unit, line.unit_price, line.gl_code) == (2, "seat", 30, "6400")
    assert (line.service_starts_on, line.service_ends_on) == (SEP, OCT)
    assert (line.derivation["from"], line.derivation["charge"], line.derivation["days"]) == (
        "charge",
        str(charge.pk),
        "30/30",
    )
    assert line.derivation["shares"] == [{"department": str(department.pk), "exact": "60"}]
    share = CostAllocation.objects.get()
    assert (share.department_id, share.basis) == (department.pk, AllocationBasis.ASSIGNED)
    assert ChargeClaim.objects.get().charge_id == charge.pk
    assert_invariants_hold()


def test_a_charge_is_invoiced_once():
    subscription = make_subscriber()
    bill(subscription)

    assert draft(subscription) == []
    assert draft(subscription, MIDDLE) == []
    assert ChargeClaim.objects.count() == 1


def test_a_charge_waits_until_it_is_due():
    subscription = make_subscriber(starts_on=OCT, as_of=SEP)

    assert draft(subscription, date(2024, 9, 30)) == []
    [invoice] = draft(subscription, OCT)

    assert lines_of(invoice) == [("subscription", "Seats, 1–31 Oct 2024", "30.00")]


def test_drafting_again_on_another_day_makes_the_same_draft_anew():
    subscription = make_subscriber()
    [first] = draft(subscription)

    [second] = draft(subscription, MIDDLE)

    assert (second.pk, second.billing_key) == (first.pk, "subscriptions:2024-09-16")
    assert second.version > first.version
    assert (Invoice.objects.count(), InvoiceLine.objects.count(), ChargeClaim.objects.count()) == (1, 1, 1)


def test_what_becomes_due_after_the_days_invoice_was_issued_has_its_own():
    subscription = make_subscriber()
    bill(subscription)
    subscriptions.change_subscription(
        actor="user:1", subscription_id=subscription.pk, quantity=Decimal(3), as_of=SEP
    )

    [more] = bill(subscription)

    assert more.billing_key == "subscriptions:2024-09-01#2"
    assert lines_of(more) == [
        ("subscription", "Seats, unused days, 1–30 Sep 2024", "-30.00"),
        ("subscription", "Seats, rest of the period, 1–30 Sep 2024", "90.00"),
    ]
    assert_invariants_hold()


def test_a_change_in_the_middle_is_credited_and_charged_by_days():
    subscription = make_subscriber()
    bill(subscription)
    subscriptions.change_subscription(
        actor="user:1", subscription_id=subscription.pk, quantity=Decimal(3), as_of=MIDDLE
    )

    [invoice] = bill(subscription, MIDDLE)

    # 15 of 30 days: 30 × 15/30 = 15.00 back, 90 × 15/30 = 45.00
    assert lines_of(invoice) == [
        ("subscription", "Seats, unused days, 16–30 Sep 2024", "-15.00"),
        ("subscription", "Seats, rest of the period, 16–30 Sep 2024", "45.00"),
    ]
    assert (invoice.net_amount, invoice.tax_amount, invoice.total_amount) == (
        30,
        Decimal("5.70"),
        Decimal("35.70"),
    )
    assert_invariants_hold()


def test_a_credit_waits_for_an_invoice_that_has_enough_to_set_it_off_against():
    subscription = make_subscriber(quantity=Decimal(10))
    bill(subscription)
    subscriptions.change_subscription(
        actor="user:1", subscription_id=subscription.pk, quantity=Decimal(1), as_of=MIDDLE
    )

    # 300 × 15/30 back is more than 30 × 15/30
    [invoice] = bill(subscription, MIDDLE)

    assert lines_of(invoice) == [("subscription", "Seats, rest of the period, 16–30 Sep 2024", "15.00")]
    [credit] = queries.pending_credits(subscription_ids=[subscription.pk])
    assert credit.amount == -150
    make_usage(subscription.entity, meter_of(subscription), "600")  # 150.00
    [following] = bill(subscription, OCT)
    assert lines_of(following) == [
        ("subscription", "Seats, unused days, 16–30 Sep 2024", "-150.00"),
        ("subscription", "Seats, 1–31 Oct 2024", "30.00"),
        ("usage", "Storage, 1–30 Sep 2024", "150.00"),
    ]
    assert not queries.pending_credits(subscription_ids=[subscription.pk])
    assert_invariants_hold()


def test_credits_that_fit_join_the_oldest_first():
    subscription = make_subscriber(quantity=Decimal(10))
    bill(subscription)
    for quantity, day in ((4, 16), (2, 21), (1, 26)):
        subscriptions.change_subscription(
            actor="user:1",
            subscription_id=subscription.pk,
            quantity=Decimal(quantity),
            as_of=date(2024, 9, day),
        )

    # charged 60, 20, 5; back 150 on the 16th (does not fit), 40 on the 21st (fits), 10 on the 26th (fits)
    [invoice] = bill(subscription, date(2024, 9, 26))

    assert invoice.net_amount == 35
    [credit] = queries.pending_credits(subscription_ids=[subscription.pk])
    assert (credit.due_on, credit.amount) == (MIDDLE, -150)
    assert_invariants_hold()


def test_credits_alone_make_no_invoice():
    subscription = make_subscriber()
    bill(subscription)
    cancel(subscription, MIDDLE)

    assert draft(subscription, MIDDLE) == []
    assert (Invoice.objects.count(), ChargeClaim.objects.count()) == (1, 1)
    assert queries.pending_credits(subscription_ids=[subscription.pk]).count() == 1


def test_a_total_of_exactly_nothing_takes_the_credit_in():
    subscription = make_subscriber()
    bill(subscription)
    cancel(subscription, MIDDLE)
    make_usage(subscription.entity, meter_of(subscription), "60", day=10)  # 15.00

    [invoice] = bill(subscription, MIDDLE)

    assert (invoice.total_amount, invoice.state) == (0, InvoiceState.PAID)
    assert_invariants_hold()


def test_a_credit_taxed_higher_than_the_charges_waits_if_the_total_with_tax_were_negative():
    seller = make_seller()
    subscription = make_subscriber(seller)
    bill(subscription)
    cancel(subscription, MIDDLE)  # 15.00 back, with 19 %
    untaxed = make_sold_meter(seller, tax_category="Z", unit_price="1")
    plan = make_plan(
        entity=seller,
        items=[(untaxed.product, "in_advance", "fixed")],
        prices=[],
    )
    subscriptions.create_subscription(
        actor="user:1", entity_id=subscription.entity_id, plan_id=plan.pk, starts_on=MIDDLE, as_of=MIDDLE
    )  # 1.00 without tax
    make_usage(subscription.entity, meter_of(subscription), "56", day=10)  # 14.00, with 19 %

    # net 1 + 14 - 15 = 0, but tax -0.19
    [invoice] = draft(subscription, MIDDLE)

    assert invoice.net_amount == 15
    assert queries.pending_credits(subscription_ids=[subscription.pk]).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_void_invoice_lets_go_of_its_charges():
    subscription = make_subscriber()
    [invoice] = bill(subscription)
    services.void_invoice(actor="user:1", invoice_id=invoice.pk, voided_on=SEP, reason="wrong")

    [again] = bill(subscription)

    assert (again.billing_key, lines_of(again)) == ("subscriptions:2024-09-01", lines_of(invoice))
    assert [claim.released_at is None for claim in ChargeClaim.objects.order_by("pk")] == [False, True]
    assert_invariants_hold()


def test_what_is_billed_in_advance_is_taxed_at_the_rate_of_the_day_it_is_billed():
    seller = make_seller()
    make_tax_rate(country="DE", percent=Decimal(21), starts_on=date(2024, 9, 20))
    subscription = make_subscriber(seller)

    [invoice] = draft(subscription)

    assert invoice.tax_amount == Decimal("5.70")


def test_subscriptions_and_usage_outside_them_are_invoiced_apart():
    seller = make_seller()
    subscription = make_subscriber(seller)
    make_usage(subscription.entity, make_sold_meter(seller), "8", month=8)

    drafts = draft(subscription)

    assert sorted((d.billing_key, d.net_amount) for d in drafts) == [
        ("subscriptions:2024-09-01", 30),
        ("usage:2024-08-01", 2),
    ]


def test_the_number_of_statements_does_not_grow_with_subscribers():
    seller = make_seller()

    def statements(count: int) -> int:
        made = [make_subscriber(seller) for _ in range(count)]
        for subscription in made:
            make_usage(subscription.entity, meter_of(subscription), "4")
        with CaptureQueriesContext(connection) as captured:
            drafts = services.draft_invoices(
                actor="user:1",
                seller_id=seller.pk,
                customer_ids=[s.entity_id for s in made],
                as_of=OCT,
            )
            issue(*drafts, on=OCT)
        assert [d.net_amount for d in drafts] == [61] * count
        return len(captured)

    statements(1)  # the seller's accounts and month are made once
    assert statements(2) == statements(6)


def test_a_run_bills_who_only_subscribes_and_finds_nothing_more():
    subscription = make_subscriber(starts_on=date(2024, 8, 1), as_of=date(2024, 8, 1))

    def run(as_of) -> list[tuple[str, Decimal]]:
        started = services.start_billing_run(actor="user:1", seller_id=subscription.seller_id, as_of=as_of)
        finished = services.continue_billing_run(actor="user:1", run_id=started.pk)
        return list(finished.invoices.order_by("sequence").values_list("billing_key", "net_amount"))

    assert run(SEP) == [("subscriptions:2024-09-01", 60)]
    assert run(SEP) == [("subscriptions:2024-09-01", 60)]
    assert run(OCT) == [("subscriptions:2024-10-01", 30)]
    assert not queries.customers_due(seller_id=subscription.seller_id, as_of=OCT)
    assert_invariants_hold()


def test_the_preview_rolls_forward_as_the_run_will_and_changes_nothing():
    subscription = make_subscriber()
    make_usage(subscription.entity, meter_of(subscription), "40")

    preview = services.preview_billing(seller_id=subscription.seller_id, as_of=OCT)

    assert preview.refused == {}
    assert (SubscriptionCharge.objects.count(), Invoice.objects.count()) == (1, 0)
    assert [(i.billing_key, i.net_amount) for i in preview.invoices] == [("subscriptions:2024-10-01", 70)]
    assert [(i.billing_key, i.net_amount, i.number) for i in bill(subscription, OCT)] == [
        (i.billing_key, i.net_amount, i.number) for i in preview.invoices
    ]


@pytest.mark.django_db(transaction=True)
def test_two_drafters_bill_each_charge_once():
    subscription = make_subscriber()

    with transaction.atomic():
        bill(subscription)
        rival = start_rival(lambda: draft(subscription))

    assert rival.result(timeout=5) == []
    assert (Invoice.objects.count(), ChargeClaim.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_drafting_waits_for_who_rolls_forward_and_bills_what_that_charged():
    subscription = make_subscriber()

    with transaction.atomic():
        subscriptions.roll_forward(
            actor="user:2", seller_id=subscription.seller_id, entity_ids=[subscription.entity_id], as_of=OCT
        )
        rival = start_rival(lambda: draft(subscription, OCT))

    [invoice] = rival.result(timeout=5)
    assert invoice.net_amount == 60
    assert SubscriptionCharge.objects.count() == ChargeClaim.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM charge_claims",
        "UPDATE charge_claims SET released_at = now()",
        "TRUNCATE charge_claims",
        "INSERT INTO charge_claims (charge_id, line_id) SELECT charge_id, line_id FROM charge_claims",
        "UPDATE usage_claims SET released_at = now()",
        "DELETE FROM usage_claims",
    ],
)
def test_claims_of_an_issued_invoice_are_final_also_for_raw_sql(statement):
    subscription = make_subscriber()
    make_usage(subscription.entity, meter_of(subscription), "4")
    bill(subscription, OCT)

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)

    assert ChargeClaim.objects.filter(released_at=None).count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_line_that_bills_a_charge_at_another_amount_cannot_be_committed():
    subscription = make_subscriber()
    draft(subscription)

    with pytest.raises(IntegrityError, match="does not bill its charge in full"), transaction.atomic():
        ChargeClaim.objects.all().delete()
        InvoiceLine.objects.update(net_amount=Decimal(29))
        ChargeClaim.objects.create(charge=subscription.charges.get(), line=InvoiceLine.objects.get())

    assert InvoiceLine.objects.get().net_amount == 30
