from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.invoicing.models import BillingRun, CostAllocation, Invoice
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import (
    AS_OF,
    make_draft,
    make_invoice,
    make_seller,
    make_sold_meter,
    make_usage,
)
from billing.invoicing.verification.services.reconciliation import proof_of
from billing.kernel.background_jobs import run_job
from billing.kernel.models import AuditEntry, Job, JobState
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"


def user(role: str, entity):
    return make_grant(role=role, entity=entity).user


def once(**headers) -> dict:
    return {"Idempotency-Key": str(uuid4())} | headers


def verbs() -> int:
    return AuditEntry.objects.filter(kind="verb").count()


def test_the_list_shows_what_is_within_reach_and_filters(api):
    mine, theirs = make_invoice(), make_invoice()
    client = api(user("VW", mine.seller))

    shown = client.get(f"{API}invoices?state=issued&currency=EUR&issued_after=2024-10-01&overdue=true").json()

    assert [row["id"] for row in shown["results"]] == [str(mine.pk)]
    row = shown["results"][0]
    assert (row["total_amount"], row["balance_amount"], row["number"], row["overdue"]) == (
        "119.00",
        "119.00",
        "INV-2024-000001",
        True,
    )
    assert client.get(f"{API}invoices?state=draft").json()["results"] == []
    assert client.get(f"{API}invoices?search={mine.number}").json()["results"][0]["id"] == str(mine.pk)
    assert client.get(f"{API}invoices/{theirs.pk}").status_code == 404
    assert client.get(f"{API}invoices?status=issued").status_code == 400


def test_an_invoice_is_shown_with_lines_taxes_and_shares_when_asked(api):
    invoice = make_invoice()
    client = api(user("VW", invoice.seller))

    shown = client.get(f"{API}invoices/{invoice.pk}?expand=lines,taxes,allocations")

    assert shown["ETag"] == f'"{invoice.version}"'
    body = shown.json()
    assert [line["net_amount"] for line in body["lines"]] == ["100.00"]
    assert Decimal(body["lines"][0]["derivation"]["exact"]) == 100
    assert [(t["category"], t["percent"], t["tax_amount"]) for t in body["taxes"]] == [("S", "19", "19.00")]
    assert [(s["net_amount"], s["tax_amount"]) for s in body["allocations"]] == [("100.00", "19.00")]
    lines = client.get(f"{API}invoices/{invoice.pk}/lines").json()["results"]
    assert [line["id"] for line in lines] == [body["lines"][0]["id"]]
    assert client.get(f"{API}invoices/{uuid4()}/lines").status_code == 404


def test_a_list_costs_as_many_queries_whatever_its_length(api, django_assert_max_num_queries):
    seller = make_seller()
    meter = make_sold_meter(seller)
    for _ in range(3):
        make_draft(seller=seller, meter=meter)
    client = api(user("VW", seller))

    with django_assert_max_num_queries(8):
        body = client.get(f"{API}invoices?expand=lines,taxes,allocations").json()

    assert len(body["results"]) == 3


def test_the_proof_goes_from_the_line_to_the_books_and_holds(api):
    invoice = make_invoice()
    client = api(user("AU", invoice.seller))

    proof = client.get(f"{API}invoices/{invoice.pk}/allocations").json()

    assert proof["holds"] is True
    assert [line["shares_net_amount"] for line in proof["lines"]] == ["100.00"]
    [place] = proof["places"]
    assert (place["gl_code"], place["net_amount"], place["booked_amount"]) == ("6400", "100.00", "100.00")
    [entry] = proof["entries"]
    assert {(line["account"], line["debit"], line["credit"]) for line in entry["lines"]} == {
        ("1100", "119.00", "0.00"),
        ("2200", "0.00", "19.00"),
        ("4000", "0.00", "100.00"),
    }
    assert all(check["expected"] == check["found"] for check in proof["checks"])


def test_the_proof_fails_when_a_figure_is_off():
    invoice = make_invoice()

    invoice.net_amount += Decimal("0.01")

    assert not proof_of(invoice).holds


def test_the_timeline_tells_who_did_what_in_order(api):
    invoice = make_invoice()
    client = api(user("VW", invoice.seller))

    told = client.get(f"{API}invoices/{invoice.pk}/timeline").json()["results"]

    assert [(moment["kind"], moment["what"]) for moment in told] == [
        ("verb", "invoice.drafted"),
        ("verb", "invoice.issued"),
        ("event", "invoice.issued"),
    ]
    assert [moment["at"] for moment in told] == sorted(moment["at"] for moment in told)
    assert told[0]["who"] == "test"


