"""The main job on a real multi-cloud bill: file → usage → rated lines → invoices → departments → ledger → paid."""

import csv
from collections import defaultdict
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db.models import Sum

from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.models import CostAllocation, Invoice, InvoiceLine, UsageClaim
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import make_tax_rate
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.ledger.models import JournalLine
from billing.payments import services as payments
from billing.usage.models import UsageEvent

SAMPLE = settings.SHARED / "data" / "focus_1_0_sample.csv"
CENT = Decimal("0.01")
AS_OF = date(2024, 11, 1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def bill():
    if not SAMPLE.exists():
        pytest.skip(f"the FOCUS sample is not there (BILLING_SHARED names its folder): {SAMPLE.name}")
    with SAMPLE.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def seller():
    make_tax_rate(country="US", percent=Decimal(0))
    return make_entity(code="CLOUD", is_seller=True, is_customer=False, currency="USD", country="US")


def import_bill(seller, **options) -> str:
    out = StringIO()
    call_command(
        "import_usage", SAMPLE, format="focus", seller=seller.code, gl_code="6400", stdout=out, **options
    )
    return out.getvalue().splitlines()[-1]


def run_billing():
    call_command("run_billing", seller="CLOUD", as_of=AS_OF, stdout=StringIO(), stderr=StringIO())


def exact_totals(bill) -> dict[tuple[str, str], Decimal]:
    """Billing account and month of the billing period -> the exact sum of its costs, straight from the file."""
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in bill:
        totals[row["BillingAccountId"], row["BillingPeriodStart"][:7]] += Decimal(row["BilledCost"])
    return totals


def test_imported_twice_it_is_there_once(bill, seller):
    assert import_bill(seller) == "accepted=500 duplicates=0 conflicts=0 rejected=0"
    assert import_bill(seller) == "accepted=0 duplicates=500 conflicts=0 rejected=0"

    assert UsageEvent.objects.count() == 500
    assert UsageEvent.objects.aggregate(cost=Sum("cost"))["cost"] == sum(
        Decimal(row["BilledCost"]) for row in bill
    )


def test_every_invoice_is_the_exact_sum_of_its_costs_rounded_once(bill, seller):
    import_bill(seller)

    run_billing()

    expected = {key: exact.quantize(CENT, ROUND_HALF_UP) for key, exact in exact_totals(bill).items()}
    assert expected == {
        ("1234567890123", "2024-09"): Decimal("14.18"),
        ("/providers/Microsoft.Billing/billingAccounts/8611537", "2024-09"): Decimal("0.16"),
        ("20209880", "2024-09"): Decimal("0.08"),
        ("20209880", "2024-10"): Decimal("0.24"),
    }
    assert {
        (invoice.customer.external_reference, f"{invoice.period_starts_on:%Y-%m}"): invoice.net_amount
        for invoice in Invoice.objects.select_related("customer")
    } == expected
    assert set(Invoice.objects.values_list("state", "currency")) == {(InvoiceState.ISSUED, "USD")}


def test_no_cent_is_lost_or_made_on_the_way_to_lines_departments_and_ledger(bill, seller):
    import_bill(seller)

    run_billing()

    for invoice in Invoice.objects.all():
        exact = [Decimal(line.derivation["exact"]) for line in invoice.lines.all()]
        assert invoice.net_amount == sum(exact).quantize(CENT, ROUND_HALF_UP)
        for line in invoice.lines.all():
            shares = [Decimal(share["exact"]) for share in line.derivation["shares"]]
            assert sum(shares) == Decimal(line.derivation["exact"])
            assert abs(line.net_amount - sum(shares)) < CENT
            assert line.allocations.aggregate(net=Sum("net_amount"))["net"] == line.net_amount
    assert sum(Decimal(line.derivation["exact"]) for line in InvoiceLine.objects.all()) == sum(
        Decimal(row["BilledCost"]) for row in bill
    )
    assert UsageClaim.objects.count() == 500
    billed = Decimal("14.66")
    assert Invoice.objects.aggregate(net=Sum("net_amount"))["net"] == billed
    assert CostAllocation.objects.aggregate(net=Sum("net_amount"))["net"] == billed
    receivable = JournalLine.objects.filter(account__code="1100")
    assert receivable.aggregate(open=Sum("debit"))["open"] == billed
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)  # verify_ledger reads one snapshot of its own
def test_the_books_verify_and_the_invoices_settle(bill, seller):
    import_bill(seller)
    run_billing()

    for invoice in Invoice.objects.select_related("customer"):
        payments.record_payment(
            actor="test",
            seller_id=seller.pk,
            customer_id=invoice.customer_id,
            amount=invoice.total_amount,
            currency="USD",
            received_on=date(2024, 11, 20),
            method="bank_transfer",
            reference=f"wire for {invoice.number}",
            applications=[(invoice.pk, invoice.total_amount)],
            as_of=date(2024, 11, 20),
        )

    assert set(Invoice.objects.values_list("state", flat=True)) == {InvoiceState.PAID}
    for command, last in (("verify_ledger", "differences=0"), ("verify_invariants", "violations=0")):
        out = StringIO()
        call_command(command, stdout=out)
        assert out.getvalue().splitlines()[-1] == last


def test_running_billing_again_generates_nothing_more(bill, seller):
    import_bill(seller)
    run_billing()
    before = list(Invoice.objects.order_by("sequence").values_list("number", "total_amount"))

    import_bill(seller)
    run_billing()

    assert list(Invoice.objects.order_by("sequence").values_list("number", "total_amount")) == before
    preview = invoicing.preview_billing(seller_id=seller.pk, as_of=AS_OF)
    assert (preview.customers_due, preview.invoices, preview.refused) == (0, [], {})


def test_a_mark_up_is_exact_too(bill, seller):
    import_bill(seller, mark_up=Decimal("12.5"))

    run_billing()

    assert {
        (invoice.customer.external_reference, f"{invoice.period_starts_on:%Y-%m}"): invoice.net_amount
        for invoice in Invoice.objects.select_related("customer")
    } == {
        key: (exact * Decimal("1.125")).quantize(CENT, ROUND_HALF_UP)
        for key, exact in exact_totals(bill).items()
    }
    assert_invariants_hold()


def test_sub_accounts_can_be_entities_and_one_with_more_credit_than_charges_stops_no_other(bill, seller):
    import_bill(seller, sub_accounts="entities")
    expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in bill:
        expected[row["SubAccountId"], row["BillingPeriodStart"][:7]] += Decimal(row["BilledCost"])
    in_credit = {key for key, exact in expected.items() if exact.quantize(CENT, ROUND_HALF_UP) < 0}

    with pytest.raises(CommandError, match=f"{len(in_credit)} customer"):
        run_billing()

    assert len(in_credit) == 1
    assert {
        (invoice.customer.external_reference, f"{invoice.period_starts_on:%Y-%m}"): invoice.net_amount
        for invoice in Invoice.objects.select_related("customer").exclude(number=None)
    } == {key: exact.quantize(CENT, ROUND_HALF_UP) for key, exact in expected.items() if key not in in_credit}
    assert Invoice.objects.get(number=None).failure["code"] == "negative-total"
    assert_invariants_hold()
