from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from billing.entities import services as entities
from billing.entities.tests.makers import make_grant
from billing.invoicing import queries as invoices_of
from billing.invoicing import services as invoicing
from billing.invoicing.errors import (
    ChildOfConsolidation,
    ConsolidationHasSettlements,
    ConsolidationVoid,
    InvoiceOverpaid,
)
from billing.invoicing.models import ConsolidatedInvoice, Invoice
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.consolidation_makers import (
    consolidate,
    make_child,
    make_exchange_rate,
    make_group_seller,
    make_member,
    make_payer,
    seller_above,
)
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.ids import uuid7
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.ledger.accounts import CASH, CUSTOMER_BALANCE, RECEIVABLE
from billing.payments import services
from billing.payments.errors import (
    CurrencyMismatch,
    InvoiceOfAnotherCustomer,
    InvoiceOfAnotherSeller,
    PaymentReferenceUsed,
)
from billing.payments.invariants import CHECKS
from billing.payments.models import Payment, PaymentApplication
from billing.payments.tests.makers import make_payment, payment_terms
from billing.payments.tests.state import balances, everything

pytestmark = pytest.mark.django_db

D = Decimal
DAY = date(2026, 11, 20)


class Group:
    """A payer that owes 100.00 EUR (due first), and two companies below it that owe 50.00 EUR and 30.00 USD."""

    def __init__(self):
        self.seller = make_group_seller()
        self.payer = make_payer(self.seller)
        self.member = make_member(self.payer)
        make_exchange_rate()
        self.own = make_child(self.payer, "100.00", issued_on=date(2026, 10, 2))
        self.theirs = make_child(self.member, "50.00", issued_on=date(2026, 10, 3))
        self.dollars = make_child(
            make_member(self.member), "30.00", currency="USD", issued_on=date(2026, 10, 4)
        )
        self.document = consolidate(self.payer, seller=self.seller).document

    def terms(self, **overrides) -> dict:
        values = {
            "customer": self.payer,
            "seller": self.seller,
            "consolidated_invoice_id": self.document.pk,
            "received_on": DAY,
            "as_of": DAY,
        }
        return payment_terms(**values | overrides)

    def pay(self, amount, **overrides) -> Payment:
        payment = services.record_payment(**self.terms(amount=amount, **overrides))
        as_if_committed()
        return payment

    def settled(self) -> dict:
        return dict(Invoice.objects.filter(consolidations__isnull=False).values_list("pk", "paid_amount"))

    def shown(self) -> ConsolidatedInvoice:
        return invoices_of.with_open_amounts(ConsolidatedInvoice.objects.all()).get(pk=self.document.pk)

    def open(self) -> dict:
        return {total.currency: total.open_amount for total in self.shown().totals.all()}


def test_paying_all_of_a_currency_settles_its_children_and_no_others():
    group = Group()
    assert (group.open(), group.shown().payment_state) == ({"EUR": D(150), "USD": D(30)}, "open")

    payment = group.pay("150.00")

    assert payment.applied_amount == D(150)
    assert group.settled() == {group.own.pk: D(100), group.theirs.pk: D(50), group.dollars.pk: 0}
    assert Invoice.objects.get(pk=group.theirs.pk).state == InvoiceState.PAID
    assert (group.open(), group.shown().payment_state) == ({"EUR": 0, "USD": D(30)}, "partially_paid")
    group.pay("30.00", currency="USD")
    assert (group.open(), group.shown().payment_state) == ({"EUR": 0, "USD": 0}, "paid")
    assert balances(group.seller)[CASH.code, "EUR"] == D(150)
    assert (RECEIVABLE.code, "EUR") not in balances(group.seller)
    assert_invariants_hold()


def test_a_part_goes_to_the_oldest_due_first_to_the_cent():
    group = Group()

    group.pay("100.01")

    assert group.settled() == {group.own.pk: D(100), group.theirs.pk: D("0.01"), group.dollars.pk: 0}
    assert group.open() == {"EUR": D("49.99"), "USD": D(30)}
    assert_invariants_hold()


def test_what_is_more_than_open_stays_on_the_payers_balance():
    group = Group()

    payment = group.pay("160.00")

    assert (payment.applied_amount, payment.unapplied_amount) == (D(150), D(10))
    assert balances(group.seller)[CUSTOMER_BALANCE.code, "EUR"] == D(-10)
    assert_invariants_hold()


