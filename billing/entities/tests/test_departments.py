"""Departments: nested inside one entity, with one default that stays."""

from datetime import date

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities import services
from billing.entities.errors import (
    CodeTaken,
    DefaultDepartmentRequired,
    DepartmentOfOtherEntity,
    EntityClosed,
    HierarchyLoop,
    UserInactive,
)
from billing.entities.invariants import CHECKS
from billing.entities.models import Department
from billing.entities.tests.makers import (
    make_department,
    make_entity,
    make_exception,
    make_grant,
    make_grant_beside,
    make_user,
)
from billing.kernel.errors import Invalid, NotFound, PreconditionFailed
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival

TODAY = date(2026, 3, 1)
ACTOR = "command:test"


def create(entity, **overrides):
    values = {"code": "RND", "name": "Research", "starts_on": TODAY} | overrides
    return services.create_department(actor=ACTOR, entity_id=entity.pk, **values)


def change(department, version=None, **changes):
    return services.update_department(
        actor=ACTOR, department_id=department.pk, changes=changes, version=version
    )


@pytest.mark.django_db
def test_departments_nest_and_are_recorded():
    entity = make_entity()
    above = create(entity)

    below = create(entity, code="LAB", parent_id=above.pk, headcount=4, default_gl_code="6100")

    assert below.path == f"{above.path}{below.pk.hex}/"
    assert list(AuditEntry.objects.filter(kind="verb").values_list("action", flat=True)) == [
        "department.created",
        "department.created",
    ]
    assert_invariants_hold()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "build"),
    [
        (CodeTaken, lambda entity: {"code": "general"}),
        (Invalid, lambda entity: {"code": "a b"}),
        (Invalid, lambda entity: {"headcount": -1}),
        (Invalid, lambda entity: {"ends_on": TODAY}),
        (Invalid, lambda entity: {"is_default": True}),
        (NotFound, lambda entity: {"parent_id": uuid7()}),
        (DepartmentOfOtherEntity, lambda entity: {"parent_id": make_department().pk}),
        (UserInactive, lambda entity: {"manager_id": make_user(is_active=False).pk}),
    ],
)
def test_a_department_that_is_refused_is_not_made(error, build):
    entity = make_entity()

    with pytest.raises(error):
        create(entity, **build(entity))

    assert entity.departments.count() == 1
    assert not AuditEntry.objects.filter(kind="verb").exists()


@pytest.mark.django_db
def test_a_closed_entity_gets_no_department():
    entity = make_entity(state="closed")

    with pytest.raises(EntityClosed):
        create(entity)

    assert entity.departments.count() == 1


@pytest.mark.django_db
def test_an_update_moves_a_department_with_all_below_it():
    entity = make_entity()
    one, other = make_department(entity=entity), make_department(entity=entity)
    below = make_department(entity=entity, parent=one)

    moved = change(one, parent_id=other.pk, name="Moved")

    below.refresh_from_db()
    assert (moved.name, below.path) == ("Moved", f"{moved.path}{below.pk.hex}/")
    assert AuditEntry.objects.get(kind="verb").detail == {"fields": ["name", "parent_id"]}
    with pytest.raises(HierarchyLoop):
        change(other, parent_id=below.pk)
    assert_invariants_hold()


@pytest.mark.django_db
def test_the_default_department_does_not_end():
    default = make_entity().departments.get()

    with pytest.raises(DefaultDepartmentRequired):
        change(default, ends_on=TODAY)

    default.refresh_from_db()
    assert default.ends_on is None


@pytest.mark.django_db
def test_a_stale_version_changes_nothing():
    department = make_department()

    with pytest.raises(PreconditionFailed):
        change(department, version=99, name="x")

    assert Department.objects.get(pk=department.pk).name == department.name


@pytest.mark.django_db
def test_the_database_itself_keeps_departments_in_their_entity():
    department, foreign = make_department(), make_department()

    with pytest.raises(IntegrityError, match="same_entity"), transaction.atomic():
        Department.objects.filter(pk=department.pk).update(parent=foreign)

    assert Department.objects.get(pk=department.pk).parent_id is None


@pytest.mark.django_db(transaction=True)
def test_of_two_departments_moved_below_each_other_the_second_is_refused():
    entity = make_entity()
    one, other = make_department(entity=entity), make_department(entity=entity)

    with transaction.atomic():
        change(one, parent_id=other.pk)
        rival = start_rival(lambda: change(other, parent_id=one.pk))

    with pytest.raises(HierarchyLoop):
        rival.result(timeout=5)
    assert_invariants_hold()


def conflicting_roles():
    make_grant_beside(make_grant(role="FC", entity=make_entity()), "BO")


def allowed_by_his_own_account():
    person, entity = make_user(), make_entity()
    make_exception(person, "BO", "FC", entity=entity, approved_by=make_user(owner=person))


def granted_by_his_own_account():
    person = make_user()
    account = make_user(owner=person)
    make_grant(user=person, role="VW", entity=make_entity(), granted_by=account, confirmed_by=make_user())


def a_person_with_the_role_of_a_program():
    make_grant(user=make_user(), role="SA", entity=make_entity())


def an_entity_without_a_relation():
    make_entity(parent=make_entity()).relations.all().delete()


def an_entity_shown_elsewhere():
    make_entity(parent=make_entity()).relations.update(parent=make_entity())


def overlapping_relations():
    entity = make_entity(parent=make_entity())
    entity.relations.create(parent=entity.parent, starts_on=date(2021, 1, 1), ends_on=date(2021, 2, 1))


def something_open_below_something_closed():
    make_entity(parent=make_entity(state="closed"))


def no_default_department():
    make_entity().departments.update(is_default=False)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("invariant", "break_it"),
    [
        ("E1", no_default_department),
        ("E2", an_entity_without_a_relation),
        ("E3", an_entity_shown_elsewhere),
        ("E4", overlapping_relations),
        ("E5", something_open_below_something_closed),
        ("G1", granted_by_his_own_account),
        ("G2", conflicting_roles),
        ("G3", a_person_with_the_role_of_a_program),
        ("G4", allowed_by_his_own_account),
    ],
)
def test_the_books_tell_which_invariant_is_broken(invariant, break_it):
    break_it()

    broken = set()
    with connection.cursor() as cursor:
        for name, query in CHECKS.items():
            cursor.execute(query)
            if cursor.fetchall():
                broken.add(name.split()[0])
    assert broken == {invariant}
