from datetime import date, timedelta

import pytest

from billing.access.roles import Role
from billing.entities.tests.makers import make_entity, make_grant
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.subscriptions.models import License, LicenseAssignment
from billing.subscriptions.tests.license_makers import (
    make_license,
    make_licensed,
    make_seat,
    make_subscriber,
    make_terms,
)
from billing.subscriptions.tests.makers import make_product

ROOT = "/api/v1/enterprise-billing/licenses"
NOON = "2026-03-10T12:00:00Z"
READERS = {Role.VIEWER, Role.BILLING_OPERATOR, Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER, Role.AUDITOR}
WRITERS = {Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER}
SEATERS = WRITERS | {Role.BILLING_OPERATOR}
PEOPLE = sorted(set(Role) - {Role.SERVICE_ACCOUNT})
pytestmark = pytest.mark.django_db


@pytest.fixture
def manager(api):
    def client(entity):
        return api(make_grant(role=Role.CONTRACT_MANAGER, entity=entity).user)

    return client


def test_a_licence_lives_over_http(manager, freeze):
    freeze(NOON)
    customer, product = make_licensed()
    subscription = make_subscriber(customer, product.entity)
    client = manager(product.entity)

    made = client.post(
        ROOT,
        {
            "entity": str(customer.pk),
            "product": str(product.pk),
            "subscription": str(subscription.pk),
            "tier": "team",
            "features": ["sso"],
            "seats": 2,
            "included_seats": 1,
            "starts_on": "2026-01-01",
            "metadata": {"po": "4711"},
        },
    )
    assert made.status_code == 201, made.data
    address = f"{ROOT}/{made.data['id']}"
    assert made["Location"].endswith(address)
    assert (made.data["state"], made.data["used_seats"], made.data["ends_on"]) == ("active", 0, None)

    changed = client.patch(
        address, {"tier": "pro", "ends_on": "2027-01-01"}, headers={"If-Match": made["ETag"]}
    )
    assert (changed.status_code, changed.data["tier"], changed.data["version"]) == (200, "pro", 2)
    stale = client.patch(address, {"tier": "x"}, headers={"If-Match": made["ETag"]})
    assert stale.status_code == 412

    seat = client.post(f"{address}/assign", {"holder": "ada"})
    assert (seat.status_code, seat.data["holder"], seat.data["released_at"]) == (201, "ada", None)
    freeze("2026-03-10T13:00:00Z")
    again = client.post(f"{address}/assign", {"holder": "Ada"})
    assert (again.status_code, again.data) == (200, seat.data)
    client.post(f"{address}/assign", {"holder": "bob"})
    full = client.post(f"{address}/assign", {"holder": "carl"})
    assert (full.status_code, full.json()["code"]) == (409, "no-seat-left")
    assert (full.json()["seats"], full.json()["used"]) == (2, 2)
    fewer = client.patch(address, {"seats": 1})
    assert (fewer.status_code, fewer.json()["code"]) == (409, "seats-in-use")
    released = client.post(f"{address}/release", {"holder": "ada"})
    assert (released.status_code, released.data["released_at"]) == (200, "2026-03-10T13:00:00.000000Z")
    twice = client.post(f"{address}/release", {"holder": "ada"})
    assert (twice.status_code, twice.json()["code"]) == (409, "seat-not-held")

    terms = client.get(f"{address}/terms").data["results"]
    assert [(t["number"], t["tier"], t["starts_on"], t["ends_on"]) for t in terms] == [
        (2, "pro", "2026-03-10", "2027-01-01"),
        (1, "team", "2026-01-01", None),
    ]
    live = client.get(f"{address}/assignments?released=false").data["results"]
    assert [row["holder"] for row in live] == ["bob"]

    revoked = client.post(f"{address}/revoke", {"reason": "unpaid"})
    assert (revoked.status_code, revoked.data["state"], revoked.data["used_seats"]) == (200, "revoked", 0)
    assert client.post(f"{address}/revoke", {"reason": "again"}).json()["code"] == "illegal-move"
    assert client.post(f"{address}/assign", {"holder": "dan"}).json()["code"] == "license-not-valid"
    assert client.patch(address, {"tier": "x"}).json()["code"] == "license-revoked"
    assert_invariants_hold()


