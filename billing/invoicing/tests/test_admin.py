import re
from decimal import Decimal
from uuid import uuid4

import pytest
from django.urls import reverse

from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing import services
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.invoicing.tests.makers import (
    AS_OF,
    make_draft,
    make_invoice,
    make_seller,
    make_sold_meter,
    make_terms,
    make_usage,
)
from billing.kernel.console.tables import money
from billing.kernel.models import Job
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions.tests.makers import make_product
from billing.usage.tests.makers import make_meter

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


def press(client, address: str, **answers):
    return client.post(address, {"confirm": "yes", "once": uuid4().hex, **answers}, follow=True)


def test_the_list_shows_what_is_within_reach_with_totals(console):
    mine, theirs = make_invoice(), make_invoice()
    client = console("VW", mine.seller)

    text = client.get(page("invoice_changelist")).content.decode()

    assert mine.customer.name in text
    assert theirs.customer.name not in text
    assert "119.00 EUR" in text


def test_the_page_tells_the_whole_invoice(console):
    invoice = make_invoice()
    client = console("AU", invoice.seller)

    text = client.get(page("invoice_change", invoice.pk)).content.decode()

    for part in (
        invoice.number,
        "100.00 EUR",
        "19.00 EUR",
        "119.00 EUR",
        "Cost by department and GL code",
        "1100 Accounts receivable",
        "6400",
        "✓ agrees",
        "unit_price: 0.25",
        "invoice.issued",
        "2024-09-01 – 2024-09-30",
    ):
        assert part in text, part
    assert "✗" not in text
    assert "Void" not in text  # an auditor changes nothing


def test_the_page_names_what_lines_were_made_of_and_shows_no_ids(console):
    meter = make_sold_meter(make_seller())
    invoice = make_invoice(seller=meter.entity, meter=meter)
    client = console("AU", invoice.seller)

    answer = client.get(page("invoice_change", invoice.pk))

    shown = {table.title: str(table.rows) for table in answer.context["tables"]}
    assert f"meter: {meter.code} · " in shown["How the amounts came about"]
    assert "price: version 1 in EUR" in shown["How the amounts came about"]
    assert not re.search(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7", shown["How the amounts came about"] + shown["Timeline"]
    )


def test_an_empty_list_says_what_to_do_next_and_an_empty_search_another_thing(console):
    client = console("BO", make_seller())

    nothing = client.get(page("invoice_changelist")).content.decode()
    no_match = client.get(page("invoice_changelist"), {"q": "nobody"}).content.decode()

    assert "Start one, or write an invoice by hand." in nothing
    assert "Nothing matches" in no_match
    assert "Start one" not in no_match


def test_a_question_says_which_action_it_is_about_and_what_it_concerns(console):
    invoice = make_invoice()

    text = console("FC", invoice.seller).get(page("invoice_action_write_off", invoice.pk)).content.decode()

    assert ">Write off</h2>" in text
    assert "This concerns one invoice:" in text


def test_an_invoice_out_of_reach_is_not_shown(console):
    client = console("AU", make_seller())

    answer = client.get(page("invoice_change", make_invoice().pk))

    assert answer.status_code == 302


def test_issues_after_a_confirmation_and_only_once(console):
    draft = make_draft()
    client = console("BO", draft.seller)
    address = page("invoice_action_issue", draft.pk)

    asked = client.get(address)
    assert "takes its number" in asked.content.decode()
    draft.refresh_from_db()
    assert draft.state == InvoiceState.DRAFT

    press(client, address, issued_on=str(AS_OF))

    draft.refresh_from_db()
    assert (draft.state, draft.number) == (InvoiceState.ISSUED, "INV-2024-000001")
    assert_invariants_hold()


def test_a_refusal_is_shown_and_changes_nothing(console):
    first = make_invoice()
    late = make_draft(seller=first.seller)
    client = console("BO", first.seller)

    answer = press(client, page("invoice_action_issue", late.pk), issued_on="2024-09-30")

    assert "has invoices issued after" in answer.content.decode()
    late.refresh_from_db()
    assert late.state == InvoiceState.DRAFT


