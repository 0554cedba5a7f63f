"""Discounts on the wire, in the console and on the document."""

from datetime import date
from uuid import uuid4

import pytest
from django.urls import reverse

from billing.documents.core.rendering import pdf_of
from billing.entities.tests.makers import make_entity, make_grant
from billing.invoicing import services
from billing.invoicing.documents.content import content_of
from billing.invoicing.models import Discount, DiscountGrant, Invoice
from billing.invoicing.tests.makers import (
    AS_OF,
    make_discount,
    make_discount_grant,
    make_draft,
    make_seller,
    make_subscriber,
)
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"
BACKEND = "billing.entities.backends.GrantBackend"


@pytest.fixture
def seller():
    return make_seller()


def once() -> dict:
    return {"Idempotency-Key": str(uuid4())}


def offer(seller, **overrides) -> dict:
    values = {
        "seller": str(seller.pk),
        "code": "WELCOME",
        "name": "Welcome",
        "kind": "percent",
        "percent": "12.5",
        "duration": "repeating",
        "months": 3,
        "starts_on": "2024-01-01",
    }
    return {name: value for name, value in (values | overrides).items() if value is not None}


def test_it_is_offered_granted_taken_off_ended_and_retired(api, seller):
    client = api(make_grant(role="CM", entity=seller).user)
    subscription = make_subscriber(seller, starts_on=date(2024, 9, 1))

    made = client.post(f"{API}discounts", offer(seller), format="json")
    assert made.status_code == 201
    shown = client.get(made["Location"]).json()
    assert (shown["percent"], shown["amounts"], shown["products"], shown["redemptions"]) == (
        "12.5",
        [],
        [],
        0,
    )
    wanted = {
        "discount": shown["id"],
        "customer": str(subscription.entity.pk),
        "subscription": str(subscription.pk),
        "starts_on": "2024-09-01",
    }
    assert client.post(f"{API}discount-grants", wanted, format="json").status_code == 400  # no key
    granted = client.post(f"{API}discount-grants", wanted, format="json", headers=once())
    assert (granted.status_code, granted.json()["ends_on"], granted.json()["code"]) == (
        201,
        "2024-12-01",
        "WELCOME",
    )
    again = client.post(f"{API}discount-grants", wanted, format="json", headers=once())
    assert (again.status_code, again.json()["code"]) == (409, "discount-grant-overlaps")

    services.draft_invoices(
        actor="test", seller_id=seller.pk, customer_ids=[subscription.entity.pk], as_of=date(2024, 9, 1)
    )
    [line] = client.get(f"{API}invoices/{Invoice.objects.get().pk}/lines").json()["results"]
    assert (line["gross_amount"], line["discount_amount"], line["net_amount"]) == ("30.00", "3.75", "26.25")

    end = {"ends_on": "2024-10-01", "reason": "left"}
    ended = client.post(
        f"{granted['Location']}/end", end, format="json", headers={"If-Match": granted["ETag"]}
    )
    assert (ended.status_code, ended.json()["ends_on"]) == (200, "2024-10-01")
    refused = client.post(f"{granted['Location']}/end", end, format="json")
    assert (refused.status_code, refused.json()["code"]) == (422, "discount-grant-ends")
    retired = client.post(f"{made['Location']}/retire", {"reason": "over"}, format="json")
    assert (retired.status_code, retired.json()["is_active"], retired.json()["redemptions"]) == (
        200,
        False,
        1,
    )
    listed = client.get(f"{API}discounts?is_active=false&code=welcome").json()["results"]
    assert [each["id"] for each in listed] == [shown["id"]]
    grants = client.get(f"{API}discount-grants?discount={shown['id']}").json()["results"]
    assert [each["customer"] for each in grants] == [str(subscription.entity.pk)]


def test_an_amount_has_one_figure_for_each_currency(api, seller):
    client = api(make_grant(role="FC", entity=seller).user)
    product = make_product(entity=seller)
    amounts = [{"currency": "EUR", "amount": "10.00"}, {"currency": "JPY", "amount": "1500"}]
    terms = {"kind": "amount", "percent": None, "duration": "once", "months": None}

    made = client.post(
        f"{API}discounts", offer(seller, amounts=amounts, products=[str(product.pk)], **terms), format="json"
    )
    assert made.status_code == 201, made.json()
    assert (made.json()["amounts"], made.json()["products"]) == (amounts, [str(product.pk)])
    for number, wrong in enumerate(([amounts[0]] * 2, [{"currency": "JPY", "amount": "1.5"}], [])):
        body = offer(seller, code=f"W{number}", amounts=wrong, **terms)
        assert client.post(f"{API}discounts", body, format="json").status_code == 400
    assert Discount.objects.count() == 1


