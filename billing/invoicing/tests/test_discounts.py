"""Discounts: offered, granted, taken off invoices by the code that makes every draft, and given back."""

from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.errors import (
    DiscountCodeTaken,
    DiscountGrantEnds,
    DiscountGrantOverlaps,
    DiscountNotOffered,
    DiscountUsedUp,
    NotTheSeller,
)
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import Discount, DiscountGrant, DiscountUse, Invoice, InvoiceLine
from billing.invoicing.tests.makers import (
    AS_OF,
    make_discount,
    make_discount_grant,
    make_draft,
    make_one_off,
    make_seller,
    make_sold_meter,
    make_subscriber,
    make_usage,
    meter_of,
    one_off_line,
    report_usage,
)
from billing.invoicing.verification.services.recalculation import differences_in
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.kernel.errors import Invalid, NotFound, PreconditionFailed
from billing.kernel.models import AuditEntry
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.subscriptions import services as subscriptions
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db

SEPTEMBER, OCTOBER, NOVEMBER = date(2024, 9, 1), date(2024, 10, 1), date(2024, 11, 1)


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def customer(seller):
    return make_entity(parent=seller)


def drafts(customer, seller, as_of=AS_OF) -> list[Invoice]:
    made = services.draft_invoices(actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=as_of)
    return [Invoice.objects.get(pk=invoice.pk) for invoice in made]


def figures(invoice: Invoice) -> list[tuple]:
    """(gross, discount, net) of each line."""
    return [
        (line.gross_amount, line.discount_amount, line.net_amount)
        for line in invoice.lines.order_by("position")
    ]


def issue(invoice: Invoice, day=AS_OF) -> Invoice:
    services.issue_invoice(actor="test", invoice_id=invoice.pk, issued_on=day)
    as_if_committed()
    return Invoice.objects.get(pk=invoice.pk)


def found_by(check: str) -> list:
    [query] = [sql for name, sql in CHECKS.items() if name.startswith(f"{check} ")]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


# --- off the lines ---------------------------------------------------------------------------------


def test_a_percentage_is_in_the_line_and_tax_is_on_what_is_left(seller, customer):
    make_discount_grant(customer, make_discount(seller, percent=Decimal("12.5")))

    invoice = make_draft(seller=seller, customer=customer)

    assert figures(invoice) == [(100, Decimal("12.5"), Decimal("87.5"))]
    assert (invoice.net_amount, invoice.tax_amount, invoice.total_amount) == (
        Decimal("87.50"),
        Decimal("16.63"),  # 19 % of 87.50 is 16.625
        Decimal("104.13"),
    )
    [told] = invoice.lines.get().derivation["discounts"]
    assert (told["code"], told["percent"], told["amount"], told["period"]) == ("D1", "12.5", "12.5", None)
    proof = proof_of(issue(invoice))
    assert proof.holds
    assert_invariants_hold()


def test_the_departments_have_it_in_the_proportions_of_the_gross(seller, customer):
    other = make_department(entity=customer)
    meter = make_sold_meter(seller)
    make_usage(customer, meter, "300")
    make_usage(customer, meter, "100", department=other)
    make_discount_grant(customer, make_discount(seller, percent=Decimal(50)))

    [invoice] = drafts(customer, seller)

    shares = issue(invoice).allocations.all()
    assert sorted(share.net_amount for share in shares) == [Decimal("12.5"), Decimal("37.5")]
    assert_invariants_hold()


def test_percentages_come_before_amounts_whatever_was_granted_first(seller, customer):
    make_discount_grant(customer, make_discount(seller, amounts={"EUR": "20"}))
    make_discount_grant(customer, make_discount(seller, percent=Decimal(50)))

    invoice = make_draft(seller=seller, customer=customer)

    assert figures(invoice) == [(100, 70, 30)]  # 50 % of 100, then 20
    assert differences_in(invoice) == []


