"""Several workers on one billing run: nobody waits for another's customers, and nobody is billed twice."""

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from billing.entities.models import BillingEntity
from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.billing_runs.services import runs as billing_runs
from billing.invoicing.models import BillingRun, Invoice, NumberSeries, UsageClaim
from billing.invoicing.states import RunItemState, RunState
from billing.invoicing.tests.makers import AS_OF, make_seller, make_sold_meter, make_usage
from billing.kernel.errors import Unavailable
from billing.kernel.models import AuditEntry, Job
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.ledger.models import JournalEntry
from billing.subscriptions.tests.makers import make_price

pytestmark = pytest.mark.django_db(transaction=True)


def start(count: int, *, failing: int | None = None) -> tuple[BillingRun, list[BillingEntity]]:
    """A run over customers with usage of 100.00 net each, in the order of their codes; one may have no price."""
    seller = make_seller()
    meter, unpriced = make_sold_meter(seller), make_sold_meter(seller, currency="USD")
    customers = sorted((make_entity(parent=seller) for _ in range(count)), key=lambda c: c.code)
    for number, customer in enumerate(customers):
        make_usage(customer, unpriced if number == failing else meter, "400")
    return services.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF), customers


def work(run: BillingRun) -> BillingRun:
    return services.continue_billing_run(actor="test", run_id=run.pk)


def in_a_thread(work) -> object:
    def in_own_connection():
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(in_own_connection).result(timeout=30)


def billed_once(run: BillingRun, customers: list[BillingEntity]) -> None:
    """Each has one invoice, the numbers have no gap, and every event is claimed once."""
    count = len(customers)
    invoices = Invoice.objects.exclude(number=None)
    assert sorted(invoices.values_list("customer_id", flat=True)) == sorted(c.pk for c in customers)
    assert sorted(invoices.values_list("sequence", flat=True)) == list(range(1, count + 1))
    assert NumberSeries.objects.get().last == count
    assert (UsageClaim.objects.count(), JournalEntry.objects.count()) == (count, count)
    assert_invariants_hold()


def test_a_worker_bills_whom_nobody_has_at_hand_and_does_not_wait_for_the_others_chunk(settings):
    settings.BILLING_RUN_CHUNK = 2
    run, customers = start(6)

    with transaction.atomic():
        BillingEntity.objects.locked().get(pk=customers[0].pk)
        rival = start_rival(lambda: work(run))  # holds the first two, and waits for us

        second = in_a_thread(lambda: work(run))

        assert not rival.done()
        assert second.state == RunState.RUNNING  # the rival is still at work
        assert list(Invoice.objects.order_by("sequence").values_list("customer_id", flat=True)) == [
            customer.pk for customer in customers[2:]
        ]
        assert list(run.items.filter(state=RunItemState.PENDING).values_list("customer_id", flat=True)) == [
            customer.pk for customer in customers[:2]
        ]

    assert rival.result(timeout=30).state == RunState.FINISHED  # by whoever ends last
    billed_once(run, customers)
    assert AuditEntry.objects.filter(action="billing_run.finished").count() == 1


def test_a_customer_without_a_price_in_one_workers_chunk_stops_nobody(settings):
    settings.BILLING_RUN_CHUNK = 4
    run, customers = start(8, failing=2)

    with transaction.atomic():
        BillingEntity.objects.locked().get(pk=customers[0].pk)
        rival = start_rival(lambda: work(run))  # whose chunk has the customer without a price
        in_a_thread(lambda: work(run))

    finished = rival.result(timeout=30)
    assert finished.state == RunState.FINISHED
    failed = run.items.get(state=RunItemState.FAILED)
    assert (failed.customer_id, failed.failure["code"]) == (customers[2].pk, "price-missing")
    billed_once(run, customers[:2] + customers[3:])


def test_a_customer_in_use_is_put_off_and_everybody_else_is_billed(settings):
    settings.BILLING_RUN_CHUNK = 4
    run, customers = start(4)

    def impatient():
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '20ms'")
        return work(run)

    with transaction.atomic():
        BillingEntity.objects.locked().get(pk=customers[1].pk)
        with pytest.raises(Unavailable):
            in_a_thread(impatient)

    assert Invoice.objects.exclude(number=None).count() == 3
    assert run.items.get(state=RunItemState.PENDING).customer_id == customers[1].pk
    assert BillingRun.objects.get().state == RunState.RUNNING
    assert work(run).state == RunState.FINISHED
    billed_once(run, customers)


def test_a_worker_that_failed_a_customer_leaves_alone_whom_another_has_billed_meanwhile(monkeypatch):
    """Between the refusal and its note the price is added and a rival bills the customer."""
    run, customers = start(1, failing=0)
    refused = billing_runs._note_failure

    def too_late(*args, **kwargs):
        monkeypatch.setattr(billing_runs, "_note_failure", refused)
        seller = BillingEntity.objects.get(pk=run.seller_id)
        product = seller.products.get(prices__currency="USD")
        make_price(product=product, currency="EUR", unit_price=Decimal("0.25"))
        in_a_thread(lambda: work(run))
        refused(*args, **kwargs)

    monkeypatch.setattr(billing_runs, "_note_failure", too_late)
    work(run)

    item = run.items.get()
    assert (item.state, item.failure, item.invoices_issued) == (RunItemState.DONE, None, 1)
    billed_once(run, customers)


@pytest.mark.slow
def test_the_command_bills_in_several_processes(settings):
    settings.BILLING_RUN_CHUNK = 2
    run, customers = start(12)
    out = StringIO()

    call_command("run_billing", as_of=AS_OF, workers=3, json=True, stdout=out)

    [told] = json.loads(out.getvalue())["sellers"]
    assert (told["customers_due"], told["invoices"], told["totals"], told["state"]) == (
        12,
        12,
        {"EUR": "1428.00"},
        "finished",
    )
    billed_once(run, customers)


def test_the_command_refuses_no_worker_and_too_many():
    for workers in (0, 33):
        with pytest.raises(CommandError, match="1 to 32"):
            call_command("run_billing", as_of=AS_OF, workers=workers)


def test_a_run_is_queued_as_so_many_jobs_as_there_are_workers_and_chunks(settings):
    settings.BILLING_RUN_CHUNK, settings.BILLING_RUN_WORKERS = 2, 3
    run, _ = start(3)

    _, jobs = services.queue_billing_run(actor="test", seller_id=run.seller_id, as_of=AS_OF)

    assert len(jobs) == 2
    assert list(Job.objects.values_list("parameters", flat=True)) == [{"run": str(run.pk)}] * 2

    settings.BILLING_RUN_CHUNK = 1
    _, jobs = services.queue_billing_run(actor="test", seller_id=run.seller_id, as_of=AS_OF)
    assert len(jobs) == 3
