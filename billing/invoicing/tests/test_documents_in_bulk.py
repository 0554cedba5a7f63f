"""The documents of many invoices: of a run, of days of issue; none is made twice, and no failure stops another."""

from datetime import date
from hashlib import sha256
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.entities.tests.makers import make_entity
from billing.invoicing import services
from billing.invoicing.models import Invoice, InvoiceDocument
from billing.invoicing.services import documenting
from billing.invoicing.tests.makers import AS_OF, make_draft, make_seller, make_sold_meter, make_usage
from billing.kernel.background_jobs import run_job
from billing.kernel.models import AuditEntry, Job, JobState
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.processes import in_a_child

pytestmark = pytest.mark.django_db


def issue(count: int, seller=None) -> list[Invoice]:
    seller = seller or make_seller()
    meter = make_sold_meter(seller)
    for _ in range(count):
        make_usage(make_entity(parent=seller), meter, "400")
    run = services.start_billing_run(actor="user:1", seller_id=seller.pk, as_of=AS_OF)
    services.continue_billing_run(actor="user:1", run_id=run.pk)
    return list(Invoice.objects.filter(run=run).order_by("pk"))


def rendered() -> int:
    return AuditEntry.objects.filter(action="invoice.document_rendered").count()


def quickly_kept(template: str, content: dict) -> dict:
    """Something that is kept as a document, without setting one."""
    made = f"{template} {content['number']}".encode()
    return {"language": "en", "sha256": sha256(made).hexdigest(), "size": len(made), "content": made}


def break_one(monkeypatch, invoice: Invoice) -> None:
    """Its document cannot be made."""
    whole = documenting.kept_fields

    def broken(template, content):
        if content["number"] == invoice.number:
            raise RuntimeError("a fault")
        return whole(template, content)

    monkeypatch.setattr(documenting, "kept_fields", broken)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_finished_has_its_documents_made_by_one_job():
    invoices = issue(3)
    asked = Job.objects.get(kind=services.RENDER_DOCUMENTS)

    assert run_job(job_id=asked.pk)

    asked.refresh_from_db()
    assert (asked.state, asked.done, asked.total) == (JobState.SUCCEEDED, 3, 3)
    assert asked.result == {
        "run": str(invoices[0].run_id),
        "rendered": 3,
        "failed": 0,
        "failures": {},
    }
    assert InvoiceDocument.objects.count() == rendered() == 3
    assert_invariants_hold()


def test_one_invoice_without_a_document_stops_no_other_and_is_tried_again(monkeypatch):
    invoices = issue(3)
    with monkeypatch.context() as patched:
        break_one(patched, invoices[1])
        first = services.render_missing_documents(actor="test", seller_id=invoices[0].seller_id)

    assert (first.rendered, first.failed) == (2, 1)
    assert first.failures == {
        invoices[1].number: {"code": "internal", "detail": "It failed because of an error here."}
    }
    assert set(InvoiceDocument.objects.values_list("invoice_id", flat=True)) == {
        invoices[0].pk,
        invoices[2].pk,
    }

    second = services.render_missing_documents(actor="test", seller_id=invoices[0].seller_id)

    assert (second.rendered, second.failed) == (1, 0)
    assert InvoiceDocument.objects.count() == rendered() == 3


def test_what_has_a_document_is_not_made_again_and_drafts_are_noted():
    draft = make_draft()
    invoice = issue(1)[0]
    kept = services.render_invoice_document(actor="test", invoice_id=invoice.pk)

    result = services.render_invoice_documents(actor="test", invoice_ids=[invoice.pk, draft.pk])

    assert (result.rendered, result.failed) == (0, 1)
    assert result.failures[str(draft.pk)]["code"] == "invoice-not-issued"
    assert InvoiceDocument.objects.get().pk == kept.pk
    assert rendered() == 1


def test_many_invoices_take_as_many_statements_as_a_few():
    def statements(count: int) -> int:
        ids = [invoice.pk for invoice in issue(count)]
        with CaptureQueriesContext(connection) as seen:
            services.render_invoice_documents(actor="test", invoice_ids=ids)
        return len(seen)

    assert statements(2) == statements(6)


def test_what_is_in_memory_at_once_is_bounded_by_lines(monkeypatch):
    invoices = issue(3)
    monkeypatch.setattr(documenting, "LINES_AT_ONCE", 1)

    parts = list(documenting._parts([invoice.pk for invoice in invoices]))

    assert parts == [[invoice.pk] for invoice in invoices]
    result = services.render_invoice_documents(actor="test", invoice_ids=[i.pk for i in invoices])
    assert result.rendered == InvoiceDocument.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_after_a_kill_the_rest_is_made_and_nothing_twice(monkeypatch):
    monkeypatch.setattr(documenting, "AT_ONCE", 1)
    # The typesetter has threads, and a process that is forked while they live would wait for them for ever.
    monkeypatch.setattr(documenting, "kept_fields", quickly_kept)
    seller_id = issue(4)[0].seller_id

    def render():
        services.render_missing_documents(actor="test", seller_id=seller_id)

    assert in_a_child(render, killed_after_statements=24) is False
    survived = dict(InvoiceDocument.objects.values_list("invoice_id", "pk"))
    assert 0 < len(survived) < 4

    render()

    kept = dict(InvoiceDocument.objects.values_list("invoice_id", "pk"))
    assert len(kept) == rendered() == 4
    assert survived.items() <= kept.items()


@pytest.mark.django_db(transaction=True)
def test_void_invoices_are_left_out():
    voided, other = issue(2)
    services.void_invoice(actor="test", invoice_id=voided.pk, reason="wrong", voided_on=AS_OF)

    assert services.render_missing_documents(actor="test", seller_id=other.seller_id).rendered == 1
    assert InvoiceDocument.objects.get().invoice_id == other.pk


def test_the_command_makes_what_is_missing_of_the_days_asked_for():
    invoice = issue(1)[0]
    seller = invoice.seller.code

    def said(**options) -> str:
        out = StringIO()
        call_command("render_documents", seller=seller, stdout=out, stderr=StringIO(), **options)
        return out.getvalue()

    assert said(issued_from=date(2024, 10, 2)) == said(issued_to=AS_OF) == "rendered=0 failed=0\n"
    assert said(dry_run=True) == "missing=1\n"
    assert InvoiceDocument.objects.count() == 0
    assert said(issued_from=AS_OF, issued_to=date(2024, 10, 2)) == "rendered=1 failed=0\n"
    assert said() == "rendered=0 failed=0\n"
    assert AuditEntry.objects.get(action="invoice.document_rendered").actor == "command:render_documents"


def test_the_command_ends_with_an_error_that_names_what_failed(monkeypatch):
    invoices = issue(2)
    break_one(monkeypatch, invoices[0])
    out, err = StringIO(), StringIO()

    with pytest.raises(CommandError, match=r"1 document\(s\) could not be made"):
        call_command("render_documents", seller=invoices[0].seller.code, stdout=out, stderr=err)

    assert out.getvalue() == "rendered=1 failed=1\n"
    assert f"{invoices[0].number}: It failed because of an error here. (internal)" in err.getvalue()


def test_the_command_knows_its_sellers():
    with pytest.raises(CommandError, match="no selling entity with the code 'NOBODY'"):
        call_command("render_documents", seller="NOBODY")
