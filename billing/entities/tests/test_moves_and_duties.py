"""A move brings no two roles of a person together that conflict: neither by the service nor by SQL, now or on its day."""

import logging
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.access.models import UserKind
from billing.entities import services
from billing.entities.errors import HierarchyChanged, RoleExceptionInUse, RolesConflict
from billing.entities.models import BillingEntity, EntityRelation, RoleException, RoleGrant
from billing.entities.role_conflicts import role_conflicts
from billing.entities.tasks import apply_due_moves
from billing.entities.tests.makers import (
    make_department,
    make_entity,
    make_exception,
    make_grant,
    make_user,
)
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival

API = "/api/v1/enterprise-billing/"
pytestmark = pytest.mark.django_db


def days(number):
    return timezone.now().date() + timedelta(days=number)


def move(entity, parent, *, on=0):
    return services.move_entity(
        actor="command:test",
        entity_id=entity.pk,
        parent_id=parent.pk,
        effective_on=days(on),
        as_of=days(0),
        reason="Bought",
    )


def move_by_sql(entity, parent):
    BillingEntity.objects.filter(pk=entity.pk).update(parent=parent)


def places():
    return sorted(BillingEntity.objects.values_list("pk", "parent", "path"))


def written():
    return (
        places(),
        sorted(EntityRelation.objects.values_list("pk", "parent", "ends_on")),
        AuditEntry.objects.filter(kind="verb").count(),
        OutboxEvent.objects.count(),
    )


def refused(entity, parent, *, on=0):
    """By the service; and what would be so at once, by the database too. Nothing changes."""
    before = written()
    with pytest.raises(RolesConflict) as refusal:
        move(entity, parent, on=on)
    if on == 0:
        with pytest.raises(IntegrityError, match="conflicting roles"), transaction.atomic():
            move_by_sql(entity, parent)
    assert written() == before
    return refusal.value


@pytest.fixture
def group():
    """Two branches, and an entity in each."""
    root = make_entity()
    left, right = make_entity(parent=root), make_entity(parent=root)
    return left, make_entity(parent=left), right, make_entity(parent=right)


def held(person, *, above, below, roles=("FC", "BO"), **terms):
    make_grant(user=person, role=roles[0], entity=above)
    return make_grant(user=person, role=roles[1], entity=below, **terms)


def test_a_move_that_brings_conflicting_roles_together_is_refused_and_says_whose(group):
    left, _, right, leaf = group
    person = make_user(name="Ada")
    held(person, above=left, below=leaf)

    for entity, parent in ((right, left), (leaf, left)):
        refusal = refused(entity, parent)

        assert refusal.detail == "Ada would hold the roles Billing operator and Finance controller together."
        assert refusal.extra["conflicts"] == [
            {"person": str(person.pk), "name": "Ada", "roles": ["BO", "FC"]}
        ]


def test_the_roles_may_stand_either_way_round(group):
    left, _, right, leaf = group
    held(make_user(), above=left, below=leaf, roles=("BO", "FC"))

    refused(right, left)


def test_an_account_of_his_own_is_the_person(group):
    left, _, right, leaf = group
    person = make_user(name="Ada")
    make_grant(user=person, role="FC", entity=left)
    make_grant(user=make_user(kind=UserKind.SERVICE, owner=person), role="SA", entity=leaf)

    assert refused(right, left).extra["conflicts"][0]["person"] == str(person.pk)


@pytest.mark.parametrize("terms", [{"confirmed_at": None}, {"starts_on": days(30)}])
def test_what_is_proposed_or_begins_later_counts(terms, group):
    left, _, right, leaf = group
    held(make_user(), above=left, below=leaf, **terms)

    refused(right, left)


@pytest.mark.parametrize("terms", [{"revoked_at": timezone.now()}, {"ends_on": days(0)}])
def test_what_is_over_or_revoked_does_not(terms, group):
    left, _, right, leaf = group
    held(make_user(), above=left, below=leaf, **terms)

    move(right, left)

    assert BillingEntity.objects.get(pk=right.pk).parent == left
    assert_invariants_hold()


def test_roles_that_stay_apart_or_do_not_conflict_move(group):
    left, beside, right, leaf = group
    person, other = make_user(), make_user()
    held(person, above=beside, below=leaf)
    held(other, above=left, below=leaf, roles=("AP", "VW"))

    move(right, left)
    assert_invariants_hold()
    move_by_sql(leaf, left)

    assert BillingEntity.objects.get(pk=leaf.pk).path == f"{left.path}{leaf.pk.hex}/"


