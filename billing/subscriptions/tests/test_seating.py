from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing.kernel.errors import Invalid, NotFound
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.subscriptions import services
from billing.subscriptions.errors import LicenseNotValid, NoSeatLeft, SeatNotHeld
from billing.subscriptions.models import License, LicenseAssignment
from billing.subscriptions.tests.license_makers import make_license, make_licensed, make_seat

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def assign(license, holder="ada@example.com", as_of=NOW):
    return services.assign_seat(actor="test", license_id=license.pk, holder=holder, as_of=as_of)


def release(license, holder="ada@example.com", as_of=LATER):
    return services.release_seat(actor="test", license_id=license.pk, holder=holder, as_of=as_of)


def used(license) -> tuple[int, int]:
    """(what the licence says, what is so)"""
    live = LicenseAssignment.objects.filter(license=license, released_at__isnull=True)
    return License.objects.get(pk=license.pk).used_seats, live.count()


@pytest.mark.django_db
def test_a_seat_is_taken_and_given_back():
    license = make_license(seats=1)

    seat = assign(license)
    assert used(license) == (1, 1)
    given_back = release(license)

    assert (seat.assigned_at, seat.assigned_by) == (NOW, "test")
    assert (given_back.pk, given_back.released_at, given_back.released_by) == (seat.pk, LATER, "test")
    assert used(license) == (0, 0)
    acts = AuditEntry.objects.filter(kind="verb").values_list("action", flat=True)
    assert sorted(acts) == ["license.seat_assigned", "license.seat_released"]
    assert assign(license, "bob@example.com", LATER).pk != seat.pk
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize("again", ["ada@example.com", "ADA@Example.com"])
def test_the_same_holder_gets_the_seat_they_have_also_when_none_is_left(again):
    license = make_license(seats=1)
    seat = assign(license)

    assert assign(license, again, LATER) == seat

    assert used(license) == (1, 1)
    assert AuditEntry.objects.filter(action="license.seat_assigned").count() == 1


@pytest.mark.django_db
def test_the_one_too_many_is_refused_with_the_figures():
    license = make_license(seats=2)
    assign(license, "a")
    assign(license, "b")

    with pytest.raises(NoSeatLeft) as refused:
        assign(license, "c")

    assert refused.value.extra == {"seats": 2, "used": 2}
    assert used(license) == (2, 2)
    assert not AuditEntry.objects.filter(detail__holder="c").exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"starts_on": date(2026, 3, 11)}, "not-started"),
        ({"ends_on": date(2026, 3, 10)}, "expired"),
        ({"ends_on": date(2026, 4, 1), "state": "expired"}, "expired"),
        ({"state": "revoked"}, "revoked"),
        ({"entity_state": "suspended"}, "entity-not-active"),
    ],
    ids=str,
)
def test_no_seat_of_a_licence_that_is_not_valid_not_even_one_held_before(overrides, reason):
    overrides = dict(overrides)
    customer, product = make_licensed(state=overrides.pop("entity_state", "active"))
    license = make_license(entity=customer, product=product, **overrides)
    if reason != "revoked":
        make_seat(license, holder="ada@example.com")
    before = used(license)

    for holder in ("ada@example.com", "bob@example.com"):
        with pytest.raises(LicenseNotValid) as refused:
            assign(license, holder)
        assert refused.value.extra == {"reason": reason}

    assert used(license) == before


@pytest.mark.django_db
def test_the_first_and_the_last_day_are_the_entitys_own():
    customer, product = make_licensed(time_zone="Asia/Tokyo")  # nine hours ahead
    license = make_license(
        entity=customer, product=product, starts_on=date(2026, 3, 10), ends_on=date(2026, 3, 11)
    )

    for outside in (datetime(2026, 3, 9, 14, 59, tzinfo=UTC), datetime(2026, 3, 10, 15, tzinfo=UTC)):
        with pytest.raises(LicenseNotValid):
            assign(license, as_of=outside)
    assign(license, "first", datetime(2026, 3, 9, 15, tzinfo=UTC))
    assign(license, "last", datetime(2026, 3, 10, 14, 59, tzinfo=UTC))

    assert used(license) == (2, 2)


@pytest.mark.django_db
def test_a_seat_can_be_given_back_after_the_licence_has_expired():
    license = make_license(ends_on=date(2026, 3, 1), state="expired")
    make_seat(license, holder="ada@example.com")

    release(license)

    assert used(license) == (0, 0)


