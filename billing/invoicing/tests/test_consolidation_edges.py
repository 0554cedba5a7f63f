"""Consolidated invoices and exchange rates over the API, in the console and by command."""

import json
from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.urls import reverse

from billing.entities.tests.makers import make_grant
from billing.invoicing import services
from billing.invoicing.models import ConsolidatedInvoice, ExchangeRate
from billing.invoicing.tests.consolidation_makers import (
    NOVEMBER,
    make_child,
    make_child_draft,
    make_consolidation,
    make_exchange_rate,
    make_member,
    make_payer,
    seller_above,
)
from billing.kernel.models import AuditEntry
from billing.kernel.tests.commits import as_if_committed

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"
BACKEND = "billing.entities.backends.GrantBackend"


def user(role: str, entity):
    return make_grant(role=role, entity=entity).user


def once(**headers) -> dict:
    return {"Idempotency-Key": str(uuid4())} | headers


def span(payer, **overrides) -> dict:
    return {
        "payer": str(payer.pk),
        "period_starts_on": "2026-10-01",
        "period_ends_on": "2026-11-01",
        "issued_on": "2026-11-01",
    } | overrides


def post(client, path: str, body: dict, **headers):
    return client.post(f"{API}{path}", body, format="json", headers=once(**headers))


def group():
    """A payer with an invoice of 100.00 EUR and, below it, one of 30.00 USD at 0.92."""
    payer = make_payer()
    make_exchange_rate()
    make_child(payer, "100.00")
    make_child(make_member(payer), "30.00", currency="USD")
    return payer


def test_a_group_is_previewed_consolidated_and_looked_at(api):
    payer = group()
    client = api(user("BO", seller_above(payer)))

    seen = post(client, "consolidated-invoices/preview", span(payer))
    assert seen.status_code == 200, seen.json()
    assert not ConsolidatedInvoice.objects.exists()
    made = post(client, "consolidated-invoices", span(payer))

    assert made.status_code == 201, made.json()
    answer = made.json()
    assert (answer["created"], answer["missing"]) == (True, [])
    document = answer["consolidated_invoice"]
    assert (document["number"], document["state"], document["payment_state"]) == (
        "CON-2026-000001",
        "issued",
        "open",
    )
    assert (document["converted_amount"], document["currency"], document["child_count"]) == (
        "127.60",
        "EUR",
        2,
    )
    eur, usd = document["totals"]
    assert (eur["total_amount"], eur["open_amount"], eur["rate"], eur["rate_on"]) == (
        "100.00",
        "100.00",
        "1",
        None,
    )
    assert (usd["total_amount"], usd["rate"], usd["rate_on"], usd["rate_source"]) == (
        "30.00",
        "0.92",
        "2026-09-30",
        "central bank",
    )
    assert (usd["converted_amount"], usd["converted_currency"]) == ("27.60", "EUR")
    preview = seen.json()
    assert (preview["converted_amount"], preview["child_count"], preview["missing"]) == ("127.60", 2, [])
    assert [total["total_amount"] for total in preview["totals"]] == ["100.00", "30.00"]
    assert [total["rate"] for total in preview["totals"]] == [None, "0.92"]
    assert [child["customer_code"] for child in preview["children"]] == [
        payer.code,
        payer.children.get().code,
    ]

    path = f"{API}consolidated-invoices/{document['id']}"
    assert client.get(path).json() == document
    children = client.get(f"{path}/children").json()["results"]
    assert [(c["customer_code"], c["total_amount"], c["balance_amount"]) for c in children] == [
        (payer.code, "100.00", "100.00"),
        (payer.children.get().code, "30.00", "30.00"),
    ]
    first = client.get(f"{path}/lines?limit=1").json()
    second = client.get(first["next"]).json()
    lines = first["results"] + second["results"]
    assert {line["invoice_number"] for line in lines} == {child["invoice_number"] for child in children}
    assert sorted(line["net_amount"] for line in lines) == ["100.00", "30.00"]
    listed = client.get(
        f"{API}consolidated-invoices?payer={payer.pk}&invoice={children[0]['invoice']}"
    ).json()
    assert [row["id"] for row in listed["results"]] == [document["id"]]


def test_again_is_the_document_there_is_with_200(api):
    payer = group()
    client = api(user("FC", seller_above(payer)))
    first = post(client, "consolidated-invoices", span(payer))
    again = post(client, "consolidated-invoices", span(payer))
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert again.json()["consolidated_invoice"] == first.json()["consolidated_invoice"]


