from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing.entities.tests.makers import make_entity
from billing.kernel.errors import IllegalMove, Invalid, NotFound, PreconditionFailed
from billing.kernel.ids import uuid7
from billing.kernel.invariant_checks import find_violations
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.subscriptions import services, tasks
from billing.subscriptions.errors import (
    EntityNotLicensable,
    IncludedBeyondSeats,
    LicenseEndsTooEarly,
    LicenseRevoked,
    NotTheLicenseesSubscription,
    ProductNotLicensable,
    SeatsInUse,
)
from billing.subscriptions.models import License, LicenseAssignment, LicenseTerms
from billing.subscriptions.tests.license_makers import (
    make_license,
    make_licensed,
    make_seat,
    make_subscriber,
    make_terms,
)
from billing.subscriptions.tests.makers import make_product

START = date(2026, 1, 1)
TODAY = date(2026, 3, 10)
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def grant(entity, product, **overrides):
    values = {"tier": "team", "seats": 5, "starts_on": START} | overrides
    return services.create_license(actor="test", entity_id=entity.pk, product_id=product.pk, **values)


def change(license, on=TODAY, version=None, **changes):
    return services.change_license(
        actor="test", license_id=license.pk, changes=changes, on=on, version=version
    )


def revoke(license, **overrides):
    return services.revoke_license(
        actor="test", license_id=license.pk, reason="unpaid", as_of=NOW, **overrides
    )


def expire(as_of=NOW):
    return services.expire_licenses(actor="test", as_of=as_of)


def told(name):
    return OutboxEvent.objects.filter(name=name).count()


def history(license):
    return list(license.terms.order_by("number").values_list("number", "tier", "seats", "starts_on"))


@pytest.mark.django_db
def test_a_licence_is_granted_with_its_first_terms():
    entity, product = make_licensed()
    subscription = make_subscriber(entity, product.entity)

    license = grant(
        entity,
        product,
        features=["sso", "export"],
        ends_on=date(2027, 1, 1),
        subscription_id=subscription.pk,
    )

    license.refresh_from_db()
    assert (license.state, license.seats, license.included_seats, license.used_seats) == ("active", 5, 5, 0)
    terms = LicenseTerms.objects.get()
    assert (terms.number, terms.features, terms.included_seats) == (1, ["sso", "export"], 5)
    assert (terms.starts_on, terms.ends_on, terms.subscription) == (START, date(2027, 1, 1), subscription)
    assert AuditEntry.objects.get(action="license.created").entity_id == entity.pk
    assert told("license.created") == 1
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ({"entity": "unknown"}, NotFound),
        ({"entity": "suspended"}, EntityNotLicensable),
        ({"product": "unknown"}, ProductNotLicensable),
        ({"product": "another seller's"}, ProductNotLicensable),
        ({"product": "no longer sold"}, ProductNotLicensable),
        ({"subscription": "unknown"}, NotTheLicenseesSubscription),
        ({"subscription": "another entity's"}, NotTheLicenseesSubscription),
        ({"subscription": "ended"}, NotTheLicenseesSubscription),
        ({"included_seats": 6}, IncludedBeyondSeats),
        ({"ends_on": START}, LicenseEndsTooEarly),
        ({"seats": -1}, Invalid),
        ({"seats": 2**31}, Invalid),
        ({"seats": True}, Invalid),
        ({"included_seats": -1}, Invalid),
        ({"tier": " "}, Invalid),
        ({"tier": "x" * 65}, Invalid),
        ({"features": [""]}, Invalid),
        ({"features": ["sso", "sso"]}, Invalid),
        ({"features": [str(n) for n in range(101)]}, Invalid),
    ],
    ids=str,
)
def test_refuses_what_is_no_licence_and_grants_nothing(overrides, error):
    entity, product = make_licensed()
    seller = product.entity
    values = {
        "entity_id": entity.pk,
        "product_id": product.pk,
        "tier": "team",
        "seats": 5,
        "starts_on": START,
    }
    cases = {
        "entity": {"unknown": uuid7, "suspended": lambda: make_entity(parent=seller, state="suspended").pk},
        "product": {
            "unknown": uuid7,
            "another seller's": lambda: make_product().pk,
            "no longer sold": lambda: make_product(entity=seller, is_active=False).pk,
        },
        "subscription": {
            "unknown": uuid7,
            "another entity's": lambda: make_subscriber(make_entity(parent=seller), seller).pk,
            "ended": lambda: make_subscriber(entity, seller, state="canceled", ended_on=TODAY).pk,
        },
    }
    for name, value in overrides.items():
        if name in cases:
            values[f"{name}_id"] = cases[name][value]()
        else:
            values[name] = value

    with pytest.raises(error):
        services.create_license(actor="test", **values)

    assert not License.objects.exists()
    assert not LicenseTerms.objects.exists()
    assert told("license.created") == 0