def test_an_amount_is_spread_over_the_lines_and_credits_written_by_hand_are_left_alone(seller, customer):
    make_discount_grant(customer, make_discount(seller, amounts={"EUR": "10", "USD": "99"}))
    product = make_product(entity=seller)
    lines = [one_off_line(product, unit_price=price) for price in ("5", "5", "5", "-3")]

    invoice = make_one_off(seller, customer, lines=lines)

    assert [discount for _, discount, _ in figures(invoice)] == [
        Decimal("3.34"),
        Decimal("3.33"),
        Decimal("3.33"),
        0,
    ]
    assert invoice.net_amount == 2
    assert differences_in(invoice) == []
    assert make_one_off(seller, customer, lines=lines[:1], currency="GBP").net_amount == 5


def test_only_lines_of_its_products_served_in_its_time_have_it(seller, customer):
    covered, other = make_product(entity=seller), make_product(entity=seller)
    discount = make_discount(seller, product_ids=[covered.pk])
    make_discount_grant(customer, discount, starts_on=date(2024, 9, 10), ends_on=date(2024, 9, 20))

    def line(product, day):
        return one_off_line(product, service_starts_on=day, service_ends_on=OCTOBER)

    invoice = make_one_off(
        seller,
        customer,
        lines=[
            line(covered, date(2024, 9, 9)),
            line(covered, date(2024, 9, 10)),
            line(covered, date(2024, 9, 19)),
            line(covered, date(2024, 9, 20)),
            line(other, date(2024, 9, 10)),
        ],
    )

    assert [discount for _, discount, _ in figures(invoice)] == [0, 10, 10, 0, 0]


def test_what_a_subscription_has_is_off_its_lines_only(seller):
    subscription = make_subscriber(seller, starts_on=SEPTEMBER)
    customer = subscription.entity
    make_usage(customer, make_sold_meter(seller), "400")
    make_discount_grant(customer, make_discount(seller), subscription_id=subscription.pk)

    nets = {
        (line.kind, line.discount_amount)
        for invoice in drafts(customer, seller)
        for line in invoice.lines.all()
    }

    assert nets == {("subscription", 3), ("usage", 0)}


def test_another_customer_has_none(seller, customer):
    make_discount_grant(make_entity(parent=seller), make_discount(seller))

    assert figures(make_draft(seller=seller, customer=customer)) == [(100, 0, 100)]


# --- how long, how often ---------------------------------------------------------------------------


def test_once_is_off_one_invoice_and_what_is_left_of_it_lapses(seller, customer):
    """Stripe's rule: an amount that is larger than the invoice is no credit for the next (API change 2013-10-29)."""
    make_discount_grant(customer, make_discount(seller, amounts={"EUR": "150"}, duration="once"))
    meter = make_sold_meter(seller)

    first = issue(make_draft(seller=seller, customer=customer, meter=meter))
    second = make_one_off(seller, customer)

    assert (figures(first), figures(second)) == ([(100, 100, 0)], [(100, 0, 100)])
    assert (first.state, first.total_amount) == ("paid", 0)
    assert DiscountUse.objects.get().period_starts_on == SEPTEMBER


def test_on_an_invoice_of_nothing_it_is_not_used(seller, customer):
    make_discount_grant(customer, make_discount(seller, amounts={"EUR": "10"}, duration="once"))
    free = make_one_off(seller, customer, lines=[one_off_line(make_product(entity=seller), unit_price="0")])

    assert not DiscountUse.objects.exists()
    assert figures(free) == [(0, 0, 0)]
    assert figures(make_one_off(seller, customer)) == [(100, 10, 90)]