def test_a_write_under_the_same_key_is_done_once(manager):
    customer, product = make_licensed()
    client = manager(customer)
    terms = {"entity": str(customer.pk), "product": str(product.pk), "tier": "t", "seats": 1}
    body = terms | {"starts_on": "2026-01-01"}

    answers = [client.post(ROOT, body, headers={"Idempotency-Key": "once"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert License.objects.count() == 1


def test_a_change_holds_from_the_entitys_own_day_on(manager, freeze):
    freeze("2026-03-10T18:15:00Z")
    customer, product = make_licensed(time_zone="Asia/Kathmandu")
    license = make_license(entity=customer, product=product)

    manager(customer).patch(f"{ROOT}/{license.pk}", {"seats": 11})

    assert license.terms.get(number=2).starts_on == date(2026, 3, 11)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"a", "b", "c"}),
        ("state=expired", {"b"}),
        ("state=expired&state=active", {"a", "b", "c"}),
        ("tier=pro", {"c"}),
        ("product={product}", {"c"}),
        ("subscription={subscription}", {"a"}),
        ("entity={entity}", {"c"}),
    ],
)
def test_licences_are_filtered(manager, query, names):
    customer, product = make_licensed()
    subscription = make_subscriber(customer, product.entity)
    by_name = {
        "a": make_license(entity=customer, product=product, subscription=subscription),
        "b": make_license(entity=customer, product=product, state="expired", ends_on=date(2026, 2, 1)),
    }
    sibling, another = make_entity(parent=product.entity), make_product(entity=product.entity)
    by_name["c"] = make_license(entity=sibling, product=another, tier="pro")
    make_license()  # another group's
    asked = query.format(product=another.pk, subscription=subscription.pk, entity=sibling.pk)

    found = manager(product.entity).get(f"{ROOT}?{asked}").data["results"]

    assert {row["id"] for row in found} == {str(by_name[name].pk) for name in names}


def test_seats_are_found_by_their_holder(manager):
    license = make_license()
    ada = make_seat(license, holder="ada@example.com")
    make_seat(license, holder="bob@example.com", released_at=ada.assigned_at + timedelta(days=1))
    client = manager(license.entity)

    def holders(query):
        results = client.get(f"{ROOT}/{license.pk}/assignments?{query}").data["results"]
        return [row["holder"] for row in results]

    assert holders("") == ["bob@example.com", "ada@example.com"]
    assert holders("released=true") == ["bob@example.com"]
    assert holders("holder=ADA@example.com") == ["ada@example.com"]
    assert holders("search=ada") == ["ada@example.com"]


@pytest.mark.parametrize(
    "body",
    [
        {"seats": -1},
        {"seats": "3"},
        {"features": "sso"},
        {"features": [""]},
        {"features": ["a", "a"]},
        {"included_seats": None},
        {"subscription": "none"},
        {"starts_on": "2026-01-01"},
        {"state": "revoked"},
    ],
    ids=str,
)
def test_malformed_changes_are_refused(manager, body):
    license = make_license()

    answer = manager(license.entity).patch(f"{ROOT}/{license.pk}", body)

    assert answer.status_code == 400
    assert License.objects.get().version == 1


@pytest.mark.parametrize("role", PEOPLE)
def test_who_may_read_grant_seat_and_revoke(api, role):
    license = make_license()
    make_terms(license, starts_on=date(2026, 2, 1))
    client = api(make_grant(role=role, entity=license.entity.parent).user)
    address = f"{ROOT}/{license.pk}"
    terms = {
        "entity": str(license.entity_id),
        "product": str(license.product_id),
        "tier": "t",
        "seats": 1,
        "starts_on": "2026-01-01",
    }

    for path in ("", "/terms", "/assignments"):
        assert client.get(address + path).status_code == (200 if role in READERS else 403)
    assert client.get(ROOT).status_code == (200 if role in READERS else 403)
    assert client.post(ROOT, terms).status_code == (201 if role in WRITERS else 403)
    assert client.patch(address, {"tier": "x"}).status_code == (200 if role in WRITERS else 403)
    assert client.post(f"{address}/assign", {"holder": "a"}).status_code == (201 if role in SEATERS else 403)
    assert client.post(f"{address}/release", {"holder": "a"}).status_code == (200 if role in SEATERS else 403)
    assert client.post(f"{address}/revoke", {"reason": "r"}).status_code == (200 if role in WRITERS else 403)
    assert License.objects.count() == (2 if role in WRITERS else 1)
    assert LicenseAssignment.objects.count() == (1 if role in SEATERS else 0)


def test_what_belongs_to_others_does_not_exist(manager):
    client, theirs = manager(make_license().entity), make_license()
    address = f"{ROOT}/{theirs.pk}"

    answers = [
        client.get(address),
        client.get(f"{address}/terms"),
        client.get(f"{address}/assignments"),
        client.patch(address, {"tier": "x"}),
        client.post(f"{address}/assign", {"holder": "a"}),
        client.post(f"{address}/release", {"holder": "a"}),
        client.post(f"{address}/revoke", {"reason": "r"}),
    ]

    assert [answer.status_code for answer in answers] == [404] * 7
    assert License.objects.get(pk=theirs.pk).version == 1
