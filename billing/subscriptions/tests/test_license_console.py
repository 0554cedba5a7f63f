from datetime import date

import pytest
from django.test import Client
from django.utils.html import strip_tags

from billing.access.roles import Role
from billing.entities.tests.makers import make_grant
from billing.subscriptions.models import License
from billing.subscriptions.tests.license_makers import make_license, make_seat

PAGES = "/admin/subscriptions/license/"
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now(freeze):
    freeze("2026-03-10T12:00:00Z")


def signed_in(license, role=Role.FINANCE_CONTROLLER) -> Client:
    client = Client()
    person = make_grant(role=role, entity=license.entity).user
    client.force_login(person, backend="billing.entities.backends.GrantBackend")
    return client


def confirm(client, license, verb, **given):
    return client.post(f"{PAGES}{license.pk}/{verb}/", {"confirm": "yes", "once": verb} | given, follow=True)


def test_the_picture_says_what_it_shows():
    some = make_license(seats=40, included_seats=25)
    for _ in range(31):
        make_seat(some)
    client = signed_in(some)
    page = client.get(f"{PAGES}{some.pk}/change/").content.decode()

    assert "31 of 40 in use, 25 included" in strip_tags(page)
    assert "width: 62%" in page  # 25 of 40 are used and paid for
    assert "width: 15%" in page  # six more
    assert "left: 62%" in page

    none = make_license(entity=some.entity, product=some.product, seats=0)
    listed = client.get(PAGES).content.decode()
    assert "0 of 0 in use" in listed
    assert none.tier in listed


def test_seats_are_assigned_and_released_by_hand():
    license = make_license(seats=1)
    client = signed_in(license, Role.BILLING_OPERATOR)

    assert "done" in confirm(client, license, "assign_seat", holder="ada").content.decode()
    again = confirm(client, license, "assign_seat", holder="bob", once="another page")
    assert "1 of 1 seats are in use" in again.content.decode()
    assert License.objects.get().used_seats == 1
    confirm(client, license, "release_seat", holder="ada")

    assert License.objects.get().used_seats == 0
    assert confirm(client, license, "revoke_license", reason="r").status_code == 403
    assert License.objects.get().state == "active"


def test_a_change_leaves_what_is_not_said():
    license = make_license(seats=10, features=["reports"], ends_on=date(2026, 12, 1))
    client = signed_in(license)

    confirm(client, license, "change_license", seats="12", features="sso, export")
    license.refresh_from_db()
    assert (license.tier, license.seats, license.included_seats) == ("team", 12, 10)
    assert (license.features, license.ends_on) == (["sso", "export"], date(2026, 12, 1))

    confirm(client, license, "change_license", features="-", without_end="on", once="again")
    license.refresh_from_db()
    assert (license.features, license.ends_on, license.seats) == ([], None, 12)

    both = confirm(client, license, "change_license", ends_on="2027-01-01", without_end="on", once="both")
    assert "Either a day, or without an end." in both.content.decode()
    assert license.terms.count() == 3


def test_a_revoked_licence_offers_nothing_more():
    license = make_license()
    make_seat(license)
    client = signed_in(license)

    confirm(client, license, "revoke_license", reason="unpaid")

    license.refresh_from_db()
    assert (license.state, license.used_seats) == ("revoked", 0)
    page = client.get(f"{PAGES}{license.pk}/change/").content.decode()
    for verb in ("assign_seat", "release_seat", "change_license", "revoke_license"):
        assert f"/{verb}/" not in page
