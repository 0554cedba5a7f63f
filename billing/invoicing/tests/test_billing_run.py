import json
from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.models import BillingRun, Invoice, NumberSeries, UsageClaim
from billing.invoicing.states import InvoiceState, RunItemState, RunState
from billing.invoicing.tests.makers import (
    AS_OF,
    make_seller,
    make_sold_meter,
    make_usage,
)
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalEntry
from billing.subscriptions.tests.makers import make_price

pytestmark = pytest.mark.django_db


def make_customers(seller, count):
    meter = make_sold_meter(seller)
    customers = [make_entity(parent=seller) for _ in range(count)]
    for customer in customers:
        make_usage(customer, meter, "400")
    return customers


def run(seller, as_of=AS_OF, **options) -> BillingRun:
    started = services.start_billing_run(actor="user:1", seller_id=seller.pk, as_of=as_of)
    return services.continue_billing_run(actor="user:1", run_id=started.pk, **options)


def test_bills_everybody_in_the_order_of_their_codes():
    seller = make_seller()
    customers = make_customers(seller, 3)

    finished = run(seller)

    assert finished.state == RunState.FINISHED
    assert list(finished.items.values_list("state", "invoices_issued")) == [(RunItemState.DONE, 1)] * 3
    assert list(Invoice.objects.order_by("sequence").values_list("number", "customer_id", "state")) == [
        (f"INV-2024-{i:06d}", customer.pk, InvoiceState.ISSUED)
        for i, customer in enumerate(sorted(customers, key=lambda c: c.code), start=1)
    ]
    assert_invariants_hold()


def test_running_again_finds_nothing_more_to_generate():
    seller = make_seller()
    make_customers(seller, 2)
    run(seller)
    before = (Invoice.objects.count(), UsageClaim.objects.count(), JournalEntry.objects.count())

    again = run(seller)

    assert again.state == RunState.FINISHED
    assert (Invoice.objects.count(), UsageClaim.objects.count(), JournalEntry.objects.count()) == before
    assert NumberSeries.objects.get().last == 2


def test_one_customers_failure_stops_nobody_else_and_can_be_retried():
    seller = make_seller()
    make_customers(seller, 2)
    unpriced = make_sold_meter(seller, currency="USD")
    failing = make_entity(parent=seller)
    make_usage(failing, unpriced)

    first = run(seller)

    item = first.items.get(customer=failing)
    assert (item.state, item.failure["code"]) == (RunItemState.FAILED, "price-missing")
    assert Invoice.objects.filter(state=InvoiceState.ISSUED).count() == 2
    assert first.state == RunState.FINISHED

    make_price(product=unpriced.product, currency="EUR", unit_price=Decimal("3"))
    second = run(seller)

    assert second.pk == first.pk
    assert second.items.get(customer=failing).state == RunItemState.DONE
    assert sorted(Invoice.objects.values_list("sequence", flat=True)) == [1, 2, 3]
    assert_invariants_hold()


def test_a_draft_that_cannot_be_issued_stays_with_its_reason_and_takes_no_number():
    seller = make_seller()
    customer = make_entity(parent=seller)
    make_usage(customer, make_sold_meter(seller, gl_code=""), "400")

    run(seller)

    invoice = Invoice.objects.get()
    assert (invoice.state, invoice.failure["code"]) == (InvoiceState.DRAFT, "gl-code-missing")
    assert not NumberSeries.objects.exists()
    assert not JournalEntry.objects.exists()


def test_progress_reaches_the_total():
    seller = make_seller()
    make_customers(seller, 3)
    seen = []

    run(seller, progress=lambda done, total: seen.append((done, total)))

    assert seen[-1] == (3, 3)


def test_the_preview_is_what_the_run_then_issues():
    seller = make_seller()
    make_customers(seller, 3)
    audited = AuditEntry.objects.count()

    preview = services.preview_billing(seller_id=seller.pk, as_of=AS_OF)

    assert not Invoice.objects.exists()
    assert AuditEntry.objects.count() == audited
    assert (preview.customers_due, preview.customers_seen, preview.refused) == (3, 3, {})
    run(seller)
    assert [(i.number, i.customer_id, i.total_amount) for i in Invoice.objects.order_by("sequence")] == [
        (i.number, i.customer_id, i.total_amount) for i in preview.invoices
    ]


def test_the_command_bills_and_tells():
    seller = make_seller()
    make_customers(seller, 2)
    out = StringIO()

    call_command("run_billing", seller=seller.code, as_of=AS_OF, stdout=out)

    assert out.getvalue().splitlines() == [
        f"{seller.code}: 2 invoices, 238.00 EUR",
        "issued=2 failed=0 waiting=0 as_of=2024-10-01",
    ]
    assert set(
        AuditEntry.objects.filter(subject_type="invoices", kind="row").values_list("actor", flat=True)
    ) == {"command:run_billing"}


def test_the_command_says_that_there_is_nothing_more():
    seller = make_seller()
    make_customers(seller, 1)
    call_command("run_billing", seller=seller.code, as_of=AS_OF, stdout=StringIO())
    out = StringIO()

    call_command("run_billing", seller=seller.code, as_of=AS_OF, stdout=out)

    assert out.getvalue().splitlines()[0] == (
        f"{seller.code}: Nothing more to generate. 1 invoices, 119.00 EUR"
    )


def test_the_command_tries_without_changing_anything():
    seller = make_seller()
    make_customers(seller, 2)
    out = StringIO()

    call_command("run_billing", as_of=AS_OF, dry_run=True, json=True, stdout=out)

    assert json.loads(out.getvalue())["sellers"][0]["invoices"] == 2
    assert not Invoice.objects.exists()
    assert not BillingRun.objects.exists()


def test_the_command_fails_loudly_when_somebody_could_not_be_billed():
    seller = make_seller()
    make_usage(make_entity(parent=seller), make_sold_meter(seller, currency="USD"))
    err = StringIO()

    with pytest.raises(CommandError, match="1 customer"):
        call_command("run_billing", as_of=AS_OF, stdout=StringIO(), stderr=err)

    assert "price-missing" in err.getvalue()


def test_the_command_refuses_a_seller_that_is_not_there():
    with pytest.raises(CommandError, match="NOBODY"):
        call_command("run_billing", seller="NOBODY", as_of=date(2024, 10, 1))


def test_a_slip_in_the_year_bills_no_century(freeze):
    freeze("2024-10-01T12:00:00Z")
    seller = make_seller()
    make_customers(seller, 1)

    with pytest.raises(CommandError, match="days ahead"):
        call_command("run_billing", as_of=date(2924, 10, 1), seller=seller.code)
    call_command("run_billing", as_of=date(2024, 11, 1), seller=seller.code, stdout=StringIO())

    assert list(BillingRun.objects.values_list("as_of", flat=True)) == [date(2024, 11, 1)]