def test_the_same_payment_again_is_the_one_there_is_and_other_content_is_refused():
    group = Group()
    terms = group.terms(amount="20.00")
    first = services.record_payment(**terms)

    assert services.record_payment(**terms) == first
    with pytest.raises(PaymentReferenceUsed):
        services.record_payment(**terms | {"consolidated_invoice_id": None})
    assert Payment.objects.count() == 1


def test_a_company_that_has_left_the_group_is_still_paid_for_by_the_payer_of_the_document():
    group = Group()
    entities.move_entity(
        actor="test",
        entity_id=group.member.pk,
        parent_id=group.seller.pk,
        effective_on=date(2026, 11, 10),
        as_of=date(2026, 11, 10),
        reason="sold",
    )

    group.pay("150.00")

    assert Invoice.objects.get(pk=group.theirs.pk).state == InvoiceState.PAID
    assert_invariants_hold()


@pytest.mark.parametrize("payer", ["payer", "member"])
def test_a_child_is_not_paid_by_itself(payer):
    group = Group()
    before = everything()

    with pytest.raises(ChildOfConsolidation, match=group.document.number):
        services.record_payment(
            **group.terms(
                customer=getattr(group, payer),
                consolidated_invoice_id=None,
                applications=[(group.theirs.pk, D("1.00"))],
                amount="1.00",
            )
        )

    assert everything() == before


def test_a_child_is_not_settled_from_a_balance_by_itself_but_with_the_consolidation():
    group = Group()
    payment = group.pay("60.00", consolidated_invoice_id=None, applications=[])
    apply = {"actor": "test", "payment_id": payment.pk, "amount": D("55.00"), "applied_on": DAY}
    before = everything()

    with pytest.raises(ChildOfConsolidation):
        services.apply_payment(**apply, invoice_id=group.theirs.pk)
    assert everything() == before
    services.apply_payment(**apply, consolidated_invoice_id=group.document.pk)
    as_if_committed()

    payment.refresh_from_db()
    assert payment.applied_amount == D(55)
    assert group.open() == {"EUR": D(95), "USD": D(30)}
    told = [moment for moment in timeline_of(group.own) if moment.kind == "payment"]
    assert [moment.detail["amount"] for moment in told] == ["55.00"]
    assert_invariants_hold()


def test_no_more_than_is_open_is_applied_to_a_consolidation_from_a_balance():
    group = Group()
    payment = group.pay("200.00", consolidated_invoice_id=None, applications=[])
    before = everything()
    with pytest.raises(InvoiceOverpaid):
        services.apply_payment(
            actor="test",
            payment_id=payment.pk,
            consolidated_invoice_id=group.document.pk,
            amount=D("150.01"),
            applied_on=DAY,
        )
    assert everything() == before


def test_a_payment_is_applied_to_one_thing():
    group = Group()
    payment = group.pay("10.00", consolidated_invoice_id=None, applications=[])
    both = {"invoice_id": group.own.pk, "consolidated_invoice_id": group.document.pk}
    for named in ({}, both):
        with pytest.raises(Invalid):
            services.apply_payment(actor="test", payment_id=payment.pk, amount=D(1), applied_on=DAY, **named)
    with pytest.raises(Invalid):
        services.record_payment(**group.terms(applications=[]))
    assert PaymentApplication.objects.count() == 0


def test_money_that_names_nothing_passes_the_children_of_a_consolidation_by():
    group = Group()
    later = make_child(group.payer, "5.00", seller=group.seller, issued_on=date(2026, 11, 2))

    group.pay("50.00", consolidated_invoice_id=None)

    assert PaymentApplication.objects.get().invoice_id == later.pk
    assert group.open() == {"EUR": D(150), "USD": D(30)}
    assert_invariants_hold()


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        (lambda group: {"currency": "GBP"}, CurrencyMismatch),
        (lambda group: {"customer": group.member}, InvoiceOfAnotherCustomer),
        (lambda group: {"consolidated_invoice_id": uuid7()}, NotFound),
        (lambda group: {"seller": another_seller(group)}, InvoiceOfAnotherSeller),
    ],
)
def test_what_does_not_fit_the_consolidation_is_refused(wrong, refusal):
    group = Group()
    terms = group.terms(**wrong(group))
    before = everything()
    with pytest.raises(refusal):
        services.record_payment(**terms)
    assert everything() == before


def another_seller(group):
    """Who sells to the payer, too."""
    reseller = make_group_seller()
    make_child(group.payer, "1.00", seller=reseller)
    return reseller