def test_missing_children_and_rates_are_refused_with_their_names(api):
    payer = make_payer()
    make_child(payer, currency="USD")
    draft = make_child_draft(payer)
    client = api(user("BO", seller_above(payer)))

    refused = post(client, "consolidated-invoices", span(payer, allow_missing=True))
    assert (refused.status_code, refused.json()["code"]) == (422, "exchange-rate-missing")
    make_exchange_rate()
    refused = post(client, "consolidated-invoices", span(payer))
    assert (refused.status_code, refused.json()["code"]) == (409, "missing-children")
    assert refused.json()["drafts"] == [str(draft.pk)]
    assert not ConsolidatedInvoice.objects.exists()

    made = post(client, "consolidated-invoices", span(payer, allow_missing=True))
    assert made.status_code == 201
    assert [row["id"] for row in made.json()["missing"]] == [str(draft.pk)]


def test_it_is_voided_by_a_controller_at_its_version(api):
    document = make_consolidation()
    path, body = f"consolidated-invoices/{document.pk}/void", {"voided_on": "2026-11-02", "reason": "wrong"}
    operator = api(user("BO", document.seller))
    assert post(operator, path, body, **{"If-Match": '"1"'}).status_code == 403
    controller = api(user("FC", document.seller))
    assert post(controller, path, body).status_code == 428

    void = post(controller, path, body, **{"If-Match": '"1"'})

    assert void.status_code == 200, void.json()
    assert (void.json()["state"], void.json()["payment_state"], void.json()["voided_on"]) == (
        "void",
        "void",
        "2026-11-02",
    )
    assert {total["open_amount"] for total in void.json()["totals"]} == {"0.00"}


def test_documents_of_others_do_not_exist(api):
    document = make_consolidation()
    client = api(user("FC", make_payer()))
    path = f"{API}consolidated-invoices/{document.pk}"
    for address in (path, f"{path}/children", f"{path}/lines"):
        assert client.get(address).status_code == 404
    assert client.get(f"{API}consolidated-invoices").json()["results"] == []
    before = AuditEntry.objects.count()
    refused = post(client, "consolidated-invoices", span(document.payer))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid-request")
    assert AuditEntry.objects.count() == before


def test_rates_are_added_by_a_controller_and_seen_by_others(api):
    seller = seller_above(make_payer())
    body = {
        "from_currency": "USD",
        "to_currency": "EUR",
        "rate": "0.92",
        "rate_on": "2026-10-31",
        "source": "ECB",
    }
    assert post(api(user("BO", seller)), "exchange-rates", body).status_code == 403

    made = post(api(user("FC", seller)), "exchange-rates", body)

    assert made.status_code == 201, made.json()
    shown = api(user("VW", seller)).get(f"{API}exchange-rates?from_currency=USD").json()["results"]
    assert [(row["rate"], row["rate_on"], row["source"]) for row in shown] == [("0.92", "2026-10-31", "ECB")]
    wrong = post(api(user("FC", seller)), "exchange-rates", body | {"rate": "0"})
    assert wrong.status_code == 400


def test_an_invoice_names_its_consolidation_and_is_not_overdue_before_that(api):
    """Issued on 15 October, due on 14 November; the document, of 1 November, is due on 1 December."""
    payer = make_payer()
    invoice = make_child(payer)
    document = make_consolidation(payer)
    client = api(user("VW", document.seller))

    def shown(day):
        with time_machine.travel(day):
            row = client.get(f"{API}invoices/{invoice.pk}").json()
            late = client.get(f"{API}invoices?overdue=true").json()["results"]
        assert [each["id"] for each in late] == ([row["id"]] if row["overdue"] else [])
        return row["consolidated_invoice"], row["overdue"]

    assert shown("2026-11-20T12:00Z") == (str(document.pk), False)
    assert shown("2026-12-01T12:00Z") == (str(document.pk), False)
    assert shown("2026-12-02T12:00Z") == (str(document.pk), True)
    services.void_consolidated_invoice(
        actor="test", consolidated_invoice_id=document.pk, voided_on=NOVEMBER, reason="wrong"
    )
    assert shown("2026-11-14T12:00Z") == (None, False)
    assert shown("2026-11-20T12:00Z") == (None, True)


@pytest.fixture
def console(client):
    def sign_in(role, entity):
        client.force_login(user(role, entity), backend=BACKEND)
        return client

    return sign_in


def page(name: str, *args) -> str:
    return reverse(f"admin:invoicing_{name}", args=args)


def wanted(payer, **overrides) -> dict:
    return {
        "payer_code": payer.code,
        "first_day": "2026-10-01",
        "last_day": "2026-10-31",
        "issued_on": "2026-11-01",
        "once": uuid4().hex,
    } | overrides