def test_who_bills_may_look_and_grant_nothing(api, seller):
    discount = make_discount(seller)
    client = api(make_grant(role="BO", entity=seller).user)
    customer = make_entity(parent=seller)
    wanted = {"discount": str(discount.pk), "customer": str(customer.pk), "starts_on": "2024-09-01"}

    answers = [
        client.post(f"{API}discounts", offer(seller), format="json"),
        client.post(f"{API}discounts/{discount.pk}/retire", {"reason": "x"}, format="json"),
        client.post(f"{API}discount-grants", wanted, format="json", headers=once()),
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert client.get(f"{API}discounts/{discount.pk}").status_code == 200
    assert (Discount.objects.count(), DiscountGrant.objects.count()) == (1, 0)


def test_what_is_out_of_reach_does_not_exist(api, seller):
    discount, customer = make_discount(seller), make_entity(parent=seller)
    grant = make_discount_grant(customer, discount)
    elsewhere = make_seller()
    client = api(make_grant(role="FC", entity=elsewhere).user)
    wanted = {
        "discount": str(discount.pk),
        "customer": str(make_entity(parent=elsewhere).pk),
        "starts_on": "2024-09-01",
    }

    assert client.get(f"{API}discounts").json()["results"] == []
    assert client.get(f"{API}discount-grants").json()["results"] == []
    assert client.post(f"{API}discount-grants", wanted, format="json", headers=once()).status_code == 400
    for answer in (
        client.get(f"{API}discounts/{discount.pk}"),
        client.post(f"{API}discounts/{discount.pk}/retire", {"reason": "x"}, format="json"),
        client.get(f"{API}discount-grants/{grant.pk}"),
        client.post(
            f"{API}discount-grants/{grant.pk}/end", {"ends_on": "2024-10-01", "reason": "x"}, format="json"
        ),
    ):
        assert answer.status_code == 404


def test_the_console_offers_grants_ends_and_retires(client, seller):
    client.force_login(make_grant(role="FC", entity=seller).user, backend=BACKEND)
    customer = make_entity(parent=seller)

    def press(page: str, pk, **answers):
        address = reverse(f"admin:invoicing_{page}", args=[pk])
        return client.post(address, {"confirm": "yes", "once": uuid4().hex, **answers}, follow=True)

    form = {
        "seller": seller.pk,
        "code": "TENNER",
        "name": "A tenner",
        "kind": "amount",
        "amounts": "10.00 EUR\n12 USD",
        "duration": "once",
        "starts_on": "2024-01-01",
    }
    add = reverse("admin:invoicing_discount_add")
    assert "is not an amount" in client.post(add, form | {"amounts": "ten"}).content.decode()
    page = client.post(add, form, follow=True).content.decode()
    discount = Discount.objects.get()
    assert "10.00 EUR, 12.00 USD" in page
    client.post(
        reverse("admin:invoicing_discountgrant_add"),
        {"discount": discount.pk, "customer": customer.pk, "starts_on": "2024-09-01"},
        follow=True,
    )
    grant = DiscountGrant.objects.get()
    assert (grant.customer, grant.subscription) == (customer, None)

    invoice = make_draft(seller=seller, customer=customer)
    shown = client.get(reverse("admin:invoicing_invoice_change", args=[invoice.pk])).content.decode()
    for part in ("10.00 EUR", "90.00 EUR", "Discount A tenner (TENNER): −10", "✓ agrees"):
        assert part in shown, part

    press("discountgrant_action_end", grant.pk, ends_on="2024-10-01", reason="over")
    press("discount_action_retire", discount.pk, reason="over")
    grant.refresh_from_db()
    discount.refresh_from_db()
    assert (grant.ends_on, discount.is_active) == (date(2024, 10, 1), False)


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_document_says_what_brought_the_gross_down(language, seller):
    customer = make_entity(parent=seller)
    make_discount_grant(customer, make_discount(seller, name="Welcome"))
    make_discount_grant(customer, make_discount(seller, name="A tenner", amounts={"EUR": "10"}))
    draft = make_draft(seller=seller, customer=customer)
    services.issue_invoice(actor="test", invoice_id=draft.pk, issued_on=AS_OF)
    invoice = Invoice.objects.get(pk=draft.pk)

    content = content_of(invoice, lines=invoice.lines.all(), taxes=invoice.taxes.all(), language=language)

    [line] = content["lines"]
    assert (line["amount"], line["below"].split(" · ", 1)[1]) == {
        "en": ("80.00", "100.00 · Welcome -10.00 · A tenner -10.00"),
        "de": ("80,00", "100,00 · Welcome -10,00 · A tenner -10,00"),
    }[language]
    assert pdf_of("invoice", content).startswith(b"%PDF")