def test_an_amount_that_lasts_is_taken_once_a_month_whatever_the_number_of_invoices(seller):
    subscription = make_subscriber(seller, starts_on=SEPTEMBER)
    customer = subscription.entity
    make_usage(customer, make_sold_meter(seller), "400", month=9)
    make_discount_grant(
        customer, make_discount(seller, amounts={"EUR": "10"}, duration="repeating", months=2)
    )

    made = drafts(customer, seller)

    # Seats of September and of October are 30 each; the usage of September finds its month's amount taken.
    discounts = sorted(
        (line.service_starts_on, line.kind, line.discount_amount)
        for invoice in made
        for line in invoice.lines.all()
    )
    assert discounts == [
        (SEPTEMBER, "subscription", 10),
        (SEPTEMBER, "usage", 0),
        (OCTOBER, "subscription", 10),
    ]
    for invoice in made:
        assert differences_in(invoice) == []
        issue(invoice)
    assert all(
        line.discount_amount == 0
        for invoice in drafts(customer, seller, as_of=NOVEMBER)
        for line in invoice.lines.all()
    )
    assert_invariants_hold()


def test_months_are_counted_from_the_day_it_is_granted(seller, customer):
    discount = make_discount(seller, duration="repeating", months=3)

    grant = make_discount_grant(customer, discount, starts_on=date(2024, 11, 30))

    assert grant.ends_on == date(2025, 2, 28)
    sooner = make_discount_grant(customer, discount, starts_on=date(2025, 3, 1), ends_on=date(2025, 4, 1))
    assert sooner.ends_on == date(2025, 4, 1)


def test_drafting_again_takes_it_again_and_the_draft_that_had_it_has_it(seller, customer):
    make_discount_grant(customer, make_discount(seller, amounts={"EUR": "10"}, duration="once"))
    make_draft(seller=seller, customer=customer)

    [again] = drafts(customer, seller)

    assert figures(again) == [(100, 10, 90)]
    assert DiscountUse.objects.get().line == again.lines.get()


def test_a_void_invoice_gives_it_back(seller, customer):
    make_discount_grant(customer, make_discount(seller, amounts={"EUR": "10"}, duration="once"))
    invoice = issue(make_draft(seller=seller, customer=customer))

    services.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=AS_OF, reason="wrong")
    as_if_committed()

    assert DiscountUse.objects.get().released_at is not None
    [again] = drafts(customer, seller)
    assert figures(again) == [(100, 10, 90)]
    assert_invariants_hold()


def test_a_one_off_draft_that_is_deleted_gives_it_back(seller, customer):
    make_discount_grant(customer, make_discount(seller, duration="once"))
    draft = make_one_off(seller, customer)
    assert figures(make_one_off(seller, customer)) == [(100, 0, 100)]

    services.delete_one_off_invoice(actor="test", invoice_id=draft.pk)

    assert figures(make_one_off(seller, customer)) == [(100, 10, 90)]


# --- with credits ----------------------------------------------------------------------------------


def test_unused_days_are_credited_at_what_was_paid_for_them(seller):
    subscription = make_subscriber(seller, starts_on=SEPTEMBER)
    customer = subscription.entity
    make_discount_grant(customer, make_discount(seller, percent=Decimal(50)), subscription_id=subscription.pk)
    [first] = drafts(customer, seller, as_of=SEPTEMBER)
    assert figures(issue(first, SEPTEMBER)) == [(30, 15, 15)]

    subscriptions.change_subscription(
        actor="test",
        subscription_id=subscription.pk,
        quantity=Decimal(2),
        on=date(2024, 9, 16),
        as_of=date(2024, 9, 16),
    )
    [second] = drafts(customer, seller, as_of=date(2024, 9, 16))

    # Half of 30 is credited at half; half of 60 is charged at half.
    assert sorted(figures(second)) == [
        (-15, Decimal("-7.5"), Decimal("-7.5")),
        (30, 15, 15),
    ]
    assert differences_in(second) == []
    assert_invariants_hold()
    issue(second, date(2024, 9, 16))
    assert_invariants_hold()


