"""A billing run in the console: seen before it starts, watched while it runs, its customers retried."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing import services
from billing.invoicing.billing_runs.console import runs
from billing.invoicing.billing_runs.queries import NOTHING_MORE, figures_of
from billing.invoicing.errors import PriceMissing
from billing.invoicing.models import BillingRun, BillingRunItem, Invoice
from billing.invoicing.states import RunItemState, RunState
from billing.invoicing.tests.makers import AS_OF, make_seller, make_sold_meter, make_usage
from billing.kernel.errors import NotFound
from billing.kernel.models import AuditEntry, Job
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions.tests.makers import make_price

pytestmark = pytest.mark.django_db
BACKEND = "billing.entities.backends.GrantBackend"


@pytest.fixture
def console(client):
    """A console that somebody with `role` over `entity` has signed in to."""

    def sign_in(role, entity):
        client.force_login(make_grant(role=role, entity=entity).user, backend=BACKEND)
        return client

    return sign_in


def page(name: str, *args) -> str:
    return reverse(f"admin:invoicing_{name}", args=args)


def make_customers(seller, count, *, unpriced=0):
    """Customers with usage of 100.00 EUR net each; the last so many use what has no price."""
    meter, priceless = make_sold_meter(seller), make_sold_meter(seller, currency="USD")
    customers = sorted((make_entity(parent=seller) for _ in range(count)), key=lambda c: c.code)
    for number, customer in enumerate(customers):
        make_usage(customer, priceless if number >= count - unpriced else meter, "400")
    return customers


def make_run(seller) -> BillingRun:
    return services.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF)


def bill(run) -> BillingRun:
    return services.continue_billing_run(actor="test", run_id=run.pk)


def give_a_price(seller) -> None:
    """In EUR, to what had one in USD only."""
    make_price(
        product=seller.products.get(prices__currency="USD"), currency="EUR", unit_price=Decimal("0.25")
    )


# --- figures


def test_the_figures_are_those_of_the_run():
    seller = make_seller()
    make_customers(seller, 3, unpriced=1)
    run = make_run(seller)
    before = figures_of(run)
    bill(run)
    after = figures_of(run)

    assert (before.state, before.done, before.failed, before.pending) == (RunState.RUNNING, 0, 0, 3)
    assert (before.invoices, before.amounts, before.percent, before.rest) == (0, {}, 0, None)
    assert before.message == "3 customers to bill."
    assert (after.state, after.done, after.failed, after.pending) == (RunState.FINISHED, 2, 1, 0)
    assert (after.invoices, after.amounts) == (2, {"EUR": Decimal("238.00")})
    assert (after.percent, after.rest, after.message) == (100, None, NOTHING_MORE)


def test_the_rest_is_estimated_by_what_was_done_since_the_run_was_last_started():
    """1 of 4 done in one minute: the other three take three."""
    seller = make_seller()
    make_customers(seller, 4)
    run = make_run(seller)
    began = run.items.earliest("updated_at").updated_at
    BillingRun.objects.filter(pk=run.pk).update(continued_at=began)
    run.items.filter(pk=run.items.first().pk).update(state=RunItemState.DONE)

    figures = figures_of(run, now=began + timedelta(minutes=1))

    assert (figures.elapsed, figures.rest) == (timedelta(minutes=1), timedelta(minutes=3))
    assert figures.percent == 25


def test_the_time_of_a_run_started_again_counts_anew(freeze):
    seller = make_seller()
    make_customers(seller, 1, unpriced=1)
    bill(make_run(seller))
    began = datetime(2030, 1, 1, tzinfo=UTC)

    freeze("2030-01-01T00:00:00Z")
    run = make_run(seller)

    assert (run.state, run.continued_at, run.finished_at) == (RunState.RUNNING, began, None)
    assert make_run(seller).continued_at == began  # it runs already


def test_a_run_with_nothing_to_do_is_finished_at_once():
    run = make_run(make_seller())

    assert run.state == RunState.FINISHED
    assert figures_of(run).message == NOTHING_MORE
    assert AuditEntry.objects.filter(action="billing_run.finished").count() == 1


# --- the page


def test_the_page_shows_the_figures_without_a_script_and_serves_the_one_that_refreshes_them(console):
    seller = make_seller()
    make_customers(seller, 3, unpriced=1)
    run = make_run(seller)
    bill(run)

    answer = console("BO", seller).get(page("billingrun_change", run.pk))

    text = answer.content.decode()
    assert (
        '<dd class="font-semibold text-font-important-light dark:text-font-important-dark" data-figure="done">2</dd>'
        in text
    )
    assert "238.00 EUR" in text
    assert NOTHING_MORE in text
    assert "price-missing" in text
    assert '<progress class="mb-3 w-full" max="100" value="100"' in text
    assert "invoicing/run_progress.js" in text
    assert finders.find("invoicing/run_progress.js")
    assert "script-src 'self'" in answer["Content-Security-Policy"]


def test_the_progress_is_told_as_json_to_whoever_may_see_the_run(console):
    seller = make_seller()
    make_customers(seller, 3, unpriced=1)
    run = make_run(seller)
    bill(run)
    address = page("billingrun_progress", run.pk)

    answer = console("AU", seller).get(address)

    assert answer.json() == {
        "state": "finished",
        "percent": 100,
        "has_failures": True,
        "figures": {
            "state": "Finished",
            "message": NOTHING_MORE,
            "done": "2",
            "failed": "1",
            "pending": "0",
            "invoices": "2",
            "amounts": "238.00 EUR",
            "elapsed": answer.json()["figures"]["elapsed"],
            "rest": "–",
            "finished": answer.json()["figures"]["finished"],
        },
    }
    assert "no-store" in answer["Cache-Control"]


def test_the_progress_is_told_to_nobody_else(console, client):
    run = make_run(make_seller())
    address = page("billingrun_progress", run.pk)

    assert client.get(address).status_code == 302
    assert console("FC", make_seller()).get(address).status_code == 404
    assert console("VW", run.seller).get(address).status_code in {403, 404}
    assert console("FC", run.seller).get(page("billingrun_progress", uuid4())).status_code == 404


def test_the_progress_of_a_large_run_costs_as_many_queries_as_that_of_a_small_one(console):
    def queries_for(count):
        seller = make_seller()
        make_customers(seller, count)
        run = make_run(seller)
        bill(run)
        browser = console("FC", seller)
        browser.get(page("billingrun_progress", run.pk))
        with CaptureQueriesContext(
            connection,
        ) as made:
            browser.get(page("billingrun_progress", run.pk))
        return len(made)

    assert queries_for(1) == queries_for(9) <= 12


# --- starting one


def start(browser, seller, **answers):
    return browser.post(page("billingrun_add"), {"seller": seller.pk, "as_of": str(AS_OF), **answers})


def test_nothing_is_started_before_it_was_seen(console):
    seller = make_seller()
    make_customers(seller, 3, unpriced=1)
    browser = console("BO", seller)

    shown = start(browser, seller, preview="yes")

    [totals, invoices, refused] = shown.context["seen"].tables
    assert totals.rows == [["EUR", "2", "200.00 EUR", "38.00 EUR", "238.00 EUR"]]
    assert totals.note == "Every customer with something due was tried: 3."
    assert [row[0] for row in invoices.rows] == ["INV-2024-000001", "INV-2024-000002"]
    assert refused.rows[0][1] == "price-missing"
    start(browser, seller, confirm="yes", once="a")  # nothing was seen
    start(browser, seller, confirm="yes", once="a", seen="something else")
    assert not BillingRun.objects.exists()
    assert not Invoice.objects.exists()
    assert not Job.objects.exists()

    confirmed = start(browser, seller, confirm="yes", once="a", seen=shown.context["seen"].seal)

    run = BillingRun.objects.get()
    assert confirmed.url == page("billingrun_change", run.pk)
    assert Job.objects.get().parameters == {"run": str(run.pk)}
    assert run.requested_by == f"user:{shown.wsgi_request.user.pk}"
    start(browser, seller, confirm="yes", once="a", seen=shown.context["seen"].seal)
    assert Job.objects.count() == 1


def test_a_preview_of_many_customers_says_how_many_it_tried(console, monkeypatch):
    monkeypatch.setattr(runs, "PREVIEW_CUSTOMERS_MAX", 2)
    seller = make_seller()
    make_customers(seller, 3)

    [totals, _] = start(console("BO", seller), seller, preview="yes").context["seen"].tables

    assert totals.rows == [["EUR", "2", "200.00 EUR", "38.00 EUR", "238.00 EUR"]]
    assert totals.note.startswith("The first 2 of 3 customers by code were tried")


def test_with_nothing_due_the_page_says_so_and_starts_nothing(console):
    seller = make_seller()
    browser = console("BO", seller)

    shown = start(browser, seller, preview="yes")

    assert NOTHING_MORE in shown.content.decode()
    assert shown.context["seen"] is None
    assert start(browser, seller, confirm="yes", seen="").status_code == 200
    assert not BillingRun.objects.exists()


def test_a_slip_in_the_year_is_refused_on_the_page(console, freeze):
    freeze("2024-10-01T12:00:00Z")
    seller = make_seller()
    shown = start(console("BO", seller), seller, as_of=str(date(2924, 10, 1)), preview="yes")

    assert "days ahead" in shown.content.decode()


def test_only_own_sellers_can_be_chosen_and_only_by_whoever_bills(console):
    mine, theirs = make_seller(), make_seller()
    make_customers(theirs, 1)
    browser = console("BO", mine)

    assert list(browser.get(page("billingrun_add")).context["form"].fields["seller"].queryset) == [mine]
    refused = start(browser, theirs, preview="yes")
    assert refused.context["form"].errors["seller"]
    assert console("AU", mine).get(page("billingrun_add")).status_code == 403


# --- one customer again


def failed_run(seller) -> BillingRun:
    make_customers(seller, 2, unpriced=1)
    return bill(make_run(seller))


def test_a_customer_is_billed_again_by_itself_once_its_cause_is_put_right(console):
    seller = make_seller()
    run = failed_run(seller)
    item = run.items.get(state=RunItemState.FAILED)
    give_a_price(seller)

    console("BO", seller).post(
        page("billingrunitem_action_retry", item.pk), {"confirm": "yes", "once": uuid4().hex}
    )

    item.refresh_from_db()
    run.refresh_from_db()
    assert (item.state, item.failure, item.invoices_issued) == (RunItemState.DONE, None, 1)
    assert run.state == RunState.FINISHED
    assert Invoice.objects.exclude(number=None).count() == 2
    assert AuditEntry.objects.filter(action="billing_run.customer_retried").count() == 1
    assert_invariants_hold()


def test_a_customer_refused_again_keeps_the_new_reason(console):
    seller = make_seller()
    run = failed_run(seller)
    item = run.items.get(state=RunItemState.FAILED)
    BillingRunItem.objects.filter(pk=item.pk).update(failure={"code": "old", "detail": "Old."})

    shown = console("BO", seller).post(
        page("billingrunitem_action_retry", item.pk), {"confirm": "yes", "once": uuid4().hex}, follow=True
    )

    item.refresh_from_db()
    run.refresh_from_db()
    assert (item.state, item.failure["code"]) == (RunItemState.FAILED, "price-missing")
    assert run.state == RunState.FINISHED
    assert "No price for" in shown.content.decode()
    with pytest.raises(PriceMissing):
        services.retry_customer(actor="test", run_id=run.pk, customer_id=item.customer_id)


def test_only_a_customer_that_failed_is_retried():
    seller = make_seller()
    run = failed_run(seller)
    done = run.items.get(state=RunItemState.DONE)
    audited = AuditEntry.objects.count()

    for customer_id in (done.customer_id, uuid4()):
        with pytest.raises(NotFound):
            services.retry_customer(actor="test", run_id=run.pk, customer_id=customer_id)

    assert run.items.get(pk=done.pk).state == RunItemState.DONE
    assert AuditEntry.objects.count() == audited


def test_the_customers_of_a_run_are_listed_within_reach_only(console):
    seller = make_seller()
    run = failed_run(seller)
    other = make_seller()
    failed_run(other)

    listed = console("AU", seller).get(f"{page('billingrunitem_changelist')}?run__id__exact={run.pk}")

    assert {item.run_id for item in listed.context["cl"].result_list} == {run.pk}
    assert len(listed.context["cl"].result_list) == 2
    everything = console("AU", seller).get(page("billingrunitem_changelist"))
    assert {item.run_id for item in everything.context["cl"].result_list} == {run.pk}
