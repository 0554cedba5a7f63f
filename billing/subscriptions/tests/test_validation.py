"""What the licensed product is told, over HTTP, with a key that may do nothing else."""

import json
from datetime import date, datetime
from functools import cache
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from drf_spectacular.generators import SchemaGenerator

from billing.access.roles import Role
from billing.entities.tests.makers import make_entity, make_grant, make_key
from billing.kernel.models import AuditEntry
from billing.subscriptions import services
from billing.subscriptions.models import License
from billing.subscriptions.signing import encoded
from billing.subscriptions.tests.license_makers import (
    make_license,
    make_licensed,
    make_seat,
    make_subscriber,
)
from billing.subscriptions.tests.test_signing import OTHER_SECRET, RFC_SECRET, decoded, verified

ROOT = "/api/v1/enterprise-billing"
NOW = "2026-03-10T12:00:07.500000Z"
# Who am I and what may I do; and the jobs one has started oneself, of which a product has none.
OPEN_TO_ALL = {("get", f"{ROOT}/me"): 200, ("get", f"{ROOT}/jobs/{{job_id}}"): 404}
READERS = {Role.VIEWER, Role.BILLING_OPERATOR, Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER, Role.AUDITOR}
PEOPLE = sorted(set(Role) - {Role.SERVICE_ACCOUNT})
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now(freeze, settings):
    settings.LICENSE_ANSWER_SECONDS = 300
    freeze(NOW)


@pytest.fixture
def product_of(api):
    """`product_of(license)` is a client with a key that reaches its entity, with one scope."""

    def client(license, *scopes):
        grant = make_grant(role=Role.SERVICE_ACCOUNT, entity=license.entity)
        _, key = make_key(user=grant.user, scopes=list(scopes or ["licenses:validate"]))
        return api(key=key)

    return client


def address(license) -> str:
    return f"{ROOT}/licenses/{license.pk}/validate"


def test_a_valid_licence_is_said_to_be_and_signed(product_of):
    license = make_license(features=["reports", "sso"], included_seats=4, ends_on=date(2027, 1, 1))
    make_seat(license, holder="ada@example.com")
    client = product_of(license)

    answer = client.get(address(license), {"holder": "Ada@example.com", "feature": "sso"})

    assert answer.status_code == 200
    told = answer.json()
    token = told.pop("token")
    assert told == {
        "license": str(license.pk),
        "product": license.product.code,
        "holder": "Ada@example.com",
        "feature": "sso",
        "valid": True,
        "reason": None,
        "tier": "team",
        "features": ["reports", "sso"],
        "seats": 10,
        "used_seats": 1,
        "holder_has_seat": True,
        "ends_on": "2027-01-01",
        "checked_at": NOW,
        "fresh_until": "2026-03-10T12:10:00.000000Z",
    }
    keys = client.get(f"{ROOT}/licenses/signing-keys").json()["keys"]
    issued, expires = (
        int(datetime.fromisoformat(told[n]).timestamp()) for n in ("checked_at", "fresh_until")
    )
    assert verified(token, keys) == told | {"iss": "http://localhost:8000", "iat": issued, "exp": expires}
    assert AuditEntry.objects.filter(kind="verb", subject_id=str(license.pk)).count() == 0


def test_a_forged_answer_is_found_offline(product_of):
    license = make_license(state="expired", ends_on=date(2026, 2, 1))
    client = product_of(license)
    keys = client.get(f"{ROOT}/licenses/signing-keys").json()["keys"]
    header, payload, signature = client.get(address(license)).json()["token"].split(".")

    claims = json.loads(decoded(payload))
    forged = encoded(json.dumps(claims | {"valid": True}).encode())

    assert claims["valid"] is False
    with pytest.raises(InvalidSignature):
        verified(f"{header}.{forged}.{signature}", keys)