def test_a_correction_of_usage_credits_what_was_paid_for_it(seller):
    subscription = make_subscriber(seller, starts_on=SEPTEMBER, allows_negative=True)
    customer, meter = subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "400", day=10)
    make_discount_grant(customer, make_discount(seller, percent=Decimal(20)))
    [first] = drafts(customer, seller)
    issue(first)

    report_usage(customer, meter, "-100", day=11, recorded_on=date(2024, 10, 5))
    [second] = drafts(customer, seller, as_of=NOVEMBER)

    adjustment = second.lines.get(kind="adjustment")
    assert (adjustment.gross_amount, adjustment.discount_amount, adjustment.net_amount) == (-25, -5, -20)
    assert differences_in(second) == []
    issue(second, NOVEMBER)
    assert_invariants_hold()


def test_a_credit_waits_until_it_fits_what_is_left_after_discounts(seller):
    """Without looking at the discount, a credit of 30 would fit a charge of 30 and make a total below zero."""
    subscription = make_subscriber(seller, starts_on=SEPTEMBER, allows_negative=True)
    customer, meter = subscription.entity, meter_of(subscription)
    report_usage(customer, meter, "80", day=10)
    [first] = drafts(customer, seller)
    issue(first)
    make_discount_grant(customer, make_discount(seller, percent=Decimal(90)), starts_on=OCTOBER)

    report_usage(customer, meter, "-80", day=11, recorded_on=date(2024, 10, 5))
    [second] = drafts(customer, seller, as_of=NOVEMBER)

    assert figures(second) == [(30, 27, 3)]  # the seats of November; the credit of 20 waits
    assert second.total_amount >= 0


# --- previews --------------------------------------------------------------------------------------


def test_a_preview_shows_what_the_run_takes(seller, customer):
    make_discount_grant(customer, make_discount(seller, amounts={"EUR": "10"}, duration="once"))
    make_usage(customer, make_sold_meter(seller), "400")

    [previewed] = services.preview_billing(seller_id=seller.pk, as_of=AS_OF).invoices
    assert not DiscountUse.objects.exists()
    run = services.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF)
    services.continue_billing_run(actor="test", run_id=run.pk)

    invoice = Invoice.objects.get()
    assert (previewed.total_amount, figures(invoice)) == (invoice.total_amount, [(100, 10, 90)])


# --- offering and granting -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "terms",
    [
        {"percent": Decimal(0)},
        {"percent": Decimal("100.000000000001")},
        {"percent": Decimal("NaN")},
        {"percent": None},
        {"percent": Decimal(1), "kind": "amount"},
        {"kind": "other"},
        {"amounts": {}},
        {"amounts": {"EUR": "0"}},
        {"amounts": {"EUR": "1.001"}},
        {"amounts": {"JPY": "1.5"}},
        {"amounts": {"XYZ": "1"}},
        {"duration": "sometimes"},
        {"duration": "repeating"},
        {"duration": "repeating", "months": 0},
        {"duration": "repeating", "months": 121},
        {"duration": "once", "months": 1},
        {"ends_on": date(2020, 1, 1)},
        {"max_redemptions": 0},
    ],
)
def test_what_is_no_discount_is_refused(terms, seller):
    with pytest.raises(Invalid):
        make_discount(seller, **terms)

    assert not Discount.objects.exists()


def test_codes_are_the_sellers_own_and_products_are_its_products(seller):
    make_discount(seller, code="WELCOME")

    with pytest.raises(DiscountCodeTaken):
        make_discount(seller, code="welcome")
    with pytest.raises(NotFound):
        make_discount(seller, product_ids=[make_product(entity=make_seller()).pk])
    with pytest.raises(NotTheSeller):
        make_discount(make_entity(parent=seller))
    make_discount(make_seller(), code="WELCOME")
    assert Discount.objects.count() == 2


def test_it_is_granted_in_its_time_as_often_as_it_can_be(seller, customer):
    discount = make_discount(seller, starts_on=SEPTEMBER, ends_on=OCTOBER, max_redemptions=1)

    for day in (date(2024, 8, 31), OCTOBER):
        with pytest.raises(DiscountNotOffered):
            make_discount_grant(customer, discount, starts_on=day)
    make_discount_grant(customer, discount)
    with pytest.raises(DiscountUsedUp):
        make_discount_grant(make_entity(parent=seller), discount)

    discount.refresh_from_db()
    assert (discount.redemptions, DiscountGrant.objects.count()) == (1, 1)


