"""Moving entities: now, in the past, on a later day, and two at once."""

import random
from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities import queries, services
from billing.entities.errors import (
    EntityClosed,
    HierarchyLoop,
    HierarchyTooDeep,
    MoveBeforePreviousMove,
    MovePlanned,
    NoMovePlanned,
    ParentNotActive,
)
from billing.entities.models import BillingEntity, EntityRelation
from billing.entities.paths import DEPTH_MAX
from billing.entities.states import EntityState
from billing.entities.tests.makers import FIRST_DAY, make_entity, make_grant, make_user
from billing.kernel.errors import DomainError, Invalid, PreconditionFailed
from billing.kernel.models import AuditEntry, OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival

TODAY = date(2026, 3, 1)
ACTOR = "command:test"


def move(entity, parent, **overrides):
    values = {"effective_on": TODAY, "as_of": TODAY, "reason": "reorganisation"} | overrides
    return services.move_entity(actor=ACTOR, entity_id=entity.pk, parent_id=parent.pk, **values)


def history(entity):
    relations = EntityRelation.objects.filter(entity=entity).order_by("starts_on")
    return [(relation.parent_id, relation.starts_on, relation.ends_on) for relation in relations]


@pytest.fixture
def family():
    """root -> left -> leaf, root -> right"""
    root = make_entity()
    left, right = make_entity(parent=root), make_entity(parent=root)
    return root, left, right, make_entity(parent=left)


@pytest.mark.django_db
def test_a_move_carries_the_subtree_along_and_keeps_the_old_parent_in_history(family):
    root, left, right, leaf = family

    moved = move(left, right, effective_on=date(2026, 2, 1))

    leaf.refresh_from_db()
    assert moved.path == f"{right.path}{left.pk.hex}/"
    assert leaf.path == f"{moved.path}{leaf.pk.hex}/"
    assert history(left) == [
        (root.pk, FIRST_DAY, date(2026, 2, 1)),
        (right.pk, date(2026, 2, 1), None),
    ]
    line = AuditEntry.objects.get(kind="verb")
    assert (line.action, line.reason) == ("entity.moved", "reorganisation")
    assert OutboxEvent.objects.get().payload["old_parent_id"] == str(root.pk)
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_second_move_on_the_same_day_replaces_the_first(family):
    root, left, right, leaf = family
    move(leaf, right)
    move(leaf, root)

    assert history(leaf) == [(left.pk, FIRST_DAY, TODAY), (root.pk, TODAY, None)]
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_root_can_join_another_group(family):
    root, *_ = family
    other = make_entity()

    moved = move(root, other)

    assert moved.path.startswith(other.path)
    assert history(root) == [(other.pk, TODAY, None)]
    assert_invariants_hold()


@pytest.mark.django_db
def test_a_move_in_the_future_waits_for_its_day(family):
    _root, left, right, leaf = family
    day = TODAY + timedelta(days=30)

    move(leaf, right, effective_on=day)

    leaf.refresh_from_db()
    assert leaf.parent_id == left.pk
    assert history(leaf) == [(left.pk, FIRST_DAY, day), (right.pk, day, None)]
    assert services.apply_due_moves(actor=ACTOR, as_of=day - timedelta(days=1)) == []

    (outcome,) = services.apply_due_moves(actor=ACTOR, as_of=day)

    leaf.refresh_from_db()
    assert (outcome.code, outcome.error, leaf.parent_id) == (leaf.code, "", right.pk)
    assert services.apply_due_moves(actor=ACTOR, as_of=day) == []
    assert list(OutboxEvent.objects.values_list("name", flat=True)) == ["entity.moved"]


@pytest.mark.django_db
def test_one_due_move_that_cannot_be_made_stops_no_other(family):
    root, left, right, leaf = family
    day = TODAY + timedelta(days=1)
    gone = make_entity(parent=root)
    move(leaf, gone, effective_on=day)
    move(right, left, effective_on=day)
    services.close_entity(actor=ACTOR, entity_id=gone.pk, reason="sold")

    outcomes = {outcome.code: outcome.error for outcome in services.apply_due_moves(actor=ACTOR, as_of=day)}

    right.refresh_from_db()
    leaf.refresh_from_db()
    assert (right.parent_id, leaf.parent_id) == (left.pk, left.pk)
    assert outcomes[right.code] == ""
    assert "closed" in outcomes[leaf.code]


