"""One-off invoices on the wire."""

from uuid import uuid4

import pytest

from billing.entities.tests.makers import make_department, make_entity, make_grant
from billing.invoicing.models import Invoice
from billing.invoicing.tests.makers import make_one_off, make_seller
from billing.kernel.models import AuditEntry
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def customer(seller):
    return make_entity(parent=seller)


def once() -> dict:
    return {"Idempotency-Key": str(uuid4())}


def line(product, **overrides) -> dict:
    values = {
        "product": str(product.pk),
        "quantity": "2",
        "unit_price": "50",
        "service_starts_on": "2024-09-01",
        "service_ends_on": "2024-10-01",
    }
    return values | overrides


def terms(seller, customer, *lines, **overrides) -> dict:
    wanted = {"seller": str(seller.pk), "customer": str(customer.pk), "currency": "EUR"}
    return wanted | {"lines": list(lines) or [line(make_product(entity=seller))]} | overrides


def test_it_is_previewed_drafted_replaced_and_deleted(api, seller, customer):
    client = api(make_grant(role="BO", entity=seller).user)
    department = make_department(entity=customer)
    wanted = terms(seller, customer, line(make_product(entity=seller), department=str(department.pk)))

    shown = client.post(f"{API}invoices/preview-one-off", wanted, format="json")
    assert (shown.status_code, shown.json()["total_amount"]) == (200, "119.00")
    assert [(each["net_amount"], each["kind"]) for each in shown.json()["lines"]] == [("100.00", "one_off")]
    assert not Invoice.objects.exists()

    wanted |= {"key": "order-7", "issue_on": "2999-01-01"}
    made = client.post(f"{API}invoices", wanted, format="json", headers=once())
    assert made.status_code == 201
    address, body = made["Location"], made.json()
    assert (body["state"], body["total_amount"], body["issue_on"]) == ("draft", "119.00", "2999-01-01")
    again = client.post(f"{API}invoices", wanted, format="json", headers=once())
    assert (again.status_code, again.json()["id"]) == (201, body["id"])
    other = client.post(f"{API}invoices", wanted | {"issue_on": "2999-01-02"}, format="json", headers=once())
    assert (other.status_code, other.json()["code"]) == (409, "one-off-key-taken")

    lines = {"lines": [line(make_product(entity=seller), quantity="1")]}
    assert client.put(address, lines, format="json").status_code == 428
    replaced = client.put(address, lines, format="json", headers={"If-Match": made["ETag"]})
    assert (replaced.status_code, replaced.json()["total_amount"]) == (200, "59.50")
    stale = client.delete(address, headers={"If-Match": made["ETag"]})
    assert stale.status_code == 412
    gone = client.delete(address, headers={"If-Match": replaced["ETag"]})
    assert (gone.status_code, Invoice.objects.count()) == (204, 0)


def test_without_a_key_every_post_is_a_draft_of_its_own_but_for_its_idempotency_key(api, seller, customer):
    client = api(make_grant(role="FC", entity=seller).user)
    wanted, key = terms(seller, customer), once()

    first, repeat = (client.post(f"{API}invoices", wanted, format="json", headers=key) for _ in range(2))
    other = client.post(f"{API}invoices", wanted, format="json", headers=once())

    assert first.json()["id"] == repeat.json()["id"] != other.json()["id"]
    assert client.post(f"{API}invoices", wanted, format="json").status_code == 400


@pytest.mark.parametrize("role", ["VW", "CM", "AP", "AU"])
def test_who_may_not_draft_may_not_write_one(api, role, seller, customer):
    draft = make_one_off(seller, customer)
    client = api(make_grant(role=role, entity=seller).user)
    before = AuditEntry.objects.filter(kind="verb").count()

    answers = [
        client.post(f"{API}invoices", terms(seller, customer), format="json", headers=once()),
        client.post(f"{API}invoices/preview-one-off", terms(seller, customer), format="json"),
        client.put(f"{API}invoices/{draft.pk}", {}, format="json"),
        client.delete(f"{API}invoices/{draft.pk}"),
    ]

    assert {answer.status_code for answer in answers} == {403}
    assert Invoice.objects.get() == draft
    assert AuditEntry.objects.filter(kind="verb").count() == before


def test_what_is_out_of_reach_does_not_exist(api, seller, customer):
    client = api(make_grant(role="BO", entity=make_seller()).user)
    draft = make_one_off(seller, customer)

    refused = client.post(f"{API}invoices", terms(seller, customer), format="json", headers=once())
    assert refused.status_code == 400  # there is no such seller, nor such a customer
    lines = {"lines": [line(make_product(entity=seller))]}
    for answer in (
        client.put(f"{API}invoices/{draft.pk}", lines, format="json", headers={"If-Match": '"1"'}),
        client.delete(f"{API}invoices/{draft.pk}", headers={"If-Match": '"1"'}),
    ):
        assert answer.status_code == 404
    assert Invoice.objects.get() == draft