@pytest.mark.django_db
def test_a_clock_that_is_behind_gives_no_seat_back_before_it_was_taken():
    license = make_license()
    assign(license)

    assert release(license, as_of=NOW - timedelta(seconds=1)).released_at == NOW


@pytest.mark.django_db
@pytest.mark.parametrize("act", [assign, release])
@pytest.mark.parametrize(
    ("holder", "error"), [("", Invalid), ("  ", Invalid), ("x" * 201, Invalid), ("ada", NotFound)]
)
def test_refuses_who_is_nobody_and_licences_that_are_none(act, holder, error):
    license = make_license()
    if error is NotFound:
        license.pk = uuid7()

    with pytest.raises(error):
        act(license, holder)

    assert not LicenseAssignment.objects.exists()


@pytest.mark.django_db
def test_who_has_no_seat_gives_none_back():
    license = make_license()
    assign(license)
    release(license)

    for holder in ("ada@example.com", "bob@example.com"):
        with pytest.raises(SeatNotHeld):
            release(license, holder)

    assert LicenseAssignment.objects.get().released_at == LATER


@pytest.mark.django_db(transaction=True)
def test_of_two_who_want_the_last_seat_the_second_is_told():
    license = make_license(seats=1)

    with transaction.atomic():
        assign(license, "ada")
        rival = start_rival(lambda: assign(license, "bob"))

    with pytest.raises(NoSeatLeft):
        rival.result(timeout=5)
    assert used(license) == (1, 1)
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_the_same_holder_twice_at_once_has_one_seat():
    license = make_license()

    with transaction.atomic():
        seat = assign(license, "ada")
        rival = start_rival(lambda: assign(license, "Ada"))

    assert rival.result(timeout=5) == seat
    assert used(license) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_licence_being_revoked_gives_no_seat():
    license = make_license()

    with transaction.atomic():
        services.revoke_license(actor="test", license_id=license.pk, reason="unpaid", as_of=NOW)
        rival = start_rival(lambda: assign(license))

    with pytest.raises(LicenseNotValid):
        rival.result(timeout=5)
    assert used(license) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_of_32_who_ask_at_once_exactly_as_many_get_a_seat_as_there_are():
    license = make_license(seats=20)

    def ask(number):
        try:
            assign(license, f"user-{number}")
        except NoSeatLeft as refusal:
            return refusal.extra
        finally:
            connection.close()

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))

    assert answers.count(None) == 20
    assert answers.count({"seats": 20, "used": 20}) == 12
    assert used(license) == (20, 20)
    assert_invariants_hold()


INSERT = """
    INSERT INTO license_assignments (id, license_id, holder, assigned_at, assigned_by, released_by)
    VALUES (gen_random_uuid(), %s, %s, now(), 'sql', '')
"""


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("_case", "overrides", "holder", "refusal"),
    [
        ("one too many", {"seats": 1}, "bob", "license_seats_never_exceeded"),
        ("a second one for the same holder", {"seats": 2}, "ADA", "one_seat_per_holder"),
    ],
)
def test_the_database_refuses_a_seat_whoever_inserts_it(_case, overrides, holder, refusal):
    license = make_license(**overrides)
    assign(license, "ada")

    with (
        pytest.raises(IntegrityError, match=refusal),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(INSERT, [license.pk, holder])

    assert used(license) == (1, 1)


@pytest.mark.django_db
def test_the_database_gives_no_seat_of_a_revoked_licence():
    license = make_license(state="revoked")

    with (
        pytest.raises(IntegrityError, match="revoked_license_has_no_seats"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(INSERT, [license.pk, "ada"])

    assert used(license) == (0, 0)


@pytest.mark.django_db
def test_a_seat_taken_and_given_back_by_sql_is_counted_too():
    license = make_license()
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [license.pk, "ada"])
        assert used(license) == (1, 1)
        cursor.execute("UPDATE license_assignments SET released_at = now()")

    assert used(license) == (0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE license_assignments SET released_at = NULL",
        "UPDATE license_assignments SET holder = 'bob'",
        "DELETE FROM license_assignments",
    ],
)
def test_a_seat_that_was_given_back_stays_as_it_is(statement):
    license = make_license()
    assign(license)
    release(license)

    with (
        pytest.raises(DatabaseError, match="is final"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert LicenseAssignment.objects.get().released_at == LATER