@pytest.mark.django_db
def test_a_planned_move_can_be_taken_back(family):
    _root, left, right, leaf = family
    move(leaf, right, effective_on=TODAY + timedelta(days=1))

    services.cancel_move(actor=ACTOR, entity_id=leaf.pk, reason="no")

    assert history(leaf) == [(left.pk, FIRST_DAY, None)]
    with pytest.raises(NoMovePlanned):
        services.cancel_move(actor=ACTOR, entity_id=leaf.pk, reason="no")


@pytest.mark.django_db
def test_a_move_that_was_refused_on_its_day_can_be_taken_back(family):
    _root, left, right, leaf = family
    day = TODAY + timedelta(days=1)
    move(leaf, right, effective_on=day)
    BillingEntity.objects.filter(pk=right.pk).update(state="closed")
    [outcome] = services.apply_due_moves(actor=ACTOR, as_of=day)
    assert "closed" in outcome.error

    services.cancel_move(actor=ACTOR, entity_id=leaf.pk, reason="they closed")

    assert history(leaf) == [(left.pk, FIRST_DAY, None)]
    assert services.apply_due_moves(actor=ACTOR, as_of=day) == []


def too_deep(family):
    bottom = family[2]
    for _ in range(DEPTH_MAX - 3):
        bottom = make_entity(parent=bottom)
    return family[1], bottom, {}


REFUSALS = {
    "below itself": (HierarchyLoop, lambda f: (f[1], f[1], {})),
    "below its child": (HierarchyLoop, lambda f: (f[1], f[3], {})),
    "where it is already": (Invalid, lambda f: (f[1], f[0], {})),
    "too deep": (HierarchyTooDeep, too_deep),
    "below a draft": (ParentNotActive, lambda f: (f[1], make_entity(state=EntityState.DRAFT), {})),
    "closed itself": (EntityClosed, lambda f: (make_entity(parent=f[0], state=EntityState.CLOSED), f[1], {})),
    "before it came": (MoveBeforePreviousMove, lambda f: (f[1], f[2], {"effective_on": date(2019, 1, 1)})),
    "a stale version": (PreconditionFailed, lambda f: (f[1], f[2], {"version": 99})),
}


@pytest.mark.django_db
@pytest.mark.parametrize("case", REFUSALS)
def test_a_move_that_is_refused_changes_nothing(case, family):
    error, build = REFUSALS[case]
    entity, parent, overrides = build(family)
    before = list(BillingEntity.objects.order_by("pk").values_list("pk", "path"))
    relations = history(entity)

    with pytest.raises(error):
        move(entity, parent, **overrides)

    assert list(BillingEntity.objects.order_by("pk").values_list("pk", "path")) == before
    assert history(entity) == relations
    assert not AuditEntry.objects.filter(kind="verb").exists()


@pytest.mark.django_db
def test_a_second_move_waits_until_the_planned_one_is_made_or_taken_back(family):
    root, left, right, leaf = family
    move(leaf, right, effective_on=TODAY + timedelta(days=1))

    with pytest.raises(MovePlanned):
        move(leaf, root)

    assert BillingEntity.objects.get(pk=leaf.pk).parent_id == left.pk


@pytest.mark.django_db
def test_the_database_itself_refuses_a_circle(family):
    root, left, _right, leaf = family

    with pytest.raises(IntegrityError, match="circle"), transaction.atomic():
        BillingEntity.objects.filter(pk=left.pk).update(parent=leaf)

    assert BillingEntity.objects.get(pk=left.pk).parent_id == root.pk