def test_a_void_consolidation_is_not_paid_and_its_children_are_again():
    group = Group()
    invoicing.void_consolidated_invoice(
        actor="test", consolidated_invoice_id=group.document.pk, voided_on=DAY, reason="wrong payer"
    )
    before = everything()
    with pytest.raises(ConsolidationVoid):
        services.record_payment(**group.terms())
    assert everything() == before

    make_payment(customer=group.member, seller=group.seller, amount="50.00", received_on=DAY, as_of=DAY)

    assert Invoice.objects.get(pk=group.theirs.pk).state == InvoiceState.PAID
    assert group.shown().payment_state == "void"
    assert_invariants_hold()


def test_once_money_has_moved_the_consolidation_is_not_voided():
    group = Group()
    group.pay("0.01")
    with pytest.raises(ConsolidationHasSettlements):
        invoicing.void_consolidated_invoice(
            actor="test", consolidated_invoice_id=group.document.pk, voided_on=DAY, reason="wrong"
        )
    assert group.shown().state == "issued"


def test_a_partly_paid_invoice_is_gathered_with_what_is_open_and_may_be_released():
    payer = make_payer()
    seller = seller_above(payer)
    make_child(payer, "100.00", issued_on=date(2026, 10, 2))
    make_payment(customer=payer, seller=seller, amount="40.00", received_on=DAY, as_of=DAY)

    document = consolidate(payer, seller=seller).document

    [total] = invoices_of.with_open_amounts(ConsolidatedInvoice.objects.all()).get().totals.all()
    assert (total.total_amount, total.open_amount) == (D(100), D(60))
    invoicing.void_consolidated_invoice(
        actor="test", consolidated_invoice_id=document.pk, voided_on=DAY, reason="wrong"
    )
    as_if_committed()
    assert_invariants_hold()


def test_the_database_takes_no_payment_of_a_child_from_anybody_but_the_payer(monkeypatch):
    group = Group()
    monkeypatch.setattr(services.payments.consolidations, "require_by_themselves", lambda invoices: None)
    terms = group.terms(
        customer=group.member,
        consolidated_invoice_id=None,
        applications=[(group.theirs.pk, D("1.00"))],
        amount="1.00",
    )
    with (
        pytest.raises(IntegrityError, match="the payer of the consolidation settles it"),
        transaction.atomic(),
    ):
        services.record_payment(**terms)
        as_if_committed()
    assert PaymentApplication.objects.count() == 0


def test_checker_finds_a_child_paid_by_another(monkeypatch):
    group = Group()
    monkeypatch.setattr(services.payments.consolidations, "require_by_themselves", lambda invoices: None)
    with transaction.atomic():
        services.record_payment(
            **group.terms(
                customer=group.member,
                consolidated_invoice_id=None,
                applications=[(group.theirs.pk, D("1.00"))],
                amount="1.00",
            )
        )
        with connection.cursor() as cursor:
            cursor.execute(CHECKS["I9 from its consolidation on, a child is paid by the payer of that"])
            assert [row[1] for row in cursor.fetchall()] == [group.document.number]
        transaction.set_rollback(True)  # the database would not take it


def test_the_command_records_a_payment_for_a_consolidated_invoice():
    group = Group()
    call_command(
        "record_payment",
        *("--customer", group.payer.code, "--seller", group.seller.code, "--invoice", group.document.number),
        *("--amount", "120.00", "--currency", "EUR", "--reference", "wire 7", "--received-on", "2026-11-20"),
    )
    as_if_committed()
    assert group.open()["EUR"] == D(30)
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_a_payment_that_waits_for_a_consolidation_does_not_pay_the_child():
    seller = make_group_seller()
    payer = make_payer(seller)
    child = make_child(payer, "50.00")
    terms = payment_terms(customer=payer, seller=seller, amount="50.00", received_on=DAY, as_of=DAY)

    with transaction.atomic():
        consolidate(payer, seller=seller)
        rival = start_rival(lambda: services.record_payment(**terms))

    assert rival.result(timeout=5).applied_amount == 0
    child.refresh_from_db()
    assert child.state == InvoiceState.ISSUED
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_a_child_that_is_being_paid_is_left_out_of_the_consolidation_that_waits():
    seller = make_group_seller()
    payer = make_payer(seller)
    paid, other = make_child(payer, "50.00"), make_child(payer, "20.00")
    terms = payment_terms(
        customer=payer,
        seller=seller,
        amount="50.00",
        received_on=DAY,
        as_of=DAY,
        applications=[(paid.pk, D("50.00"))],
    )

    with transaction.atomic():
        services.record_payment(**terms)
        rival = start_rival(lambda: consolidate(payer, seller=seller))

    document = rival.result(timeout=5).document
    assert [child.invoice_id for child in document.children.all()] == [other.pk]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_of_two_payments_of_the_whole_the_second_stays_on_the_balance():
    group = Group()
    first, second = group.terms(amount="150.00"), group.terms(amount="150.00")

    with transaction.atomic():
        services.record_payment(**first)
        rival = start_rival(lambda: services.record_payment(**second))

    assert rival.result(timeout=5).applied_amount == 0
    assert group.open() == {"EUR": 0, "USD": D(30)}
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_of_a_payment_and_a_void_at_once_the_second_is_refused():
    group = Group()

    with transaction.atomic():
        services.record_payment(**group.terms(amount="1.00"))
        rival = start_rival(
            lambda: invoicing.void_consolidated_invoice(
                actor="test", consolidated_invoice_id=group.document.pk, voided_on=DAY, reason="wrong"
            )
        )

    with pytest.raises(ConsolidationHasSettlements):
        rival.result(timeout=5)
    assert_invariants_hold()