@pytest.mark.django_db
def test_the_nearest_selling_entity_above_is_the_seller():
    group = make_entity(is_seller=True)
    reseller = make_entity(parent=group, is_seller=True)
    customer = make_entity(parent=reseller)

    with pytest.raises(ProductNotLicensable):
        grant(customer, make_product(entity=group))

    assert grant(customer, make_product(entity=reseller)).pk


@pytest.mark.django_db
def test_a_change_of_terms_is_told_and_the_former_ones_stay():
    license = make_license(seats=5)

    changed = change(license, tier="enterprise", seats=20)

    assert (changed.tier, changed.seats, changed.included_seats) == ("enterprise", 20, 5)
    assert history(license) == [(1, "team", 5, START), (2, "enterprise", 20, TODAY)]
    assert OutboxEvent.objects.get(name="license.changed").payload["fields"] == ["seats", "tier"]
    assert AuditEntry.objects.get(action="license.changed").detail == {"fields": ["seats", "tier"]}
    assert_invariants_hold()


@pytest.mark.django_db
def test_metadata_is_no_term_and_what_stays_as_it_is_changes_nothing():
    license = make_license()

    change(license, metadata={"po": "4711"})
    same = change(license, tier="team", features=["reports"])

    assert (same.metadata, same.version, license.terms.count()) == ({"po": "4711"}, 2, 1)
    assert told("license.changed") == 1


@pytest.mark.django_db
def test_terms_never_start_before_those_they_follow():
    license = make_license(starts_on=date(2026, 6, 1))

    change(license, seats=11)

    assert history(license)[1] == (2, "team", 11, date(2026, 6, 1))
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"seats": 2, "included_seats": 0}, SeatsInUse),
        ({"included_seats": 11}, IncludedBeyondSeats),
        ({"seats": 9}, IncludedBeyondSeats),
        ({"ends_on": date(2026, 3, 9)}, LicenseEndsTooEarly),
        ({"ends_on": date(2025, 12, 31)}, LicenseEndsTooEarly),
        ({"subscription_id": "unknown"}, NotTheLicenseesSubscription),
        ({"tier": ""}, Invalid),
        ({"seats": None}, Invalid),
        ({"features": "sso"}, Invalid),
        ({"state": "revoked"}, Invalid),
        ({"starts_on": TODAY}, Invalid),
        ({"tier": "x", "version": 1}, PreconditionFailed),
    ],
    ids=str,
)
def test_refuses_such_a_change_and_changes_nothing(changes, error):
    license = make_license()
    for _ in range(3):
        make_seat(license)
    changes = changes | ({"subscription_id": uuid7()} if "subscription_id" in changes else {})
    before = License.objects.values().get()

    with pytest.raises(error) as refused:
        change(license, **changes)

    assert License.objects.values().get() == before
    assert license.terms.count() == 1
    if error is SeatsInUse:
        assert refused.value.extra == {"used": 3, "seats": 2}


@pytest.mark.django_db
def test_an_unknown_licence_is_not_found():
    unknown = License(pk=uuid7())

    for act in (change, revoke):
        with pytest.raises(NotFound):
            act(unknown)


@pytest.mark.django_db
@pytest.mark.parametrize("later", [date(2026, 12, 1), None])
def test_a_later_end_renews_what_has_expired(later):
    license = make_license(ends_on=date(2026, 3, 1))
    make_seat(license)
    assert expire() == 1

    assert change(license, tier="pro").state == "expired"
    assert change(license, ends_on=TODAY).state == "expired"
    renewed = change(license, ends_on=later)

    assert (renewed.state, renewed.used_seats) == ("active", 1)
    assert list(license.terms.order_by("number").values_list("ends_on", flat=True)) == [
        date(2026, 3, 1),
        date(2026, 3, 1),
        TODAY,
        later,
    ]
    assert_invariants_hold()


