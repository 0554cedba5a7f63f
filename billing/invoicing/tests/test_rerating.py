"""Rating anew: what may be, what comes of it, and what is left untouched."""

import json
from datetime import date
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing import services
from billing.invoicing.errors import InvoiceHasSettlements, NothingToRerate
from billing.invoicing.models import Invoice, UsageClaim
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import (
    make_seller,
    make_sold_meter,
    make_subscriber,
    meter_of,
    report_usage,
)
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions.tests.makers import make_price

pytestmark = pytest.mark.django_db(transaction=True)

API = "/api/v1/enterprise-billing/"
SEP, OCT, NOV = date(2024, 9, 1), date(2024, 10, 1), date(2024, 11, 1)


def make_billed(quantity="400"):
    """September of one customer at 0.25: drafted and issued on 1 October."""
    seller = make_seller()
    customer, meter = make_entity(parent=seller), make_sold_meter(seller)
    report_usage(customer, meter, quantity)
    drafts = services.draft_invoices(actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=OCT)
    services.issue_invoices(actor="test", invoice_ids=[d.pk for d in drafts], issued_on=OCT)
    return Invoice.objects.get(), meter


def rerate(invoice, as_of=OCT):
    return services.rerate_usage(
        actor="user:1",
        seller_id=invoice.seller_id,
        customer_id=invoice.customer_id,
        starts_on=SEP,
        ends_on=OCT,
        reason="the price was wrong",
        as_of=as_of,
    )


def test_an_issued_invoice_is_voided_and_drafted_anew_at_todays_price():
    invoice, meter = make_billed()
    make_price(product=meter.product, currency="EUR", unit_price=Decimal("0.5"), starts_on=SEP)

    [draft] = rerate(invoice)

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.VOID
    assert (draft.billing_key, draft.net_amount) == ("usage:2024-09-01", 200)
    assert Invoice.objects.get(pk=draft.pk).state == InvoiceState.DRAFT
    told = AuditEntry.objects.get(action="usage.rerated")
    assert (told.subject_id, told.reason, told.actor) == (str(invoice.pk), "the price was wrong", "user:1")
    assert [(line["quantity"], line["exact"]) for line in told.detail["before"]] == [("400", "100")]
    assert [(line["quantity"], line["exact"]) for line in told.detail["after"]] == [("400", "200")]
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=OCT)
    assert_invariants_hold()


def test_a_draft_is_made_anew():
    seller = make_seller()
    customer, meter = make_entity(parent=seller), make_sold_meter(seller)
    report_usage(customer, meter, "4")
    [draft] = services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[customer.pk], as_of=OCT
    )
    report_usage(customer, meter, "4")

    [again] = services.rerate_invoice(actor="user:1", invoice_id=draft.pk, reason="more", as_of=OCT)

    assert (again.pk, again.net_amount) == (draft.pk, 2)
    assert AuditEntry.objects.filter(action="usage.rerated").count() == 1


def test_adjustments_of_a_month_are_rated_with_it():
    invoice, meter = make_billed()
    report_usage(invoice.customer, meter, "40")
    drafts = services.draft_invoices(
        actor="test", seller_id=invoice.seller_id, customer_ids=[invoice.customer_id], as_of=NOV
    )
    services.issue_invoices(actor="test", invoice_ids=[d.pk for d in drafts], issued_on=NOV)

    [draft] = rerate(invoice, as_of=NOV)

    assert Invoice.objects.filter(state=InvoiceState.VOID).count() == 2
    assert (draft.billing_key, draft.net_amount) == ("usage:2024-09-01", 110)
    assert [line.kind for line in draft.lines.all()] == ["usage"]