def test_several_are_told_in_order_and_only_once(group):
    left, _, right, leaf = group
    for name in ("Zoe", "Ada"):
        person = make_user(name=name)
        held(person, above=left, below=leaf)
        make_grant(user=person, role="BO", entity=right)

    refusal = refused(right, left)

    assert refusal.detail.startswith("Ada would hold")
    assert refusal.detail.endswith("They are not the only ones.")
    assert [conflict["name"] for conflict in refusal.extra["conflicts"]] == ["Ada", "Zoe"]


def test_an_exception_there_lets_the_roles_move_together(group):
    left, _, right, leaf = group
    person = make_user()
    held(person, above=left, below=leaf, ends_on=days(30))
    covered = make_exception(person, "BO", "FC", entity=leaf)

    move(right, left)

    assert_invariants_hold()
    with pytest.raises(IntegrityError, match="conflicting roles"), transaction.atomic():
        RoleException.objects.update(revoked_at=timezone.now())
    covered.refresh_from_db()
    assert covered.revoked_at is None


def test_an_exception_that_ends_earlier_or_is_of_others_does_not(group):
    left, _, right, leaf = group
    person = make_user()
    held(person, above=left, below=leaf, ends_on=days(31))
    make_exception(person, "BO", "FC", entity=leaf)
    make_exception(make_user(), "BO", "FC", entity=leaf, ends_on=days(60))

    refused(right, left)


def test_a_move_away_from_its_exception_is_refused(group):
    left, beside, right, _ = group
    person = make_user()
    make_exception(person, "BO", "FC", entity=left)
    held(person, above=beside, below=beside, ends_on=days(30))

    refused(beside, right)
    with pytest.raises(IntegrityError, match="conflicting roles"), transaction.atomic():
        move_by_sql(beside, None)

    assert BillingEntity.objects.get(pk=beside.pk).parent == left


def test_an_exception_above_the_new_place_covers_what_comes_below_it(group):
    left, _, right, leaf = group
    person = make_user()
    make_exception(person, "BO", "FC", entity=left)
    held(person, above=left, below=leaf, ends_on=days(30))

    move(right, left)

    assert_invariants_hold()


def test_departments_beside_one_another_may_come_together(group):
    """Of two entities: narrowed roles overlap only if their departments do, which stay in their entity."""
    left, _, right, leaf = group
    person, part = make_user(), make_department(entity=leaf)
    make_grant(user=person, role="AP", entity=left, department=make_department(entity=left))
    make_grant(user=person, role="BU", entity=leaf, department=part)

    move(right, left)

    assert_invariants_hold()


def test_a_planned_move_is_judged_by_its_day_when_it_is_planned(group):
    left, _, right, leaf = group
    held(make_user(), above=left, below=leaf, ends_on=days(10))

    refused(right, left, on=9)
    move(right, left, on=10)

    assert EntityRelation.objects.get(entity=right, ends_on=None).starts_on == days(10)


@pytest.fixture
def stopped(group, freeze):
    """A planned move that somebody's new role stands against on its day, and another that nothing does."""
    freeze("2026-03-01T12:00:00Z")
    left, beside, right, leaf = group
    person = make_user(name="Ada")
    make_grant(user=person, role="FC", entity=left, starts_on=days(0))
    move(right, left, on=1)
    move(beside, make_entity(), on=1)
    make_grant(user=person, role="BO", entity=leaf, starts_on=days(0))
    freeze("2026-03-02T12:00:00Z")
    return left, beside, right


def test_on_its_day_it_fails_alone_and_is_reported(stopped):
    left, beside, right = stopped

    outcomes = {
        outcome.code: outcome.error
        for outcome in services.apply_due_moves(actor="command:test", as_of=days(0))
    }

    assert outcomes == {
        right.code: "Ada would hold the roles Billing operator and Finance controller together.",
        beside.code: "",
    }
    assert BillingEntity.objects.get(pk=right.pk).parent_id == right.parent_id
    assert BillingEntity.objects.get(pk=beside.pk).parent_id != left.pk


def test_operators_see_it_in_the_log_and_in_the_exit_code(stopped, caplog, capsys):
    _, _, right = stopped

    with caplog.at_level(logging.ERROR):
        apply_due_moves()
    with pytest.raises(CommandError, match="1 move"):
        call_command("apply_moves")

    assert f"the move of {right.code} could not be made: Ada would hold" in caplog.text
    assert f"{right.code} -> " in capsys.readouterr().err


def test_it_is_made_once_the_role_is_gone(stopped):
    left, _, right = stopped
    services.apply_due_moves(actor="command:test", as_of=days(0))
    granted = RoleGrant.objects.get(role="BO")
    services.revoke_grant(actor="command:test", grant_id=granted.pk, reason="Moved on")

    (outcome,) = services.apply_due_moves(actor="command:test", as_of=days(0))

    assert (outcome.code, outcome.error) == (right.code, "")
    assert BillingEntity.objects.get(pk=right.pk).parent == left