def test_a_retired_one_is_granted_no_more_and_kept_by_who_has_it(seller, customer):
    discount = make_discount(seller)
    make_discount_grant(customer, discount)

    retired = services.retire_discount(
        actor="test", discount_id=discount.pk, reason="over", version=discount.version + 1
    )

    assert not retired.is_active
    with pytest.raises(DiscountNotOffered):
        make_discount_grant(make_entity(parent=seller), discount)
    with pytest.raises(DiscountNotOffered):
        services.retire_discount(actor="test", discount_id=discount.pk, reason="again")
    with pytest.raises(PreconditionFailed):
        services.retire_discount(actor="test", discount_id=discount.pk, reason="again", version=1)
    assert figures(make_draft(seller=seller, customer=customer)) == [(100, 10, 90)]


def test_nobody_has_it_twice_at_a_time(seller):
    subscription = make_subscriber(seller)
    customer, discount = subscription.entity, make_discount(seller)
    make_discount_grant(customer, discount, ends_on=OCTOBER)

    for terms in ({}, {"starts_on": date(2024, 8, 1)}, {"starts_on": date(2024, 9, 30), "ends_on": NOVEMBER}):
        with pytest.raises(DiscountGrantOverlaps):
            make_discount_grant(customer, discount, **terms)
    make_discount_grant(customer, discount, starts_on=OCTOBER)
    make_discount_grant(customer, discount, subscription_id=subscription.pk)

    assert DiscountGrant.objects.count() == 3
    with pytest.raises(NotFound):
        make_discount_grant(make_entity(parent=seller), discount, subscription_id=subscription.pk)
    with pytest.raises(NotFound):
        make_discount_grant(customer, Discount(pk=uuid4()))
    with pytest.raises(NotTheSeller):
        make_discount_grant(make_entity(), discount)


def test_a_grant_can_only_end_sooner(seller, customer):
    grant = make_discount_grant(customer, make_discount(seller), ends_on=NOVEMBER)

    def end(day, **terms):
        return services.end_discount_grant(
            actor="test", grant_id=grant.pk, ends_on=day, reason="over", **terms
        )

    for day in (SEPTEMBER, NOVEMBER):
        with pytest.raises(DiscountGrantEnds):
            end(day)
    with pytest.raises(PreconditionFailed):
        end(OCTOBER, version=7)
    assert end(OCTOBER, version=1).ends_on == OCTOBER
    assert AuditEntry.objects.get(action="discount.grant_ended").reason == "over"
    with pytest.raises(DiscountGrantEnds):
        make_discount_grant(customer, make_discount(seller), ends_on=SEPTEMBER)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_want_the_last_one_the_second_is_told():
    seller = make_seller()
    discount = make_discount(seller, max_redemptions=1)
    first, second = make_entity(parent=seller), make_entity(parent=seller)

    with transaction.atomic():
        make_discount_grant(first, discount)
        rival = start_rival(lambda: make_discount_grant(second, discount))
    with pytest.raises(DiscountUsedUp):
        rival.result()

    assert DiscountGrant.objects.get().customer == first


@pytest.mark.django_db(transaction=True)
def test_what_is_granted_while_a_draft_is_made_is_not_half_on_it():
    seller = make_seller()
    customer = make_entity(parent=seller)
    discount = make_discount(seller, duration="once")
    make_discount_grant(customer, discount)
    product = make_product(entity=seller)

    def draft():
        return make_one_off(seller, customer, lines=[one_off_line(product)])

    with transaction.atomic():
        draft()
        rival = start_rival(draft)

    assert figures(rival.result()) == [(100, 0, 100)]
    assert DiscountUse.objects.count() == 1