@pytest.mark.parametrize(
    ("overrides", "asked", "reason"),
    [
        ({}, {}, None),
        ({}, {"feature": "reports"}, None),
        ({}, {"holder": "ada"}, None),
        ({}, {"holder": "bob"}, "no-seat"),
        ({}, {"holder": "carl"}, "no-seat"),
        ({}, {"feature": "sso"}, "feature-not-included"),
        ({}, {"feature": "sso", "holder": "bob"}, "feature-not-included"),
        ({"starts_on": date(2026, 3, 11)}, {}, "not-started"),
        ({"ends_on": date(2026, 3, 10)}, {}, "expired"),
        ({"ends_on": date(2026, 3, 11)}, {}, None),
        ({"ends_on": date(2026, 3, 1), "state": "expired"}, {"feature": "sso"}, "expired"),
        ({"ends_on": date(2026, 3, 10), "entity_state": "suspended"}, {}, "entity-not-active"),
        ({"entity_state": "closed"}, {}, "entity-not-active"),
    ],
    ids=str,
)
def test_says_why_not(product_of, overrides, asked, reason):
    overrides = dict(overrides)
    customer, product = make_licensed(state=overrides.pop("entity_state", "active"))
    license = make_license(entity=customer, product=product, **overrides)
    make_seat(license, holder="ada")
    make_seat(license, holder="carl", released_at=datetime.fromisoformat(NOW))

    told = product_of(license).get(address(license), asked).json()

    assert (told["valid"], told["reason"]) == (reason is None, reason)
    expected = {"ada": True, "bob": False, "carl": False}.get(asked.get("holder"))
    assert told["holder_has_seat"] is expected


def test_a_revoked_licence_is_revoked_before_anything_else(product_of):
    license = make_license(ends_on=date(2026, 3, 1), state="revoked")

    told = product_of(license).get(address(license), {"feature": "sso", "holder": "ada"}).json()

    assert (told["valid"], told["reason"]) == (False, "revoked")


@pytest.mark.parametrize(
    ("_case", "time_zone", "overrides", "at", "until", "max_age"),
    [
        ("at the start of a window", "UTC", {}, "12:00:00Z", "12:10:00", 300),
        ("at its end", "UTC", {}, "12:04:59.999999Z", "12:10:00", 300),
        ("in the next one", "UTC", {}, "12:05:00Z", "12:15:00", 300),
        ("on the last day", "UTC", {"ends_on": date(2026, 3, 11)}, "23:58:30Z", "11T00:00:00", 90),
        ("at its last instant", "UTC", {"ends_on": date(2026, 3, 11)}, "23:59:59.5Z", "11T00:00:00", 0),
        (
            "on the last day elsewhere",
            "Asia/Kathmandu",
            {"ends_on": date(2026, 3, 11)},
            "18:14:00Z",
            "18:15:00",
            60,
        ),
        ("before it starts", "UTC", {"starts_on": date(2026, 3, 11)}, "23:59:00Z", "11T00:00:00", 60),
        ("once it is over", "UTC", {"ends_on": date(2026, 3, 10)}, "12:00:00Z", "12:10:00", 300),
    ],
)
def test_an_answer_is_fresh_for_so_long_and_never_beyond_the_day_that_changes_it(
    product_of, freeze, _case, time_zone, overrides, at, until, max_age
):
    customer, product = make_licensed(time_zone=time_zone)
    license = make_license(entity=customer, product=product, **overrides)
    freeze(f"2026-03-10T{at}")

    answer = product_of(license).get(address(license))

    day = "" if "T" in until else "10T"
    assert answer.json()["fresh_until"] == f"2026-03-{day}{until}.000000Z"
    assert answer["Cache-Control"] == f"private, max-age={max_age}"


def test_the_same_answer_is_not_sent_twice(product_of, freeze, settings):
    license = make_license(ends_on=date(2027, 1, 1))
    client = product_of(license)
    first = client.get(address(license))

    def again(tag=first["ETag"], **asked):
        return client.get(address(license), asked, headers={"If-None-Match": tag})

    freeze("2026-03-10T12:04:00Z")
    same = again(f'"x", {first["ETag"]}')
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    assert same["Cache-Control"] == "private, max-age=300"
    assert not first["ETag"].startswith("W/")
    fresh = first.json()["fresh_until"]
    assert client.get(address(license)).json()["fresh_until"] == fresh  # nobody's token is fresher

    assert again(holder="ada").status_code == 200  # another question
    freeze("2026-03-10T12:05:00Z")
    assert again().status_code == 200  # a new token stands for longer
    freeze("2026-03-10T12:04:30Z")
    settings.LICENSE_SIGNING_KEYS = [RFC_SECRET]
    assert again().status_code == 200  # another key
    settings.LICENSE_SIGNING_KEYS = [OTHER_SECRET]
    renewed = client.get(address(license))["ETag"]
    make_seat(license)
    assert again(renewed).status_code == 200  # another use of seats
    renewed = client.get(address(license))["ETag"]
    assert again(renewed).status_code == 304
    services.revoke_license(
        actor="test", license_id=license.pk, reason="unpaid", as_of=datetime.fromisoformat(NOW)
    )
    assert again(renewed).json()["reason"] == "revoked"


