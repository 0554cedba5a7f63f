"""One customer of a billing run is billed by itself, over the API."""

from uuid import uuid4

import pytest

from billing.entities.tests.makers import make_grant, make_user
from billing.invoicing.models import BillingRunItem, Invoice
from billing.invoicing.states import RunItemState
from billing.invoicing.tests.makers import make_seller
from billing.invoicing.tests.test_console_runs import failed_run, give_a_price
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold

API = "/api/v1/enterprise-billing/"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def item(seller) -> BillingRunItem:
    return failed_run(seller).items.get(state=RunItemState.FAILED)


def address(item) -> str:
    return f"{API}billing-runs/{item.run_id}/retry-customer"


def order(item) -> dict:
    return {"customer": str(item.customer_id)}


def once() -> dict:
    return {"Idempotency-Key": str(uuid4())}


def test_the_customer_is_billed_once_however_often_it_is_sent(api, seller, item):
    client = api(make_grant(role="BO", entity=seller).user)
    give_a_price(seller)
    assert client.post(address(item), order(item)).status_code == 400  # it issues: a key is required
    key = once()

    told = client.post(address(item), order(item), headers=key)
    again = client.post(address(item), order(item), headers=key)

    assert (told.status_code, told.json()["customers_failed"], told.json()["invoices_issued"]) == (200, 0, 2)
    assert (again.status_code, again.json()) == (200, told.json())
    assert Invoice.objects.filter(customer=item.customer_id).exclude(number=None).count() == 1
    [entry] = AuditEntry.objects.filter(action="billing_run.customer_retried")
    assert entry.detail["customer"] == str(item.customer_id)
    other = client.post(address(item), order(item), headers=once())
    assert (other.status_code, other.json()["code"]) == (404, "not-found")
    assert_invariants_hold()


def test_refused_again_it_keeps_the_new_reason(api, seller, item):
    BillingRunItem.objects.filter(pk=item.pk).update(failure={"code": "old", "detail": "Old."})

    told = api(make_grant(role="BO", entity=seller).user).post(address(item), order(item), headers=once())

    assert (told.status_code, told.json()["code"]) == (422, "price-missing")
    item.refresh_from_db()
    assert (item.state, item.failure["code"], item.run.state) == (
        RunItemState.FAILED,
        "price-missing",
        "finished",
    )
    assert Invoice.objects.filter(customer=item.customer_id).exclude(number=None).count() == 0


def test_it_takes_the_right_to_bill_and_the_seller_within_reach(api, seller, item):
    give_a_price(seller)
    looking = api(make_grant(role="AU", entity=seller).user)
    elsewhere = api(make_grant(role="BO", entity=make_seller()).user)
    bystander = api(make_user())

    refusals = [
        client.post(address(item), order(item), headers=once()).status_code
        for client in (looking, elsewhere, bystander)
    ]

    assert refusals == [403, 404, 403]
    item.refresh_from_db()
    assert item.state == RunItemState.FAILED
