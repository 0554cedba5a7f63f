"""Invoices above a limit: a billing run leaves them drafts, bills everybody else, and approval issues them."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest
from approvals.states import RequestState
from approvals.tests.makers import asks, decide, make_approval_rule, make_approver
from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing import services as invoicing
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState, RunItemState, RunState
from billing.invoicing.tests.makers import AS_OF, make_seller, make_sold_meter, make_usage
from billing.kernel.approval import ApprovalRequired
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def clerk(seller):
    return make_grant(role="BO", entity=seller).user


def billed(seller, clerk):
    actor = f"user:{clerk.pk}"
    run = invoicing.start_billing_run(actor=actor, seller_id=seller.pk, as_of=AS_OF)
    done = invoicing.continue_billing_run(actor=actor, run_id=run.pk)
    as_if_committed()
    return done


def test_a_run_leaves_what_is_above_the_limit_a_draft_and_bills_everybody_else(seller, clerk):
    meter = make_sold_meter(seller)
    small, large = (make_entity(parent=seller) for _ in range(2))
    make_usage(small, meter, "400")
    make_usage(large, meter, "4000")
    boss = make_approver(seller)
    [draft] = invoicing.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[small.pk], as_of=AS_OF
    )
    limit = draft.total_amount
    make_approval_rule(seller, asks(boss), kind="invoice", above_amount=str(limit))

    run = billed(seller, clerk)

    assert run.state == RunState.FINISHED
    assert dict(run.items.values_list("customer_id", "state")) == {
        small.pk: RunItemState.DONE,
        large.pk: RunItemState.DONE,
    }
    issued, draft = Invoice.objects.get(customer=small), Invoice.objects.get(customer=large)
    assert (issued.state, issued.total_amount) == (InvoiceState.ISSUED, limit)
    assert (draft.state, draft.failure["code"]) == (InvoiceState.DRAFT, "approval-required")

    request = services.request_invoice(actor=f"user:{clerk.pk}", invoice_id=draft.pk, at=timezone.now())
    assert (request.amount, request.matched_amount) == (draft.total_amount, draft.total_amount)
    billed(seller, clerk)  # drafted anew under the same id, with the same lines
    decide(request, boss)

    draft.refresh_from_db()
    assert (draft.state, draft.failure) == (InvoiceState.ISSUED, None)
    assert ApprovalRequest.objects.get().effect.outcome["number"] == draft.number
    assert_invariants_hold()


def test_other_usage_by_then_is_another_invoice(seller, clerk):
    meter, customer, boss = make_sold_meter(seller), make_entity(parent=seller), make_approver(seller)
    make_usage(customer, meter, "4000")
    make_approval_rule(seller, asks(boss), kind="invoice", above_amount="0")
    billed(seller, clerk)
    draft = Invoice.objects.get()
    request = services.request_invoice(actor=f"user:{clerk.pk}", invoice_id=draft.pk, at=timezone.now())
    make_usage(customer, meter, "1", day=16)
    billed(seller, clerk)

    with pytest.raises(ApprovalRequired):
        decide(request, boss)
    request.refresh_from_db()
    assert (request.state, Invoice.objects.get().state) == (RequestState.PENDING, InvoiceState.DRAFT)


def test_invoices_are_no_parts_of_one_another(seller, clerk):
    """Each of a customer's two months is within the limit, both together are not."""
    meter, customer = make_sold_meter(seller), make_entity(parent=seller)
    make_usage(customer, meter, "400", month=8)
    make_usage(customer, meter, "400", month=9)
    drafts = invoicing.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=AS_OF
    )
    limit = max(draft.total_amount for draft in drafts)
    make_approval_rule(seller, asks(make_approver(seller)), kind="invoice", above_amount=str(limit))
    billed(seller, clerk)
    assert Invoice.objects.filter(state=InvoiceState.ISSUED).count() == 2


def customers(seller, *quantities):
    """Each used so much."""
    meter = make_sold_meter(seller)
    made = [make_entity(parent=seller) for _ in quantities]
    for customer, quantity in zip(made, quantities, strict=True):
        make_usage(customer, meter, quantity)
    return made


def shown(preview):
    return [(each.customer_id, each.number, each.total_amount) for each in preview.invoices]


def test_a_preview_of_a_run_asks_nobody_and_shows_what_will_wait_as_the_run_leaves_it(seller, clerk):
    small, large, last = customers(seller, "400", "4000", "300")
    make_approval_rule(seller, asks(make_approver(seller)), kind="invoice", above_amount="1000")

    preview = invoicing.preview_billing(seller_id=seller.pk, as_of=AS_OF)

    assert not Invoice.objects.exists()
    assert not ApprovalRequest.objects.exists()
    assert ([each.customer_id for each in preview.invoices], preview.refused) == ([small.pk, last.pk], {})
    [waiting] = preview.waiting
    assert (waiting.customer_id, waiting.number, waiting.state) == (large.pk, None, InvoiceState.DRAFT)

    billed(seller, clerk)
    issued = Invoice.objects.exclude(number=None).order_by("sequence")
    assert list(issued.values_list("customer_id", "number", "total_amount")) == shown(preview)
    assert Invoice.objects.get(number=None).total_amount == waiting.total_amount


def test_a_preview_of_a_run_asks_the_guard_as_often_for_many_as_for_two(seller):
    customers(seller, "400", "4000")
    make_approval_rule(seller, asks(make_approver(seller)), kind="invoice", above_amount="1000")
    with CaptureQueriesContext(connection) as two:
        invoicing.preview_billing(seller_id=seller.pk, as_of=AS_OF)
    customers(seller, *["400", "4000"] * 3)
    with CaptureQueriesContext(connection) as eight:
        preview = invoicing.preview_billing(seller_id=seller.pk, as_of=AS_OF)
    assert (len(preview.invoices), len(preview.waiting)) == (4, 4)
    assert len(eight) == len(two)


def test_the_dry_run_and_the_run_name_what_waits(seller):
    _, large = customers(seller, "400", "4000")
    make_approval_rule(seller, asks(make_approver(seller)), kind="invoice", above_amount="1000")
    for options in ({"dry_run": True}, {}):
        out = StringIO()
        call_command("run_billing", seller=seller.code, as_of=AS_OF, stdout=out, **options)
        told = out.getvalue().splitlines()
        assert f"  {large.code}: 1190.00 EUR stays a draft until approval is given" in told
        assert told[-1] == f"issued=1 failed=0 waiting=1 as_of={AS_OF}"


def test_the_page_of_a_run_counts_and_marks_what_waits(client, seller, clerk):
    customers(seller, "400", "4000", "4000")
    make_approval_rule(seller, asks(make_approver(seller)), kind="invoice", above_amount="1000")
    client.force_login(clerk)
    page = client.post(
        reverse("admin:invoicing_billingrun_add"),
        {"seller": seller.pk, "as_of": str(AS_OF), "preview": "yes"},
    )
    [totals, invoices] = page.context["seen"].tables
    assert [row[1] for row in totals.rows] == ["1"]
    assert totals.note.startswith("Not among them: 2 invoices above a limit (2,380.00 EUR) stay drafts")
    mark = "– (stays a draft until approval is given)"
    assert [row[0] for row in invoices.rows] == [mark, mark, "INV-2024-000001"]