@pytest.mark.django_db
def test_revoking_releases_every_seat_and_is_for_good():
    license = make_license()
    seat = make_seat(license)
    ahead = make_seat(license, datetime(2026, 3, 10, 12, 0, 1, tzinfo=UTC))  # another server's clock
    released = make_seat(license, released_at=datetime(2026, 2, 1, tzinfo=UTC))

    revoked = revoke(license, version=license.version + 2)

    assert (revoked.state, revoked.used_seats) == ("revoked", 0)
    instants = dict(LicenseAssignment.objects.values_list("pk", "released_at"))
    assert instants == {
        seat.pk: NOW,
        ahead.pk: ahead.assigned_at,
        released.pk: released.released_at,
    }
    line = AuditEntry.objects.get(action="license.revoked")
    assert (line.reason, line.detail) == ("unpaid", {"seats_released": 2})
    assert told("license.revoked") == 1
    with pytest.raises(LicenseRevoked):
        change(license, ends_on=None, tier="again")
    with pytest.raises(IllegalMove):
        revoke(license)
    assert License.objects.get().tier == "team"
    assert told("license.revoked") == 1
    assert_invariants_hold()


@pytest.mark.django_db
def test_licences_expire_when_their_last_day_is_over_where_the_entity_is():
    seller = make_entity(is_seller=True)
    product = make_product(entity=seller)
    by_zone = {
        zone: make_license(
            entity=make_entity(parent=seller, time_zone=zone), product=product, ends_on=date(2026, 3, 11)
        )
        for zone in ("Asia/Tokyo", "UTC", "America/New_York")
    }
    make_license(entity=seller, product=product)  # without an end

    def expired_at(hour, day=10):
        expire(datetime(2026, 3, day, hour, tzinfo=UTC))
        return {zone for zone, made in by_zone.items() if License.objects.get(pk=made.pk).state == "expired"}

    assert expired_at(14) == set()
    assert expired_at(15) == {"Asia/Tokyo"}
    assert expired_at(0, day=11) == {"Asia/Tokyo", "UTC"}
    assert expired_at(4, day=11) == set(by_zone)
    assert expire(datetime(2026, 4, 1, tzinfo=UTC)) == 0
    assert AuditEntry.objects.filter(action="license.expired").count() == 3
    assert told("license.expired") == 3
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_sweep_goes_on_after_its_first_chunk(monkeypatch):
    monkeypatch.setattr("billing.subscriptions.services.licensing.SWEEP_CHUNK", 2)
    for _ in range(5):
        make_license(ends_on=TODAY)

    assert expire() == 5


@pytest.mark.django_db
def test_the_task_expires_what_is_due_now():
    due, later = make_license(ends_on=START.replace(day=2)), make_license(ends_on=date(2999, 1, 1))

    tasks.expire_licenses()

    assert License.objects.get(pk=due.pk).state == "expired"
    assert License.objects.get(pk=later.pk).state == "active"
    assert AuditEntry.objects.get(action="license.expired").actor == "task:subscriptions.expire_licenses"


@pytest.mark.django_db
def test_the_command_expire_licenses_says_first_and_does_then(capsys):
    license = make_license(ends_on=date(2026, 3, 11))

    call_command("expire_licenses", "--as-of", "2026-03-11", "--dry-run")
    assert License.objects.get().state == "active"
    call_command("expire_licenses", "--as-of", "2026-03-11T00:00:00+00:01")
    call_command("expire_licenses", "--as-of", "2026-03-11")
    with pytest.raises(CommandError, match="no instant and no day"):
        call_command("expire_licenses", "--as-of", "soon")

    assert License.objects.get().state == "expired"
    assert capsys.readouterr().out.splitlines() == [
        f"{license.entity.code} {license.product.code} ended on 2026-03-11",
        "due=1 as_of=2026-03-11T00:00:00+0000",
        "expired=0 as_of=2026-03-11T00:00:00+0001",
        "expired=1 as_of=2026-03-11T00:00:00+0000",
    ]