# --- what stands behind it in the database ---------------------------------------------------------


def refused(name: str, statement) -> None:
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        statement()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("discount_percent_of_its_kind", {"percent": Decimal(101)}),
        ("discount_percent_of_its_kind", {"percent": None}),
        ("discount_percent_of_its_kind", {"kind": "amount"}),
        ("discount_months_of_its_duration", {"duration": "repeating"}),
        ("discount_months_of_its_duration", {"duration": "sometimes"}),
        ("discount_months_of_its_duration", {"months": 3}),
        ("discount_ends_after_start", {"ends_on": date(2020, 1, 1)}),
        ("discount_redeemed_within_limit", {"max_redemptions": 1, "redemptions": 2}),
        ("discount_code_unique", {"code": "d1"}),
    ],
)
def test_the_database_keeps_discounts_in_form(name, change, seller):
    discount = make_discount(seller)
    values = {
        "seller": seller,
        "code": "X",
        "name": "X",
        "kind": "percent",
        "percent": Decimal(10),
        "duration": "forever",
        "starts_on": discount.starts_on,
    }

    refused(name, lambda: Discount.objects.create(**values | change))


def test_the_database_keeps_what_is_offered_as_it_is(seller, customer):
    discount = make_discount(seller, amounts={"EUR": "10"}, product_ids=[make_product(entity=seller).pk])
    grant = make_discount_grant(customer, discount)
    amount, row = discount.amounts.get(), discount.product_rows.get()

    refused("is final", lambda: Discount.objects.filter(pk=discount.pk).update(name="Other"))
    refused("append-only", lambda: type(amount).objects.filter(pk=amount.pk).update(amount=20))
    refused("append-only", row.delete)
    refused("is final", lambda: DiscountGrant.objects.filter(pk=grant.pk).update(starts_on=OCTOBER))
    refused("never deleted|is final", grant.delete)
    refused(
        "not of one seller",
        lambda: type(row).objects.create(discount=discount, product=make_product(entity=make_seller())),
    )
    refused(
        "one_discount_grant_at_a_time",
        lambda: DiscountGrant.objects.create(discount=discount, customer=customer, starts_on=OCTOBER),
    )
    refused(
        "discount_grant_ends_after_start",
        lambda: DiscountGrant.objects.create(
            discount=discount, customer=customer, starts_on=date(2020, 2, 1), ends_on=date(2020, 2, 1)
        ),
    )
    refused(
        "is not one of customer",
        lambda: DiscountGrant.objects.create(
            discount=discount, customer=customer, starts_on=OCTOBER, subscription=make_subscriber(seller)
        ),
    )
    for name, change in (
        ("discount_amount_positive", {"currency": "USD", "amount": 0}),
        ("discount_amount_payable", {"currency": "JPY", "amount": Decimal("0.5")}),
        ("one_amount_per_currency", {"currency": "EUR", "amount": 1}),
    ):
        refused(name, lambda change=change: type(amount).objects.create(discount=discount, **change))
    refused(
        "product_once_per_discount",
        lambda: type(row).objects.create(discount=discount, product=row.product),
    )


def test_the_database_keeps_a_discount_within_its_line(seller, customer):
    line = make_one_off(seller, customer).lines.get()

    for change in ({"discount_amount": -1}, {"net_amount": -1, "discount_amount": 1}):
        refused(
            "invoice_line_discount_within_gross",
            lambda change=change: InvoiceLine.objects.filter(pk=line.pk).update(**change),
        )
    refused(
        "invoice_line_payable",
        lambda: InvoiceLine.objects.filter(pk=line.pk).update(discount_amount=Decimal("0.001")),
    )