@pytest.mark.parametrize(
    "query", ["surprise=1", "holder=", "holder=a&holder=b", "feature=" + "x" * 65, "expand=product"]
)
def test_a_question_it_does_not_understand_is_refused(product_of, query):
    license = make_license()

    assert product_of(license).get(f"{address(license)}?{query}").status_code == 400


def test_licences_out_of_reach_are_licences_that_are_none(product_of):
    client, theirs = product_of(make_license()), make_license()

    for unreachable in (theirs, License(pk=uuid4())):
        answer = client.get(address(unreachable))
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("role", PEOPLE)
def test_who_may_ask(api, role):
    license = make_license()
    client = api(make_grant(role=role, entity=license.entity).user)
    expected = 200 if role in READERS else 403

    assert client.get(address(license)).status_code == expected
    assert client.get(f"{ROOT}/licenses/signing-keys").status_code == expected


def test_other_scopes_do_not_validate(product_of):
    license = make_license()
    client = product_of(license, "licenses:read", "licenses:write")

    assert client.get(f"{ROOT}/licenses/{license.pk}").status_code == 200
    assert client.get(address(license)).status_code == 403
    assert client.get(f"{ROOT}/licenses/signing-keys").status_code == 403


@cache
def operations() -> list[tuple[str, str]]:
    document = SchemaGenerator().get_schema(request=None, public=True)
    return [(method, path) for path, item in document["paths"].items() for method in item]


def test_the_key_of_a_product_can_do_nothing_but_validate(product_of):
    license = make_license()
    make_entity()
    client = product_of(license)
    answered, before = {}, AuditEntry.objects.filter(kind="verb").count()

    for method, path in operations():
        filled = path.replace("{license_id}", str(license.pk)).replace("{entity_id}", str(license.entity_id))
        filled = "/".join(str(uuid4()) if part.startswith("{") else part for part in filled.split("/"))
        answer = getattr(client, method)(filled, headers={"Idempotency-Key": str(uuid4())})
        if answer.status_code == 403:
            assert answer.json()["code"] == "not-allowed", path
        else:
            answered[(method, path)] = answer.status_code

    assert answered == OPEN_TO_ALL | {
        ("get", f"{ROOT}/licenses/{{license_id}}/validate"): 200,
        ("get", f"{ROOT}/licenses/signing-keys"): 200,
    }
    assert AuditEntry.objects.filter(kind="verb").count() == before


def test_validating_costs_few_statements_however_many_seats(product_of, django_assert_num_queries):
    license = make_license(seats=60)
    client = product_of(license)
    client.get(address(license), {"holder": "ada"})
    for _ in range(50):
        make_seat(license)

    with django_assert_num_queries(2 + 1):  # the key and its grants; the licence with its entity and the seat
        client.get(address(license), {"holder": "ada"})


def test_a_licence_ends_with_the_subscription_that_pays_for_it(product_of, freeze):
    customer, product = make_licensed()
    paying = make_subscriber(customer, product.entity, cancels_on=date(2026, 3, 11))
    license = make_license(entity=customer, product=product, subscription=paying)
    freeze("2026-03-10T23:58:30Z")

    before = product_of(license).get(address(license))
    freeze("2026-03-11T00:00:00Z")
    after = product_of(license).get(address(license)).json()

    assert (before.json()["valid"], before["Cache-Control"]) == (True, "private, max-age=90")
    assert (after["valid"], after["reason"]) == (False, "subscription-ended")


def test_the_sweep_expires_licences_of_ended_subscriptions():
    customer, product = make_licensed()
    ended = make_subscriber(
        customer, product.entity, state="canceled", ended_on=date(2026, 3, 10), next_on=date(2026, 3, 10)
    )
    over = make_license(entity=customer, product=product, subscription=ended)
    running = make_license(
        entity=customer, product=product, subscription=make_subscriber(customer, product.entity)
    )

    services.expire_licenses(actor="test", as_of=datetime.fromisoformat(NOW))

    assert [License.objects.get(pk=one.pk).state for one in (over, running)] == ["expired", "active"]