@pytest.mark.django_db(transaction=True)
def test_of_two_opposite_moves_the_second_is_refused(family):
    root, left, right, _leaf = family

    with transaction.atomic():
        move(left, right)
        rival = start_rival(lambda: move(right, left))

    with pytest.raises(HierarchyLoop):
        rival.result(timeout=5)
    left.refresh_from_db()
    right.refresh_from_db()
    assert (left.parent_id, right.parent_id) == (right.pk, root.pk)
    assert_invariants_hold()


@pytest.mark.django_db(transaction=True)
def test_nothing_is_added_below_an_entity_that_is_being_closed(family):
    _root, _left, right, _leaf = family

    def add():
        return services.create_entity(
            actor=ACTOR,
            parent_id=right.pk,
            code="LATE",
            name="Late",
            currency="EUR",
            country="DE",
            starts_on=TODAY,
        )

    with transaction.atomic():
        services.close_entity(actor=ACTOR, entity_id=right.pk, reason="sold")
        rival = start_rival(add)

    with pytest.raises(ParentNotActive):
        rival.result(timeout=5)
    assert not BillingEntity.objects.filter(code="LATE").exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_writers_who_saw_the_same_version_one_is_refused():
    entity = make_entity()

    def rename(name):
        return services.update_entity(
            actor=ACTOR, entity_id=entity.pk, changes={"name": name}, version=entity.version
        )

    with transaction.atomic():
        rename("first")
        rival = start_rival(lambda: rename("second"))

    with pytest.raises(PreconditionFailed):
        rival.result(timeout=5)
    entity.refresh_from_db()
    assert entity.name == "first"


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_paths_stay_right_under_random_moves(seed):
    dice = random.Random(seed)
    entities = [make_entity()]
    for _ in range(9):
        entities.append(make_entity(parent=dice.choice(entities)))
    moved = 0
    for _ in range(25):
        entity, parent = dice.choice(entities), dice.choice(entities)
        try:
            with transaction.atomic():
                move(entity, parent)
            moved += 1
        except DomainError:
            continue
    assert moved > 3
    by_id = {entity.pk: entity for entity in BillingEntity.objects.all()}
    for entity in by_id.values():
        line, above = [], entity
        while above is not None:
            line.append(above.pk.hex)
            above = by_id.get(above.parent_id)
        assert entity.path == "/" + "/".join(reversed(line)) + "/"
    assert_invariants_hold()


@pytest.mark.django_db
def test_the_seller_is_the_nearest_selling_entity_above(family, django_assert_num_queries):
    root, left, _right, leaf = family
    BillingEntity.objects.filter(pk__in=[root.pk, leaf.pk]).update(is_seller=True)

    with django_assert_num_queries(1):
        assert queries.seller_of(leaf) == root
    assert queries.seller_of(root) is None
    BillingEntity.objects.filter(pk=left.pk).update(is_seller=True)
    assert queries.seller_of(leaf) == left


@pytest.mark.django_db
def test_ancestors_and_subtree_are_in_order(family):
    root, left, _right, leaf = family

    assert list(queries.ancestors(leaf)) == [root, left]
    assert list(queries.subtree(left)) == [left, leaf]


@pytest.mark.django_db
def test_the_tree_is_one_query_and_hangs_orphans_on_the_nearest_visible(family, django_assert_num_queries):
    root, _left, _right, leaf = family
    department = root.departments.get()
    user = make_user()
    make_grant(user=user, role="VW", entity=root, department=department)
    make_grant(user=user, role="VW", entity=leaf)
    user.has_perm("entities.view_billingentity")  # the grants are read once

    with django_assert_num_queries(1):
        tree = queries.entity_tree(root, user)

    assert (tree["id"], tree["depth"]) == (root.pk, 1)
    assert [(child["id"], child["depth"]) for child in tree["children"]] == [(leaf.pk, 3)]


@pytest.mark.django_db
def test_the_books_tell_when_a_path_is_wrong(family):
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE billing_entities SET path = '/x/' WHERE id = %s", [family[3].pk])
        cursor.execute("SET session_replication_role = origin")

    with pytest.raises(AssertionError, match="X2 every entity"):
        assert_invariants_hold()