def test_one_of_two_invoices_voided_is_made_anew_for_what_the_other_does_not_bill():
    invoice, meter = make_billed()
    report_usage(invoice.customer, meter, "40")
    drafts = services.draft_invoices(
        actor="test", seller_id=invoice.seller_id, customer_ids=[invoice.customer_id], as_of=NOV
    )
    services.issue_invoices(actor="test", invoice_ids=[d.pk for d in drafts], issued_on=NOV)

    [draft] = services.rerate_invoice(actor="user:1", invoice_id=invoice.pk, reason="again", as_of=NOV)

    [line] = draft.lines.all()
    assert (draft.net_amount, line.kind, line.derivation["before"]["exact"]) == (100, "adjustment", "10")
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=NOV)
    assert_invariants_hold()


def test_a_settled_invoice_is_refused_and_nothing_changes():
    invoice, _ = make_billed()
    before = (Invoice.objects.count(), UsageClaim.objects.filter(released_at=None).count())

    with transaction.atomic():
        services.settle_invoices(actor="test", settlements={invoice.pk: Decimal(1)})
        with pytest.raises(InvoiceHasSettlements):
            rerate(invoice)
        assert Invoice.objects.get().state == InvoiceState.ISSUED
        assert (Invoice.objects.count(), UsageClaim.objects.filter(released_at=None).count()) == before
        assert not AuditEntry.objects.filter(action="usage.rerated").exists()
        transaction.set_rollback(True)  # nobody paid: no payment backs the settlement


def test_where_no_usage_was_billed_there_is_nothing_to_rate():
    subscription = make_subscriber()
    [draft] = services.draft_invoices(
        actor="test",
        seller_id=subscription.seller_id,
        customer_ids=[subscription.entity_id],
        as_of=SEP,
    )

    with pytest.raises(NothingToRerate):
        services.rerate_invoice(actor="user:1", invoice_id=draft.pk, reason="why", as_of=SEP)
    with pytest.raises(NothingToRerate):
        rerate(draft)

    assert Invoice.objects.get().version == draft.version


def test_the_usage_of_a_subscription_keeps_its_pinned_price():
    subscription = make_subscriber()
    meter = meter_of(subscription)
    report_usage(subscription.entity, meter, "400")
    drafts = services.draft_invoices(
        actor="test",
        seller_id=subscription.seller_id,
        customer_ids=[subscription.entity_id],
        as_of=OCT,
    )
    services.issue_invoices(actor="test", invoice_ids=[d.pk for d in drafts], issued_on=OCT)
    make_price(product=meter.product, currency="EUR", unit_price=Decimal(9), starts_on=SEP)

    [draft] = rerate(Invoice.objects.get())

    assert (draft.billing_key, draft.net_amount) == ("subscriptions:2024-10-01", 160)


def test_over_the_api(api):
    invoice, _ = make_billed()
    client = api(make_grant(role="FC", entity=invoice.seller).user)
    tag = client.get(f"{API}invoices/{invoice.pk}")["ETag"]

    def post(**headers):
        order = {"reason": "wrong", "as_of": "2024-10-01"}
        return client.post(f"{API}invoices/{invoice.pk}/rerate", order, headers=headers)

    assert post(**{"If-Match": tag}).status_code == 400  # without an idempotency key
    assert post(**{"Idempotency-Key": "one"}).status_code == 428
    assert Invoice.objects.count() == 1
    answer = post(**{"Idempotency-Key": "two", "If-Match": tag})

    assert answer.status_code == 200, answer.json()
    assert [row["net_amount"] for row in answer.json()["results"]] == ["100.00"]
    assert post(**{"Idempotency-Key": "two", "If-Match": tag}).json() == answer.json()
    assert Invoice.objects.count() == 2


def test_by_command():
    invoice, _ = make_billed()
    out = StringIO()
    asked = [f"--seller={invoice.seller.code}", f"--customer={invoice.customer.code}", "--reason=wrong"]

    call_command("rerate_usage", *asked, "--month=2024-09", "--as-of=2024-10-01", "--json", stdout=out)

    assert [row["total"] for row in json.loads(out.getvalue())["drafts"]] == ["119.00"]
    with pytest.raises(CommandError, match="nothing-to-rerate"):
        call_command("rerate_usage", *asked, "--month=2024-08", "--as-of=2024-10-01", stdout=StringIO())
