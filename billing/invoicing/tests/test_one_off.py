"""One-off invoices: what an operator writes down is drafted, previewed, revised, deleted, and issued on its day."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.errors import (
    InvoiceNotDraft,
    NegativeTotal,
    NothingToInvoice,
    NotOneOff,
    NotTheSeller,
    OneOffKeyTaken,
)
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import AllocationBasis, BillingRun, Invoice, InvoiceLine
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import (
    AS_OF,
    make_draft,
    make_one_off,
    make_seller,
    one_off_line,
)
from billing.invoicing.verification.services.recalculation import differences_in
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.kernel.errors import Invalid, NotFound, PreconditionFailed
from billing.kernel.models import AuditEntry
from billing.kernel.money import round_half_up
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def customer(seller):
    return make_entity(parent=seller)


def counts() -> tuple[int, int, int]:
    verbs = AuditEntry.objects.filter(kind="verb").count()
    return Invoice.objects.count(), InvoiceLine.objects.count(), verbs


def test_lines_are_quantity_times_price_each_rounded_with_tax_on_their_sum(seller, customer):
    consulting, travel = make_product(entity=seller, name="Consulting"), make_product(entity=seller)

    invoice = make_one_off(
        seller,
        customer,
        lines=[
            one_off_line(consulting, quantity="7.5", unit_price="120.333"),  # 902.4975
            one_off_line(travel, unit_price="0.005", description="Stamp"),  # half a cent up
            one_off_line(consulting, unit_price="-2.5", description="Goodwill"),
        ],
    )

    lines = list(invoice.lines.order_by("position"))
    assert [line.net_amount for line in lines] == [Decimal("902.50"), Decimal("0.01"), Decimal("-2.50")]
    assert [line.description for line in lines] == ["Consulting", "Stamp", "Goodwill"]
    assert (invoice.net_amount, invoice.tax_amount, invoice.total_amount) == (
        Decimal("900.01"),
        Decimal("171.00"),  # 19 % of 900.01 is 171.0019
        Decimal("1071.01"),
    )
    assert (invoice.state, invoice.period_starts_on, invoice.period_ends_on) == (
        InvoiceState.DRAFT,
        date(2024, 9, 1),
        date(2024, 10, 1),
    )


def test_it_is_issued_allocated_booked_and_proven_like_any_other(seller, customer):
    department = make_department(entity=customer)
    product = make_product(entity=seller)
    draft = make_one_off(
        seller,
        customer,
        lines=[
            one_off_line(product, unit_price="100", department_id=department.pk),
            one_off_line(product, unit_price="50"),
        ],
    )

    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=AS_OF)

    invoice = Invoice.objects.get(pk=draft.pk)
    proof = proof_of(invoice)
    assert proof.holds
    assert {
        (share.department.code, share.net_amount, share.basis) for share in invoice.allocations.all()
    } == {
        (department.code, 100, AllocationBasis.ASSIGNED),
        (customer.departments.get(is_default=True).code, 50, AllocationBasis.DEFAULT),
    }
    assert_invariants_hold()


def test_a_line_that_was_tampered_with_does_not_recompute(seller, customer):
    draft = make_one_off(seller, customer)
    assert differences_in(draft) == []
    line = draft.lines.get()

    InvoiceLine.objects.filter(pk=line.pk).update(quantity=2)
    assert [each.what for each in differences_in(draft)] == [
        "exact amount",
        "shares of departments",
        "quantity",
        "net amount",
    ]
    InvoiceLine.objects.filter(pk=line.pk).update(quantity=1, net_amount=99)
    [difference] = differences_in(draft)
    assert (difference.what, difference.stored, difference.recomputed) == ("net amount", "99", "100")


def test_a_repeat_under_the_same_key_is_the_same_invoice(seller, customer):
    product = make_product(entity=seller)
    lines = [one_off_line(product)]
    first = make_one_off(seller, customer, key="order-1", lines=lines)
    before = counts()

    assert make_one_off(seller, customer, key="order-1", lines=lines) == first
    for other in ({"lines": [one_off_line(product, unit_price="101")]}, {"issue_on": AS_OF}):
        with pytest.raises(OneOffKeyTaken):
            make_one_off(seller, customer, key="order-1", **({"lines": lines} | other))

    assert counts() == before
    services.issue_invoice(actor="test", invoice_id=first.pk, issued_on=AS_OF)
    assert make_one_off(seller, customer, key="order-1", lines=lines).state == InvoiceState.ISSUED
    as_if_committed()
    services.void_invoice(actor="test", invoice_id=first.pk, voided_on=AS_OF, reason="wrong")
    assert make_one_off(seller, customer, key="order-1", lines=lines) != first


def refusals(seller, customer) -> list:
    product, foreign = make_product(entity=seller), make_product(entity=make_seller())
    return [
        (NotFound, {"lines": [one_off_line(foreign)]}),
        (NotFound, {"lines": [one_off_line(make_product(entity=seller, is_active=False))]}),
        (
            NotFound,
            {"lines": [one_off_line(product, department_id=make_department(entity=make_entity()).pk)]},
        ),
        (NothingToInvoice, {"lines": []}),
        (NegativeTotal, {"lines": [one_off_line(product, unit_price="-0.01")]}),
        (Invalid, {"lines": [one_off_line(product, quantity="0")]}),
        (Invalid, {"lines": [one_off_line(product, quantity="-1")]}),
        (Invalid, {"lines": [one_off_line(product, unit_price="NaN")]}),
        (Invalid, {"lines": [one_off_line(product, unit_price="0." + "1" * 13)]}),
        (Invalid, {"lines": [one_off_line(product, quantity="999999999", unit_price="999999999")]}),
        (Invalid, {"lines": [one_off_line(product, service_ends_on=date(2024, 9, 1))]}),
        (Invalid, {"lines": [one_off_line(product, description="x" * 301)]}),
        (Invalid, {"lines": [one_off_line(product)] * 201}),
        (Invalid, {"lines": [one_off_line(product)], "currency": "XYZ"}),
        (Invalid, {"lines": [one_off_line(product)], "key": "k" * 65}),
    ]


@pytest.mark.parametrize("number", range(15))
def test_what_cannot_be_invoiced_is_refused_and_nothing_is_drafted(number, seller, customer):
    error, terms = refusals(seller, customer)[number]
    before = counts()

    with pytest.raises(error):
        make_one_off(seller, customer, **terms)

    assert counts() == before


def test_only_the_customers_own_seller_invoices_it(seller, customer):
    other = make_seller()
    product = make_product(entity=other)

    with pytest.raises(NotTheSeller):
        make_one_off(other, customer, lines=[one_off_line(product)])
    with pytest.raises(NotFound):
        services.draft_one_off_invoice(
            actor="test", seller_id=uuid4(), customer_id=customer.pk, currency="EUR", lines=[], as_of=AS_OF
        )

    assert not Invoice.objects.exists()


def test_a_draft_is_revised_as_a_whole(seller, customer):
    draft = make_one_off(seller, customer, issue_on=AS_OF)
    product = make_product(entity=seller)

    revised = services.revise_one_off_invoice(
        actor="test",
        invoice_id=draft.pk,
        lines=[one_off_line(product, quantity="2", unit_price="10")],
        as_of=AS_OF,
        version=draft.version,
    )

    assert (revised.pk, revised.total_amount, revised.issue_on) == (draft.pk, Decimal("23.80"), None)
    [line] = revised.lines.all()
    assert (line.quantity, line.net_amount) == (2, 20)
    with pytest.raises(PreconditionFailed):
        services.revise_one_off_invoice(
            actor="test",
            invoice_id=draft.pk,
            lines=[one_off_line(product)],
            as_of=AS_OF,
            version=draft.version,
        )
    with pytest.raises(NegativeTotal), transaction.atomic():
        services.revise_one_off_invoice(
            actor="test", invoice_id=draft.pk, lines=[one_off_line(product, unit_price="-1")], as_of=AS_OF
        )
    assert Invoice.objects.get(pk=draft.pk).total_amount == Decimal("23.80")


def test_a_draft_is_deleted_and_leaves_no_gap(seller, customer):
    draft, other = make_one_off(seller, customer), make_one_off(seller, customer)

    services.delete_one_off_invoice(actor="test", invoice_id=draft.pk, version=draft.version)

    services.issue_invoice(actor="test", invoice_id=other.pk, issued_on=AS_OF)
    assert Invoice.objects.get().number == "INV-2024-000001"
    entry = AuditEntry.objects.get(action="invoice.deleted")
    assert (entry.subject_id, entry.entity_id) == (str(draft.pk), customer.pk)


@pytest.mark.parametrize("change", ["revise", "delete"])
def test_what_is_issued_or_comes_from_usage_is_not_touched(change, seller, customer):
    def act(invoice):
        if change == "delete":
            services.delete_one_off_invoice(actor="test", invoice_id=invoice.pk)
        else:
            product = make_product(entity=seller)
            services.revise_one_off_invoice(
                actor="test", invoice_id=invoice.pk, lines=[one_off_line(product)], as_of=AS_OF
            )

    issued, metered = make_one_off(seller, customer), make_draft(seller=seller, customer=customer)
    services.issue_invoice(actor="test", invoice_id=issued.pk, issued_on=AS_OF)
    before = counts()

    for invoice, error in ((issued, InvoiceNotDraft), (metered, NotOneOff)):
        with pytest.raises(error), transaction.atomic():
            act(invoice)

    assert counts() == before


def test_the_run_of_its_day_issues_it_and_no_earlier_one(seller, customer):
    dated = make_one_off(seller, customer, issue_on=AS_OF)
    by_hand = make_one_off(seller, customer)
    line_id = dated.lines.get().pk

    def run(day: date) -> list[str]:
        made = services.start_billing_run(actor="test", seller_id=seller.pk, as_of=day)
        services.continue_billing_run(actor="test", run_id=made.pk)
        return [str(pk) for pk in Invoice.objects.filter(issued_on=day).values_list("pk", flat=True)]

    assert run(AS_OF - timedelta(days=1)) == []
    preview = services.preview_billing(seller_id=seller.pk, as_of=AS_OF)
    assert [(invoice.pk, invoice.total_amount) for invoice in preview.invoices] == [(dated.pk, 119)]
    assert preview.refused == {}
    assert run(AS_OF) == [str(dated.pk)]
    issued = Invoice.objects.get(pk=dated.pk)
    assert (issued.lines.get().pk, issued.total_amount, issued.issue_on) == (line_id, 119, AS_OF)
    assert issued.run == BillingRun.objects.get(as_of=AS_OF)
    assert Invoice.objects.get(pk=by_hand.pk).state == InvoiceState.DRAFT
    assert run(AS_OF) == [str(dated.pk)]
    assert_invariants_hold()


def test_the_run_taxes_it_as_of_its_day(seller, customer):
    draft = make_one_off(seller, customer, issue_on=AS_OF, as_of=date(2024, 9, 1))
    assert draft.tax_amount == 19
    services.add_tax_exemption(
        actor="test", customer_id=customer.pk, country="DE", certificate="NV 1", starts_on=date(2024, 9, 30)
    )

    services.draft_invoices(actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=AS_OF)

    assert Invoice.objects.get(pk=draft.pk).tax_amount == 0


def test_usage_is_drafted_beside_it(seller, customer):
    metered = make_draft(seller=seller, customer=customer)
    draft = make_one_off(seller, customer, issue_on=AS_OF)

    again = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=AS_OF
    )

    assert {invoice.pk for invoice in again} == {draft.pk, metered.pk}


def test_a_preview_is_the_draft_and_leaves_nothing(seller, customer):
    terms = {
        "seller_id": seller.pk,
        "customer_id": customer.pk,
        "currency": "EUR",
        "lines": [one_off_line(make_product(entity=seller), quantity="3", unit_price="33.333")],
        "as_of": AS_OF,
    }
    before = counts()

    shown = services.preview_one_off_invoice(**terms)

    assert counts() == before
    made = services.draft_one_off_invoice(actor="test", **terms)
    assert (
        [line.net_amount for line in shown.lines] == [line.net_amount for line in made.lines.all()] == [100]
    )
    assert [tax.tax_amount for tax in shown.taxes] == [19]
    assert shown.invoice.total_amount == made.total_amount == 119


@pytest.mark.parametrize("wrong", ["figures", "department"])
def test_a_line_that_is_not_what_was_written_is_found(wrong, seller, customer):
    line = make_one_off(seller, customer).lines.get()
    assert found_by("O1") == []

    if wrong == "figures":
        InvoiceLine.objects.filter(pk=line.pk).update(unit_price=101)
    else:
        foreign = make_department(entity=make_entity())
        line.derivation["shares"][0]["department"] = str(foreign.pk)
        line.save()

    assert found_by("O1") == [line.pk]


def found_by(check: str) -> list:
    [query] = [sql for name, sql in CHECKS.items() if name.startswith(f"{check} ")]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]


def test_only_a_one_off_invoice_has_a_day_of_issue_to_come(seller, customer):
    draft = make_draft(seller=seller, customer=customer)

    with pytest.raises(IntegrityError, match="invoice_issue_day_of_one_off"), transaction.atomic():
        Invoice.objects.filter(pk=draft.pk).update(issue_on=AS_OF)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    figures=st.lists(
        st.tuples(
            st.decimals(min_value="0.001", max_value="1000", places=3),
            st.decimals(min_value="-10", max_value="1000", places=4),
        ),
        min_size=1,
        max_size=6,
    ),
    currency=st.sampled_from(["JPY", "EUR", "KWD"]),
)
def test_any_lines_make_their_totals_or_are_refused(figures, currency, seller, customer):
    product = make_product(entity=seller)
    lines = [one_off_line(product, quantity=str(q), unit_price=str(p)) for q, p in figures]
    nets = [round_half_up(quantity * price, currency) for quantity, price in figures]
    net = sum(nets)
    total = net + round_half_up(net * Decimal("0.19"), currency)

    if total < 0:
        with pytest.raises(NegativeTotal), transaction.atomic():
            make_one_off(seller, customer, lines=lines, currency=currency)
        return
    invoice = make_one_off(seller, customer, lines=lines, currency=currency)
    assert [line.net_amount for line in invoice.lines.order_by("position")] == nets
    assert invoice.total_amount == total
    assert differences_in(invoice) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_revisions_at_once_the_second_sees_the_first():
    seller = make_seller()
    customer, product = make_entity(parent=seller), make_product(entity=seller)
    draft = make_one_off(seller, customer)

    def revise(price):
        return services.revise_one_off_invoice(
            actor="test",
            invoice_id=draft.pk,
            lines=[one_off_line(product, unit_price=price)],
            as_of=AS_OF,
            version=draft.version,
        )

    with transaction.atomic():
        revise("10")
        rival = start_rival(lambda: revise("20"))
    with pytest.raises(PreconditionFailed):
        rival.result()

    assert Invoice.objects.get(pk=draft.pk).net_amount == 10