@pytest.fixture
def controller(api):
    def client(group):
        return api(make_grant(role="FC", entity=group.seller).user)

    return client


def post(client, path: str, body: dict):
    headers = {"Idempotency-Key": str(uuid4())}
    return client.post(f"/api/v1/enterprise-billing/{path}", body, format="json", headers=headers)


def wired(group, **overrides) -> dict:
    return {
        "customer": str(group.payer.pk),
        "amount": "100.00",
        "currency": "EUR",
        "received_on": "2026-11-20",
        "method": "bank_transfer",
        "reference": "wire 1",
    } | overrides


def test_a_payment_over_the_api_names_the_consolidated_invoice(controller):
    group = Group()
    client = controller(group)

    made = post(client, "payments", wired(group, consolidated_invoice=str(group.document.pk)))

    assert made.status_code == 201, made.json()
    assert made.json()["applied_amount"] == "100.00"
    listed = client.get(
        f"/api/v1/enterprise-billing/payments?consolidated_invoice={group.document.pk}"
    ).json()
    assert [row["id"] for row in listed["results"]] == [made.json()["id"]]
    refused = post(client, "payments", wired(group, reference="2", consolidated_invoice=str(uuid7())))
    assert (refused.status_code, Payment.objects.count()) == (400, 1)


def test_what_is_left_of_a_payment_is_applied_to_the_consolidated_invoice_over_the_api(controller):
    group = Group()
    client = controller(group)
    made = post(client, "payments", wired(group, applications=[])).json()
    path = f"payments/{made['id']}/apply"

    refused = post(client, path, {"amount": "1.00", "invoice": str(group.own.pk), "applied_on": "2026-11-20"})
    assert (refused.status_code, refused.json()["code"]) == (409, "child-of-consolidation")
    assert post(client, path, {"amount": "1.00"}).status_code == 400
    order = {
        "amount": "100.00",
        "consolidated_invoice": str(group.document.pk),
        "applied_on": "2026-11-20",
    }
    applied = post(client, path, order)

    assert applied.status_code == 200, applied.json()
    assert applied.json()["unapplied_amount"] == "0.00"
    assert group.open()["EUR"] == D(50)


def test_the_console_records_and_applies_payments_for_a_consolidated_invoice(client):
    group = Group()
    person = make_grant(role="FC", entity=group.seller).user
    client.force_login(person, backend="billing.entities.backends.GrantBackend")
    told = {
        "customer_code": group.payer.code,
        "amount": "40.00",
        "currency": "EUR",
        "received_on": "2026-11-20",
        "method": "bank_transfer",
    }
    add = reverse("admin:payments_payment_add")
    client.post(add, told | {"reference": "1", "consolidated_number": group.document.number})
    assert group.open()["EUR"] == D(110)
    refused = client.post(add, told | {"reference": "2", "consolidated_number": "CON-1"})
    assert "There is no consolidated invoice CON-1." in refused.content.decode()

    client.post(add, told | {"reference": "3"})
    payment = Payment.objects.get(reference="3")
    assert payment.applied_amount == 0
    client.post(
        reverse("admin:payments_payment_action_apply", args=[payment.pk]),
        {"confirm": "yes", "once": uuid4().hex, "invoice_number": group.document.number, "amount": "40.00"},
    )
    assert group.open()["EUR"] == D(70)
    assert_invariants_hold()
