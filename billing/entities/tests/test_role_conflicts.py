"""Conflicting roles: refused by the service and by the database, but for dated exceptions, and reported."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from billing.access.models import UserKind
from billing.entities import services
from billing.entities.errors import InvalidRoleException, RoleExceptionInUse, RolesConflict
from billing.entities.models import RoleException, RoleGrant
from billing.entities.tests.makers import (
    make_department,
    make_entity,
    make_exception,
    make_grant,
    make_grant_beside,
    make_user,
)
from billing.kernel.errors import FourEyesRequired
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival

pytestmark = pytest.mark.django_db
LISTED = [
    *[("SY", role) for role in ("VW", "BO", "CM", "BU", "AP", "FC", "IA", "SA")],
    *[("AU", role) for role in ("BO", "CM", "BU", "AP", "FC", "IA", "SA", "SY")],
    *[("AP", role) for role in ("BO", "CM", "BU", "IA")],
    *[("FC", role) for role in ("BO", "CM", "IA")],
    *[("SA", role) for role in ("AP", "FC")],
]
every_pair = pytest.mark.parametrize(("one", "other"), LISTED)


def today():
    return timezone.now().date()


def days(number):
    return today() + timedelta(days=number)


class Person:
    """With a service account of his own, which is he."""

    def __init__(self):
        self.user = make_user()
        self.account = make_user(kind=UserKind.SERVICE, owner=self.user)

    def holder(self, role):
        return self.account if role == "SA" else self.user

    def by_service(self, role, entity, **terms):
        if role == "BU" and "department_id" not in terms:
            terms["department_id"] = entity.departments.get(is_default=True).pk
        return services.grant_role(
            actor="command:test",
            user_id=self.holder(role).pk,
            role=role,
            entity_id=entity.pk,
            **({"starts_on": today()} | terms),
        )

    def by_database(self, role, entity, **terms):
        return make_grant(user=self.holder(role), role=role, entity=entity, **terms)

    def refused(self, role, entity):
        """By both, and nothing is left of it."""
        before = RoleGrant.objects.count()
        with pytest.raises(RolesConflict):
            self.by_service(role, entity)
        with pytest.raises(IntegrityError, match="conflicting roles"), transaction.atomic():
            self.by_database(role, entity)
        assert RoleGrant.objects.count() == before


@every_pair
def test_neither_of_a_listed_pair_is_granted_beside_the_other(one, other):
    """Where the other is held, above it and below it; elsewhere it may be."""
    root = make_entity()
    above, beside = make_entity(parent=root), make_entity(parent=root)
    place = make_entity(parent=above)
    for first, second in ((one, other), (other, one)):
        person = Person()
        person.by_service(first, place)

        for where in (place, make_entity(parent=place)):
            person.refused(second, where)
        if second != "BU":  # who owns the default department of the entity above, owns nothing below
            person.refused(second, above)
        person.by_service(second, beside)

    assert_invariants_hold()


@every_pair
def test_one_after_the_other_is_no_conflict(one, other):
    entity, person = make_entity(), Person()
    person.by_service(one, entity, ends_on=days(10))

    person.refused(other, entity)
    person.by_service(other, entity, starts_on=days(10))

    assert RoleGrant.objects.count() == 2
    assert_invariants_hold()


def test_what_is_over_or_revoked_conflicts_with_nothing():
    entity, person = make_entity(), Person()
    person.by_database("BO", entity, ends_on=today())
    person.by_database("CM", entity, revoked_at=timezone.now())

    person.by_service("FC", entity)

    assert RoleGrant.objects.count() == 3


def test_a_grant_to_the_minute_is_of_its_whole_last_day():
    entity, person = make_entity(), Person()
    person.by_service("BO", entity, ends_at=timezone.now() + timedelta(minutes=1))
    last = (timezone.now() + timedelta(minutes=1)).date()

    person.refused("FC", entity)
    person.by_service("FC", entity, starts_on=last + timedelta(days=1))

    assert_invariants_hold()


def test_departments_side_by_side_do_not_overlap():
    entity, person = make_entity(), Person()
    own, other = make_department(entity=entity), make_department(entity=entity)
    below = make_department(entity=entity, parent=own)
    person.by_service("BU", entity, department_id=own.pk)

    for department in (own, below):
        with pytest.raises(RolesConflict):
            person.by_service("AP", entity, department_id=department.pk)
        with pytest.raises(IntegrityError, match="conflicting roles"), transaction.atomic():
            person.by_database("AP", entity, department=department)
    person.refused("AP", entity)
    person.by_service("AP", entity, department_id=other.pk)

    assert RoleGrant.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_the_database_lets_no_two_conflicting_grants_pass_one_another():
    entity, person = make_entity(), make_user()

    with transaction.atomic():
        make_grant(user=person, role="BO", entity=entity)
        rival = start_rival(lambda: make_grant(user=person, role="FC", entity=entity))

    with pytest.raises(IntegrityError, match="conflicting roles"):
        rival.result(timeout=5)
    assert RoleGrant.objects.get().role == "BO"


def allow(person, by, entity, **overrides):
    terms = {
        "person_id": person.user.pk,
        "role": "FC",
        "other_role": "BO",
        "entity_id": entity.pk,
        "starts_on": today(),
        "ends_on": days(30),
        "reason": "Parental leave",
    } | overrides
    return services.approve_exception(actor=f"user:{by.pk}", **terms)


def test_with_an_exception_both_roles_are_held_until_it_ends():
    root = make_entity()
    place = make_entity(parent=root)
    person, controller = Person(), make_grant(role="FC", entity=root).user
    person.by_service("BO", place)
    exception = allow(person, controller, place)

    person.refused("FC", place)  # without an end
    with pytest.raises(RolesConflict):
        person.by_service("FC", place, ends_on=days(31))
    with pytest.raises(IntegrityError, match="conflicting roles"), transaction.atomic():
        person.by_database("FC", place, ends_on=days(31))
    with pytest.raises(RolesConflict):
        person.by_service("IA", place, ends_on=days(30)) and person.by_service("FC", place, ends_on=days(30))
    person.user.grants.filter(role="IA").update(revoked_at=timezone.now())
    person.by_service("FC", place, ends_on=days(30))

    assert (exception.role, exception.other_role, exception.approved_by) == ("BO", "FC", controller)
    assert AuditEntry.objects.filter(action="role_exception.approved").count() == 1
    assert_invariants_hold()


def test_an_exception_is_of_its_place_and_of_what_is_below():
    root = make_entity()
    place, beside = make_entity(parent=root), make_entity(parent=root)
    person, controller = Person(), make_grant(role="FC", entity=root).user
    person.by_service("BO", root)
    allow(person, controller, place)

    for where in (root, beside):
        with pytest.raises(RolesConflict):
            person.by_service("FC", where, ends_on=days(30))
    person.by_service("FC", make_entity(parent=place), ends_on=days(30))

    assert_invariants_hold()


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"other_role": "AP"}, InvalidRoleException),
        ({"ends_on": timezone.now().date()}, InvalidRoleException),
        ({"ends_on": timezone.now().date() + timedelta(days=367)}, InvalidRoleException),
        ({"reason": " "}, InvalidRoleException),
    ],
)
def test_an_exception_that_makes_no_sense_is_refused(terms, error):
    entity = make_entity()

    with pytest.raises(error):
        allow(Person(), make_grant(role="FC", entity=entity).user, entity, **terms)

    assert not RoleException.objects.exists()


def test_only_a_controller_who_is_somebody_else_allows_an_exception():
    entity, person = make_entity(), Person()
    person.by_service("FC", entity)
    operator, elsewhere = (
        make_grant(role=role, entity=place).user for role, place in (("BO", entity), ("FC", make_entity()))
    )

    for by in (person.user, person.account, operator, elsewhere):
        with pytest.raises(FourEyesRequired):
            allow(person, by, entity)
    with pytest.raises(IntegrityError, match="approved_by_another"), transaction.atomic():
        make_exception(person.user, "FC", "BO", entity=entity, approved_by=person.user)

    assert not RoleException.objects.exists()


def test_an_exception_in_use_stays_until_one_of_the_roles_is_gone():
    entity, person = make_entity(), Person()
    controller = make_grant(role="FC", entity=entity).user
    exception = allow(person, controller, entity)
    granted = person.by_service("BO", entity)
    person.by_service("FC", entity, ends_on=days(30))

    with pytest.raises(RoleExceptionInUse):
        services.revoke_exception(actor=f"user:{controller.pk}", exception_id=exception.pk, reason="x")
    with pytest.raises(IntegrityError, match="conflicting roles"), transaction.atomic():
        RoleException.objects.update(revoked_at=timezone.now())
    services.revoke_grant(actor=f"user:{controller.pk}", grant_id=granted.pk, reason="Back")
    for _ in range(2):
        services.revoke_exception(actor=f"user:{controller.pk}", exception_id=exception.pk, reason="Back")

    assert RoleException.objects.get().revoked_at is not None
    assert AuditEntry.objects.filter(action="role_exception.revoked").count() == 1
    with pytest.raises(RolesConflict):
        person.by_service("BO", entity)


def test_an_exception_is_never_rewritten():
    exception = make_exception(make_user(), "BO", "FC", entity=make_entity())

    with pytest.raises(IntegrityError, match="final"), transaction.atomic():
        RoleException.objects.update(ends_on=days(300))
    with pytest.raises(IntegrityError, match="final"), transaction.atomic():
        exception.delete()

    assert RoleException.objects.get().ends_on == exception.ends_on


def test_the_report_names_exceptions_and_what_nobody_allowed():
    root = make_entity()
    place = make_entity(parent=root)
    excepted, older, fine = Person(), Person(), Person()
    controller = make_grant(role="FC", entity=root).user
    exception = allow(excepted, controller, place)
    excepted.by_service("BO", place)
    excepted.by_service("FC", place, ends_on=days(30))
    make_grant_beside(older.by_service("AP", root), "CM", entity=place)
    fine.by_service("BO", place)

    rows = {row["email"]: row for row in json.loads(report("json"))}
    assert list(csv.DictReader(io.StringIO(report("csv")))) == json.loads(report("json"))
    assert set(rows) == {excepted.user.email, older.user.email}
    told = rows[excepted.user.email]
    assert (told["exception"], told["allowed_by"], told["reason"]) == (
        str(exception.pk),
        controller.name,
        "Parental leave",
    )
    assert (told["starts_on"], told["ends_on"], told["place"]) == (str(today()), str(days(30)), place.code)
    told = rows[older.user.email]
    assert (told["exception"], told["allowed_by"], told["ends_on"]) == ("", "", "")
    assert {told["role"], told["other_role"]} == {"AP", "CM"}
    assert {told["place"], told["other_place"]} == {root.code, place.code}
    assert {row["email"] for row in json.loads(report("json", as_of=str(days(30))))} == {older.user.email}


def report(kind, **options):
    out = io.StringIO()
    call_command("report_role_conflicts", format=kind, stdout=out, **options)
    return out.getvalue()


def test_the_auditor_reads_it_in_the_console_and_a_controller_allows(client):
    root, elsewhere, person = make_entity(), make_entity(), Person()
    person.by_service("BO", root)
    controller, auditor, foreigner = (
        make_grant(role=role, entity=place).user
        for role, place in (("FC", root), ("AU", root), ("AU", elsewhere))
    )
    given = {
        "email": person.user.email,
        "role": "FC",
        "other_role": "BO",
        "entity": root.pk,
        "starts_on": today(),
        "ends_on": days(30),
        "reason": "Parental leave",
    }
    pages = "admin:entities_roleexception"

    sign_in(client, auditor)
    assert client.post(reverse(f"{pages}_add"), given).status_code == 403
    sign_in(client, controller)
    assert client.post(reverse(f"{pages}_add"), given).status_code == 302
    assert RoleException.objects.get().approved_by == controller
    person.by_service("FC", root, ends_on=days(30))

    sign_in(client, auditor)
    shown = client.get(reverse(f"{pages}_changelist")).content.decode()
    assert person.user.email in shown
    assert "Parental leave" in shown
    sign_in(client, foreigner)
    assert person.user.email not in client.get(reverse(f"{pages}_changelist")).content.decode()


def sign_in(client, user):
    client.force_login(user, backend="billing.entities.backends.GrantBackend")


def test_an_exception_of_another_pair_or_person_covers_nothing():
    entity, person, other = make_entity(), Person(), Person()
    controller = make_grant(role="FC", entity=entity).user
    allow(person, controller, entity, other_role="CM")
    allow(other, controller, entity)
    person.by_service("BO", entity)

    with pytest.raises(RolesConflict):
        person.by_service("FC", entity, ends_on=days(30))
    with pytest.raises(IntegrityError, match="conflicting roles"), transaction.atomic():
        person.by_database("FC", entity, ends_on=days(30))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM role_grants WHERE user_id = %s", [person.user.pk])
        assert cursor.fetchone() == (1,)