def test_drafts_for_those_named_or_for_whoever_has_something_due(api):
    seller = make_seller()
    meter = make_sold_meter(seller)
    one, two = make_entity(parent=seller), make_entity(parent=seller)
    make_usage(one, meter)
    make_usage(two, meter)
    client = api(user("BO", seller))
    order = {"seller": str(seller.pk), "as_of": str(AS_OF)}

    named = client.post(f"{API}invoices/draft", order | {"customers": [str(one.pk)]}, headers=once())
    everybody = client.post(f"{API}invoices/draft", order, headers=once())

    assert (named.status_code, everybody.status_code) == (201, 201)
    assert [row["customer"] for row in named.json()["results"]] == [str(one.pk)]
    assert {row["customer"] for row in everybody.json()["results"]} == {str(one.pk), str(two.pk)}


def test_nobody_drafts_for_customers_out_of_reach(api):
    seller = make_seller()
    stranger = make_entity(parent=make_seller())
    client = api(user("BO", seller))
    before = verbs()
    order = {"seller": str(seller.pk), "as_of": str(AS_OF), "customers": [str(stranger.pk)]}

    answer = client.post(f"{API}invoices/draft", order, headers=once())

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert (Invoice.objects.count(), verbs()) == (0, before)


def test_issues_under_the_version_that_was_read(api):
    draft = make_draft()
    client = api(user("BO", draft.seller))
    address, order = f"{API}invoices/{draft.pk}/issue", {"issued_on": str(AS_OF)}

    without_key = client.post(address, order, headers={"If-Match": f'"{draft.version}"'})
    without_version = client.post(address, order, headers=once())
    stale = client.post(address, order, headers=once(**{"If-Match": f'"{draft.version + 1}"'}))
    assert (without_key.status_code, without_version.status_code, stale.status_code) == (400, 428, 412)
    draft.refresh_from_db()
    assert draft.state == InvoiceState.DRAFT

    key = once(**{"If-Match": f'"{draft.version}"'})
    issued, again = client.post(address, order, headers=key), client.post(address, order, headers=key)

    assert (issued.status_code, issued.json()["state"], issued.json()["number"]) == (
        200,
        "issued",
        "INV-2024-000001",
    )
    assert again["Idempotent-Replayed"] == "true"
    assert again.content == issued.content
    assert Invoice.objects.filter(number__isnull=False).count() == 1
    assert_invariants_hold()


def test_a_controller_voids_and_an_operator_does_not(api):
    invoice = make_invoice()
    as_if_committed()
    address = f"{API}invoices/{invoice.pk}/void"
    order = {"voided_on": "2024-10-02", "reason": "wrong customer"}
    tag = {"If-Match": f'"{invoice.version}"'}

    refused = api(user("BO", invoice.seller)).post(address, order, headers=once(**tag))
    invoice.refresh_from_db()
    assert (refused.status_code, invoice.state) == (403, InvoiceState.ISSUED)

    voided = api(user("FC", invoice.seller)).post(address, order, headers=once(**tag))

    assert (voided.status_code, voided.json()["state"]) == (200, "void")


def test_a_controller_writes_off_and_an_operator_does_not(api):
    invoice = make_invoice()
    as_if_committed()
    address = f"{API}invoices/{invoice.pk}/write-off"
    order = {"written_off_on": "2024-10-02", "reason": "bankrupt"}
    tag = {"If-Match": f'"{invoice.version}"'}

    refused = api(user("BO", invoice.seller)).post(address, order, headers=once(**tag))
    invoice.refresh_from_db()
    assert (refused.status_code, invoice.state) == (403, InvoiceState.ISSUED)

    told = api(user("FC", invoice.seller)).post(address, order, headers=once(**tag))

    assert (told.status_code, told.json()["state"]) == (200, "uncollectible")
    assert (told.json()["written_off_amount"], told.json()["balance_amount"]) == ("119.00", "0.00")


@pytest.mark.django_db(transaction=True)
def test_a_queued_run_bills_everybody_it_can_and_names_the_rest(api, queued_jobs):
    seller = make_seller()
    meter, priceless = make_sold_meter(seller), make_sold_meter(seller, currency="USD")
    good, bad = make_entity(parent=seller), make_entity(parent=seller)
    make_usage(good, meter)
    make_usage(bad, priceless)
    client = api(user("FC", seller))
    asked = client.post(f"{API}billing-runs", {"seller": str(seller.pk), "as_of": str(AS_OF)}, headers=once())
    job, run = Job.objects.get(), BillingRun.objects.get()
    assert (asked.status_code, asked.json()["run"]) == (202, str(run.pk))
    assert (asked.json()["customers_pending"], asked.json()["message"]) == (2, "2 customers to bill.")
    assert asked["Location"].endswith(f"/jobs/{job.pk}")
    assert ("kernel.run_job", {"job_id": str(job.pk)}) in queued_jobs
    before = client.get(f"{API}billing-runs/{run.pk}").json()
    assert (before["state"], before["customers_pending"], before["failures"]) == ("running", 2, [])

    assert run_job(job_id=job.pk)

    job.refresh_from_db()
    assert (job.state, job.result["customers_failed"]) == (JobState.SUCCEEDED, 1)
    [listed] = client.get(f"{API}billing-runs?state=finished").json()["results"]
    shown = client.get(f"{API}billing-runs/{listed['id']}").json()
    assert (shown["customers_done"], shown["customers_failed"], shown["invoices_issued"]) == (1, 1, 1)
    [failure] = shown["failures"]
    assert (failure["customer"], failure["failure"]["code"]) == (str(bad.pk), "price-missing")
    assert_invariants_hold()