def test_the_console_shows_what_would_be_gathered_and_then_gathers_it(console):
    payer = group()
    client = console("BO", seller_above(payer))
    order = wanted(payer)

    seen = client.post(page("consolidatedinvoice_add"), order | {"preview": "yes"})
    text = seen.content.decode()
    for part in ("100.00 EUR", "30.00 USD", "0.92 (central bank, 2026-09-30)", "127.60 EUR"):
        assert part in text
    assert not ConsolidatedInvoice.objects.exists()
    seal = seen.context["seen"].seal
    made = client.post(page("consolidatedinvoice_add"), order | {"confirm": "yes", "seen": seal}, follow=True)

    document = ConsolidatedInvoice.objects.get()
    text = made.content.decode()
    for part in (document.number, "127.60 EUR", "30.00 USD", "27.60 EUR", payer.name):
        assert part in text
    assert document.number in client.get(page("consolidatedinvoice_changelist")).content.decode()
    client.post(page("consolidatedinvoice_add"), order | {"confirm": "yes", "seen": seal}, follow=True)
    assert ConsolidatedInvoice.objects.count() == 1


def test_the_console_says_why_nothing_is_gathered(console):
    payer = make_payer()
    make_child(payer)
    draft = make_child_draft(payer)
    client = console("BO", seller_above(payer))
    order = wanted(payer)

    seen = client.post(page("consolidatedinvoice_add"), order | {"preview": "yes"})
    assert "Missing: still drafts" in seen.content.decode()
    assert str(draft.pk) in seen.content.decode()
    made = client.post(
        page("consolidatedinvoice_add"), order | {"confirm": "yes", "seen": seen.context["seen"].seal}
    )

    assert "are still drafts" in made.content.decode()
    assert not ConsolidatedInvoice.objects.exists()
    nobody = client.post(page("consolidatedinvoice_add"), wanted(make_payer()) | {"preview": "yes"})
    assert "There is no customer" in nobody.content.decode()


def test_the_page_of_an_invoice_leads_to_its_consolidation(console):
    document = make_consolidation()
    client = console("VW", document.seller)
    text = client.get(page("invoice_change", document.children.first().invoice_id)).content.decode()
    assert page("consolidatedinvoice_change", document.pk) in text


def test_the_console_voids(console):
    document = make_consolidation()
    client = console("FC", document.seller)
    client.post(
        page("consolidatedinvoice_action_void", document.pk),
        {"confirm": "yes", "once": uuid4().hex, "voided_on": "2026-11-02", "reason": "wrong payer"},
        follow=True,
    )
    document.refresh_from_db()
    assert document.state == "void"
    assert "released" in client.get(page("consolidatedinvoice_change", document.pk)).content.decode()


def test_the_console_adds_rates(console):
    client = console("FC", seller_above(make_payer()))
    answers = {
        "from_currency": "USD",
        "to_currency": "EUR",
        "rate": "0.92",
        "rate_on": "2026-10-31",
        "source": "ECB",
    }
    client.post(page("exchangerate_add"), answers, follow=True)
    assert ExchangeRate.objects.get().rate == Decimal("0.92")
    assert "0.92" in client.get(page("exchangerate_changelist")).content.decode()


def run(payer, *more, **options) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    arguments = ["--seller", seller_above(payer).code, "--payer", payer.code, "--month", "2026-10"]
    call_command(
        "consolidate", *arguments, "--issued-on", "2026-11-01", *more, stdout=out, stderr=err, **options
    )
    as_if_committed()
    return out.getvalue(), err.getvalue()


def test_the_command_shows_consolidates_and_finds_its_work_done():
    payer = group()
    out, _ = run(payer, "--dry-run")
    assert out == f"{payer.code}: would gather, 2 invoices, 100.00 EUR, 30.00 USD\n"
    assert not ConsolidatedInvoice.objects.exists()

    out, _ = run(payer)
    assert out == f"{payer.code}: CON-2026-000001, 2 invoices, 100.00 EUR, 30.00 USD\n"
    assert run(payer)[0].startswith(f"{payer.code}: CON-2026-000001 (there already)")
    told = json.loads(run(payer, "--json")[0])
    assert told["payers"][0]["created"] is False
    assert AuditEntry.objects.get(action="consolidated_invoice.issued").actor == "command:consolidate"


def test_the_command_leaves_drafts_out_only_if_told_so():
    payer = make_payer()
    make_child(payer)
    draft = make_child_draft(payer)
    with pytest.raises(CommandError, match=r"1 payer\(s\)"):
        run(payer)
    assert not ConsolidatedInvoice.objects.exists()
    out, err = run(payer, "--allow-missing")
    assert "CON-2026-000001" in out
    assert str(draft.pk) in err


def test_the_command_knows_no_entities_that_are_not_there():
    payer = make_payer()
    with pytest.raises(CommandError, match="no entity"):
        call_command("consolidate", "--seller", "NOBODY", "--payer", payer.code, "--month", "2026-10")