def test_the_api_answers_409_and_nothing_moves(group, api):
    left, _, right, leaf = group
    person = make_user(name="Ada")
    held(person, above=left, below=leaf)
    controller = make_grant(role="FC", entity=left.parent).user
    before = written()
    body = {"parent": str(left.pk), "effective_on": str(days(0)), "reason": "Bought"}

    answer = api(controller).post(f"{API}entities/{right.pk}/move", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "roles-conflict")
    assert answer.json()["conflicts"] == [{"person": str(person.pk), "name": "Ada", "roles": ["BO", "FC"]}]
    assert written() == before


def grant(person, role, entity):
    return services.grant_role(
        actor="command:test", user_id=person.pk, role=role, entity_id=entity.pk, starts_on=days(0)
    )


def grant_by_sql(person, role, entity):
    return make_grant(user=person, role=role, entity=entity)


by_service_and_by_sql = pytest.mark.parametrize(
    ("give", "carry", "error"), [(grant, move, RolesConflict), (grant_by_sql, move_by_sql, IntegrityError)]
)


@pytest.mark.django_db(transaction=True)
@by_service_and_by_sql
def test_a_grant_waits_for_a_move_and_is_refused_after_it(give, carry, error, group):
    left, _, right, leaf = group
    person = make_user()
    make_grant(user=person, role="FC", entity=left)

    with transaction.atomic():
        carry(right, left)
        rival = start_rival(lambda: give(person, "BO", leaf))

    with pytest.raises(error):
        rival.result(timeout=5)
    assert BillingEntity.objects.get(pk=right.pk).parent == left
    assert RoleGrant.objects.get().role == "FC"
    assert role_conflicts(as_of=days(0)) == []


@pytest.mark.django_db(transaction=True)
@by_service_and_by_sql
def test_a_move_waits_for_a_grant_and_is_refused_after_it(give, carry, error, group):
    left, _, right, leaf = group
    person = make_user()
    make_grant(user=person, role="FC", entity=left)

    with transaction.atomic():
        give(person, "BO", leaf)
        rival = start_rival(lambda: carry(right, left))

    with pytest.raises(error):
        rival.result(timeout=5)
    assert BillingEntity.objects.get(pk=right.pk).parent == left.parent
    assert RoleGrant.objects.count() == 2
    assert role_conflicts(as_of=days(0)) == []


def revoke(exception):
    services.revoke_exception(actor="command:test", exception_id=exception.pk, reason="Back")


def revoke_by_sql(exception):
    RoleException.objects.filter(pk=exception.pk).update(revoked_at=timezone.now())


@pytest.fixture
def excepted(group):
    """Roles that only the exception would allow to come together, by the move of one branch to the other."""
    left, _, right, leaf = group
    person = make_user()
    held(person, above=left, below=leaf, ends_on=days(30))
    return make_exception(person, "BO", "FC", entity=leaf), right, left


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("take_back", "carry", "error"),
    [(revoke, move, RolesConflict), (revoke_by_sql, move_by_sql, IntegrityError)],
)
def test_a_move_waits_for_an_exception_to_be_taken_back_and_is_refused_after_it(
    take_back, carry, error, excepted
):
    exception, right, left = excepted

    with transaction.atomic():
        take_back(exception)
        rival = start_rival(lambda: carry(right, left))

    with pytest.raises(error):
        rival.result(timeout=5)
    assert BillingEntity.objects.get(pk=right.pk).parent == left.parent
    assert role_conflicts(as_of=days(0)) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("take_back", "carry", "error"),
    [(revoke, move, RoleExceptionInUse), (revoke_by_sql, move_by_sql, IntegrityError)],
)
def test_an_exception_is_not_taken_back_from_under_a_move(take_back, carry, error, excepted):
    exception, right, left = excepted

    with transaction.atomic():
        carry(right, left)
        rival = start_rival(lambda: take_back(exception))

    with pytest.raises(error):
        rival.result(timeout=5)
    exception.refresh_from_db()
    assert (exception.revoked_at, BillingEntity.objects.get(pk=right.pk).parent) == (None, left)
    assert [conflict.exception for conflict in role_conflicts(as_of=days(0))] == [exception.pk]


@pytest.mark.django_db(transaction=True)
def test_of_two_moves_of_different_groups_that_meet_one_is_refused():
    """The middle comes below the one while the other comes below the middle."""
    top, middle, bottom = make_entity(), make_entity(), make_entity()
    held(make_user(), above=top, below=bottom)

    with transaction.atomic():
        move(middle, top)
        rival = start_rival(lambda: move(bottom, middle))

    with pytest.raises(HierarchyChanged):
        rival.result(timeout=5)
    with pytest.raises(RolesConflict):
        move(bottom, middle)
    assert BillingEntity.objects.get(pk=bottom.pk).parent is None
    assert_invariants_hold()