def test_a_run_with_nothing_due_says_so(api):
    seller = make_seller()
    order = {"seller": str(seller.pk), "as_of": str(AS_OF)}

    asked = api(user("FC", seller)).post(f"{API}billing-runs", order, headers=once())

    assert asked.status_code == 202
    assert (asked.json()["customers_pending"], asked.json()["message"]) == (0, "Nothing more to generate.")
    assert BillingRun.objects.get().state == "finished"


def test_moves_cost_to_a_department_and_lists_what_was_posted(api):
    invoice = make_invoice()
    department = make_department(entity=invoice.customer)
    line = invoice.lines.get()
    client = api(user("BO", invoice.seller))
    address = f"{API}departments/{department.pk}/allocations"
    order = {"line": str(line.pk), "amount": "30.00", "currency": "EUR", "reason": "their project"}

    assert client.post(address, order).status_code == 400  # money moves: a key is required
    assert client.post(address, order | {"currency": "USD"}, headers=once()).status_code == 400
    too_much = client.post(address, order | {"amount": "100.01"}, headers=once())
    assert (too_much.status_code, too_much.json()["code"]) == (422, "share-too-large")
    assert CostAllocation.objects.count() == 1

    moved = client.post(address, order, headers=once())

    assert moved.status_code == 201
    assert {(row["net_amount"], row["tax_amount"]) for row in moved.json()["results"]} == {
        ("70.00", "13.30"),
        ("30.00", "5.70"),
    }
    [share] = client.get(f"{address}?live=true&gl_code=6400&invoice_number={invoice.number}").json()[
        "results"
    ]
    assert (share["net_amount"], share["tax_amount"], share["currency"]) == ("30.00", "5.70", "EUR")
    assert (share["invoice_number"], share["period_starts_on"], share["period_ends_on"]) == (
        invoice.number,
        "2024-09-01",
        "2024-10-01",
    )
    assert proof_of(Invoice.objects.get(pk=invoice.pk)).holds
    assert_invariants_hold()


def test_cost_of_invoices_out_of_reach_is_not_moved(api):
    mine, theirs = make_invoice(), make_invoice()
    department = make_department(entity=mine.customer)
    order = {
        "line": str(theirs.lines.get().pk),
        "amount": "1.00",
        "currency": "EUR",
        "reason": "not mine",
    }

    answer = api(user("BO", mine.seller)).post(
        f"{API}departments/{department.pk}/allocations", order, headers=once()
    )

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "line")
    assert CostAllocation.objects.count() == 2


def test_tax_rates_are_listed_and_a_controller_adds_them(api):
    seller = make_seller()
    order = {"country": "FR", "category": "S", "percent": "20.5", "starts_on": "2026-01-01"}

    refused = api(user("BO", seller)).post(f"{API}tax-rates", order)
    added = api(user("FC", seller)).post(f"{API}tax-rates", order)
    other = api(user("FC", seller)).post(f"{API}tax-rates", order | {"percent": "21"})

    assert (refused.status_code, added.status_code, other.status_code) == (403, 201, 409)
    [rate] = api(user("VW", seller)).get(f"{API}tax-rates?country=FR").json()["results"]
    assert (rate["percent"], rate["starts_on"]) == ("20.5", str(date(2026, 1, 1)))


@pytest.mark.parametrize("where", ["billing-runs", "invoices/draft"])
def test_bills_are_made_ready_a_month_ahead_at_most(api, freeze, where):
    freeze("2024-10-01T12:00:00Z")
    seller = make_seller()
    order = {"seller": str(seller.pk), "as_of": "2024-11-02"}

    answer = api(user("FC", seller)).post(f"{API}{where}", order, headers=once())

    assert (answer.status_code, answer.json()["code"]) == (400, "as-of-too-far-ahead")
    assert not BillingRun.objects.exists()