@pytest.mark.django_db(transaction=True)
def test_seats_cannot_be_taken_away_while_they_are_being_assigned():
    license = make_license(seats=1)

    with transaction.atomic():
        services.assign_seat(actor="test", license_id=license.pk, holder="ada", as_of=NOW)
        rival = start_rival(lambda: change(license, seats=0, included_seats=0))

    with pytest.raises(SeatsInUse):
        rival.result(timeout=5)
    license.refresh_from_db()
    assert (license.seats, license.used_seats, license.terms.count()) == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_the_second_follows_the_first():
    license = make_license()

    with transaction.atomic():
        change(license, tier="pro")
        rival = start_rival(lambda: change(license, seats=30))
    rival.result(timeout=5)

    assert history(license) == [(1, "team", 10, START), (2, "pro", 10, TODAY), (3, "pro", 30, TODAY)]
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_an_entity_being_suspended_is_granted_no_licence():
    entity, product = make_licensed()

    with transaction.atomic():
        type(entity).objects.locked().get(pk=entity.pk)
        rival = start_rival(lambda: grant(entity, product))
        type(entity).objects.filter(pk=entity.pk).update(state="suspended")

    with pytest.raises(EntityNotLicensable):
        rival.result(timeout=5)
    assert not License.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_sweep_does_not_wait_for_a_licence_somebody_is_changing():
    busy, due = make_license(ends_on=TODAY), make_license(ends_on=TODAY)

    with transaction.atomic():
        License.objects.locked().get(pk=busy.pk)
        expired = in_its_own_connection(expire)

    assert expired == 1
    assert License.objects.get(pk=due.pk).state == "expired"
    assert expire() == 1


def in_its_own_connection(action):
    def alone():
        try:
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(alone).result(timeout=5)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE licenses SET seats = 0, included_seats = 0", "license_seats_never_exceeded"),
        ("UPDATE licenses SET included_seats = 11", "license_included_within_seats"),
        ("UPDATE licenses SET ends_on = starts_on", "license_ends_after_start"),
        ("UPDATE licenses SET state = 'revoked'", "revoked_license_has_no_seats"),
        ("UPDATE licenses SET starts_on = '2020-01-01'", "is final"),
        ("UPDATE license_terms SET included_seats = 0", "append-only"),
        ("DELETE FROM license_terms", "append-only"),
        ("DELETE FROM licenses", "is final"),
    ],
)
def test_the_database_refuses(statement, refusal):
    make_seat(make_license())

    with (
        pytest.raises((IntegrityError, DatabaseError), match=refusal),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert License.objects.get().used_seats == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("tampering", "invariant"),
    [
        ("UPDATE licenses SET used_seats = used_seats + 1", "LC1"),
        ("UPDATE licenses SET tier = 'enterprise'", "LC3"),
        ("UPDATE licenses SET ends_on = '2030-01-01'", "LC3"),
    ],
)
def test_tampering_with_a_licence_is_found(tampering, invariant):
    make_seat(make_license())
    with connection.cursor() as cursor:
        cursor.execute(tampering)

    assert violated() == [invariant]


@pytest.mark.django_db
def test_terms_out_of_order_are_found():
    make_terms(make_license(), starts_on=date(2025, 1, 1))

    assert violated() == ["LC2"]


@pytest.mark.django_db
def test_a_licence_paid_for_by_somebody_else_is_found():
    entity, product = make_licensed()
    theirs = make_subscriber(make_entity(parent=product.entity), product.entity)
    make_license(entity=entity, product=product, subscription=theirs)

    assert violated() == ["LC4"]


def violated() -> list[str]:
    return [f.invariant.split()[0] for f in find_violations("subscriptions") if f.violations]


@pytest.mark.django_db
def test_a_licence_whose_subscription_ended_is_renewed_by_another_that_pays():
    entity, product = make_licensed()
    ended = make_subscriber(
        entity, product.entity, state="canceled", ended_on=date(2026, 3, 1), next_on=date(2026, 3, 1)
    )
    license = make_license(entity=entity, product=product, subscription=ended, state="expired")
    paying = make_subscriber(entity, product.entity)
    on = date(2026, 3, 10)

    still = services.change_license(actor="t", license_id=license.pk, changes={"tier": "x"}, on=on)
    assert still.state == "expired"
    again = services.change_license(
        actor="t", license_id=license.pk, changes={"subscription_id": paying.pk}, on=on
    )

    assert again.state == "active"