def test_a_controller_voids_and_an_operator_may_not(console):
    invoice = make_invoice()
    as_if_committed()
    answers = {"voided_on": "2024-10-02", "reason": "wrong customer"}
    address = page("invoice_action_void", invoice.pk)

    refused = press(console("BO", invoice.seller), address, **answers)
    invoice.refresh_from_db()
    assert (refused.status_code, invoice.state) == (403, InvoiceState.ISSUED)

    told = press(console("FC", invoice.seller), address, **answers)

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.VOID
    assert "wrong customer" in told.content.decode()
    assert "✗" not in told.content.decode()


def test_a_controller_writes_off_and_an_operator_may_only_ask_for_it(console):
    invoice = make_invoice()
    as_if_committed()
    answers = {"written_off_on": "2024-10-02", "reason": "bankrupt"}
    address = page("invoice_action_write_off", invoice.pk)

    refused = press(console("VW", invoice.seller), address, **answers)
    asking = press(console("BO", invoice.seller), address, **answers)
    invoice.refresh_from_db()
    assert (refused.status_code, asking.status_code, invoice.state) == (403, 200, InvoiceState.ISSUED)
    assert "Request approval" in asking.content.decode()

    told = press(console("FC", invoice.seller), address, **answers)

    invoice.refresh_from_db()
    assert invoice.state == InvoiceState.UNCOLLECTIBLE
    assert "bankrupt" in told.content.decode()


def test_nothing_is_edited_added_or_deleted_by_hand(console):
    invoice = make_invoice()
    client = console("FC", invoice.seller)
    before = Invoice.objects.values().get(pk=invoice.pk)

    client.post(page("invoice_change", invoice.pk), {"number": "X"})

    assert (
        console("VW", invoice.seller).get(page("invoice_add")).status_code == 403
    )  # who may, adds one-off ones
    assert client.post(page("invoice_delete", invoice.pk), {"post": "yes"}).status_code == 403
    assert Invoice.objects.values().get(pk=invoice.pk) == before


def test_a_run_shows_its_counts_and_reasons_and_is_continued_by_a_worker(console):
    seller = make_seller()
    meter, priceless = make_sold_meter(seller), make_sold_meter(seller, currency="USD")
    make_usage(make_entity(parent=seller), meter)
    bad = make_entity(parent=seller)
    make_usage(bad, priceless)
    run = services.start_billing_run(actor="test", seller_id=seller.pk, as_of=AS_OF)
    run.items.filter(customer=bad).update(
        state="failed", failure={"code": "price-missing", "detail": "No price."}
    )
    client = console("BO", seller)

    listed = client.get(page("billingrun_changelist")).content.decode()
    shown = client.get(page("billingrun_change", run.pk)).content.decode()

    assert "Running" in listed
    assert "price-missing" in shown
    assert bad.name in shown
    press(client, page("billingrun_action_continue", run.pk))
    assert Job.objects.get().parameters == {"run": str(run.pk)}


@pytest.mark.parametrize("name", ["taxrate", "numberseries", "costallocation", "billingrun", "invoice"])
def test_every_list_opens_for_a_controller_and_for_nobody_without_a_role(console, name, client):
    invoice = make_invoice()

    assert console("FC", invoice.seller).get(page(f"{name}_changelist")).status_code == 200
    assert console("SY", invoice.seller).get(page(f"{name}_changelist")).status_code == 403


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1234.5000", "EUR", "1,234.50 EUR"),
        ("1500.0000", "JPY", "1,500 JPY"),
        ("-0.1250", "KWD", "-0.125 KWD"),
        ("0.0050", "EUR", "0.0050 EUR"),
    ],
)
def test_amounts_are_shown_in_the_decimals_of_their_currency(amount, currency, shown):
    assert money(Decimal(amount), currency) == shown


def test_the_page_shows_tiers_and_that_the_line_comes_out_again(console):
    seller = make_seller()
    customer = make_entity(parent=seller)
    product = make_product(entity=seller)
    make_terms(
        product,
        model="graduated",
        tiers=[
            {"up_to": "10", "unit_price": "1", "flat_amount": "0"},
            {"up_to": None, "unit_price": "0.5", "flat_amount": "2"},
        ],
    )
    draft = make_draft(
        seller=seller, customer=customer, meter=make_meter(entity=seller, product=product), quantity="12"
    )

    text = console("FC", seller).get(page("invoice_change", draft.pk)).content.decode()

    for told in (
        "Up to 10: 10 × 1 = 10<br>",
        "Over 10: 2 × 0.5 = 1<br>",
        "Over 10: flat amount: 2",
        "✓ agrees",
    ):
        assert told in text
    assert "Re-rate…" in text