def test_the_database_keeps_uses_as_they_were_and_to_one_invoice(seller, customer):
    make_discount_grant(customer, make_discount(seller, amounts={"EUR": "10"}, duration="once"))
    first, second = make_one_off(seller, customer), make_one_off(seller, customer)
    use, other = DiscountUse.objects.get(), second.lines.get()
    values = {
        "grant": use.grant,
        "line": other,
        "period_starts_on": use.period_starts_on,
        "number": 1,
        "amount": 1,
        "currency": "EUR",
    }

    refused("discount_taken_once_per_period", lambda: DiscountUse.objects.create(**values))
    refused(
        "discount_taken_once_off_a_line",
        lambda: DiscountUse.objects.create(**values | {"line": use.line, "number": 2}),
    )
    for name, change in (
        ("discount_use_positive", {"amount": 0}),
        ("discount_use_positive", {"number": 0}),
        ("discount_use_payable", {"amount": Decimal("0.001")}),
    ):
        refused(name, lambda change=change: DiscountUse.objects.create(**values | {"number": 2} | change))
    refused("is final", lambda: DiscountUse.objects.filter(pk=use.pk).update(amount=9))
    refused(
        "follow their invoice",
        lambda: DiscountUse.objects.filter(pk=use.pk).update(released_at="2024-10-01T00:00Z"),
    )
    issue(first)
    refused("follow their invoice", use.delete)


@pytest.mark.parametrize("wrong", ["more", "none", "foreign"])
def test_an_invoice_is_not_issued_with_discounts_nobody_was_granted(wrong, seller, customer):
    make_discount_grant(customer, make_discount(seller))
    draft = make_one_off(seller, customer)
    use, line = DiscountUse.objects.get(), draft.lines.get()
    if wrong == "more":
        DiscountUse.objects.create(
            grant=use.grant, line=line, period_starts_on=OCTOBER, number=1, amount=1, currency="EUR"
        )
    elif wrong == "none":
        use.delete()
    else:
        foreign = make_discount_grant(make_entity(parent=seller), use.grant.discount)
        use.delete()
        DiscountUse.objects.create(grant=foreign, line=line, number=1, amount=10, currency="EUR")

    refused(
        "the discounts of invoice",
        lambda: services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=AS_OF),
    )
    assert [row[0] for row in found_by("DC1")] == [line.pk]


def test_a_discount_that_was_tampered_with_does_not_recompute(seller, customer):
    make_discount_grant(customer, make_discount(seller))
    draft = make_one_off(seller, customer)
    line = draft.lines.get()

    InvoiceLine.objects.filter(pk=line.pk).update(discount_amount=20, net_amount=80)

    assert [(each.what, each.stored, each.recomputed) for each in differences_in(draft)] == [
        ("discount", "20", "10"),
        ("net amount", "80", "90"),
    ]


def test_the_controls_find_what_the_services_would_not_make(seller, customer):
    discount = make_discount(seller, amounts={"EUR": "10"}, max_redemptions=5)
    grant = make_discount_grant(customer, discount)
    first, second = make_one_off(seller, customer), make_one_off(seller, customer)
    assert [found_by(f"DC{number}") for number in range(1, 6)] == [[]] * 5
    use = DiscountUse.objects.get()

    DiscountUse.objects.create(
        grant=grant,
        line=second.lines.get(),
        period_starts_on=use.period_starts_on,
        number=2,
        amount=3,
        currency="EUR",
    )
    assert found_by("DC2") == [(grant.pk, use.period_starts_on)]
    Discount.objects.filter(pk=discount.pk).update(redemptions=3)
    assert found_by("DC4") == [(discount.pk, 3, 1)]
    issue(first)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE discount_uses DISABLE TRIGGER USER")
        cursor.execute("UPDATE discount_uses SET released_at = now() WHERE id = %s", [use.pk])
        assert found_by("DC3") == [(use.pk,)]
        cursor.execute("ALTER TABLE discount_grants DROP CONSTRAINT one_discount_grant_at_a_time")
    twice = DiscountGrant.objects.create(discount=discount, customer=customer, starts_on=OCTOBER)
    assert {row[0] for row in found_by("DC5")} == {grant.pk, twice.pk}
