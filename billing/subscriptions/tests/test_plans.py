from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing.entities.tests.makers import make_entity
from billing.kernel.errors import Invalid, NotFound, PreconditionFailed
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry
from billing.kernel.tests.races import start_rival
from billing.subscriptions import services
from billing.subscriptions.errors import NotASeller, PlanCodeTaken, PlanItemNotPossible
from billing.subscriptions.models import Basis, Plan, PlanItem, Timing
from billing.subscriptions.tests.makers import item, make_plan, make_price, make_product

pytestmark = pytest.mark.django_db


def plan_of(seller, *items, **overrides):
    values = {"code": "basic", "name": "Basic", "interval": "month"} | overrides
    return services.create_plan(actor="test", entity_id=seller.pk, items=items, **values)


def test_a_plan_has_its_items_in_the_order_they_were_given():
    seats = make_product()
    seller = seats.entity
    setup, storage = make_product(entity=seller), make_product(entity=seller)

    plan = plan_of(
        seller,
        item(seats, "in_advance", "quantity"),
        item(storage, "in_arrears", "usage"),
        item(setup, "one_off", "fixed"),
        interval_count=3,
        trial_days=14,
    )

    assert (plan.interval, plan.interval_count, plan.trial_days, plan.is_active) == ("month", 3, 14, True)
    assert list(plan.items.order_by("position").values_list("position", "product", "timing", "basis")) == [
        (1, seats.pk, "in_advance", "quantity"),
        (2, storage.pk, "in_arrears", "usage"),
        (3, setup.pk, "one_off", "fixed"),
    ]
    said = AuditEntry.objects.get(action="plan.created")
    assert (said.subject_id, said.entity_id, said.detail["products"]) == (
        str(plan.pk),
        seller.pk,
        [seats.code, storage.code, setup.code],
    )


def test_codes_are_unique_per_seller_whatever_their_case():
    product, other = make_product(), make_product()
    plan_of(product.entity, item(product))
    plan_of(other.entity, item(other))

    with pytest.raises(PlanCodeTaken):
        plan_of(product.entity, item(product), code="BASIC")

    assert (Plan.objects.count(), PlanItem.objects.count()) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_of_two_plans_with_one_code_made_at_once_the_second_is_told():
    product = make_product()

    with transaction.atomic():
        plan_of(product.entity, item(product))
        rival = start_rival(lambda: plan_of(product.entity, item(product)))

    with pytest.raises(PlanCodeTaken):
        rival.result(timeout=5)
    assert Plan.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_product_that_stops_being_sold_meanwhile_is_not_put_on_a_plan():
    product = make_product()

    with transaction.atomic():
        services.update_product(actor="test", product_id=product.pk, changes={"is_active": False})
        rival = start_rival(lambda: plan_of(product.entity, item(product)))

    with pytest.raises(PlanItemNotPossible, match="not sold"):
        rival.result(timeout=5)
    assert not Plan.objects.exists()


@pytest.mark.parametrize(("timing", "basis"), [(t, b) for t in Timing for b in Basis])
def test_what_is_counted_afterwards_is_billed_in_arrears(timing, basis):
    product = make_product()

    if basis in {Basis.USAGE, Basis.SEATS} and timing != Timing.IN_ARREARS:
        with pytest.raises(PlanItemNotPossible, match="in arrears"):
            plan_of(product.entity, item(product, timing, basis))
        assert not Plan.objects.exists()
    else:
        assert plan_of(product.entity, item(product, timing, basis)).items.count() == 1


def test_refuses_items_that_cannot_be_and_makes_no_plan():
    product, foreign = make_product(), make_product()
    stopped = make_product(entity=product.entity, is_active=False)

    for items, reason in (
        ([item(product), item(foreign)], "Item 2: the seller has no such product"),
        ([{**item(product), "product_id": uuid7()}], "Item 1: the seller has no such product"),
        ([item(stopped)], "is not sold any more"),
        ([item(product), item(product, "one_off", "fixed")], "Item 2: .* is on the plan already"),
    ):
        with pytest.raises(PlanItemNotPossible, match=reason):
            plan_of(product.entity, *items)

    assert not Plan.objects.exists()


@pytest.mark.parametrize(
    ("_case", "terms"),
    [
        ("no items", {"items": []}),
        ("too many items", {"items": [{"product_id": uuid7()}] * 101}),
        ("an interval of its own", {"interval": "fortnight"}),
        ("never", {"interval_count": 0}),
        ("beyond a lifetime", {"interval_count": 121}),
        ("less than no trial", {"trial_days": -1}),
        ("a trial without end", {"trial_days": 3651}),
    ],
)
def test_refuses_what_is_no_plan_and_makes_none(_case, terms):
    product = make_product()
    values = {"items": [item(product)], "interval": "month"} | terms

    with pytest.raises(Invalid):
        services.create_plan(actor="test", entity_id=product.entity_id, code="p", name="P", **values)

    assert not Plan.objects.exists()


@pytest.mark.parametrize("member", ["timing", "basis"])
def test_refuses_a_timing_or_basis_there_is_not(member):
    product = make_product()

    with pytest.raises(Invalid):
        plan_of(product.entity, item(product) | {member: "sometimes"})

    assert not Plan.objects.exists()


def test_only_a_seller_has_plans():
    product, customer = make_product(), make_entity()

    with pytest.raises(NotASeller):
        plan_of(customer, item(product))
    with pytest.raises(NotFound):
        services.create_plan(
            actor="test", entity_id=uuid7(), code="p", name="P", interval="month", items=[item(product)]
        )

    assert not Plan.objects.exists()


def test_a_plan_is_renamed_and_taken_off_the_market():
    plan = make_plan()

    changed = services.update_plan(
        actor="test", plan_id=plan.pk, changes={"name": "Classic", "is_active": False}, version=1
    )
    same = services.update_plan(actor="test", plan_id=plan.pk, changes={"name": "Classic"})

    assert (changed.name, changed.is_active, changed.version, same.version) == ("Classic", False, 2, 2)
    said = AuditEntry.objects.get(action="plan.updated")
    assert said.detail == {"fields": ["is_active", "name"]}


def test_a_change_of_a_plan_is_refused_if_it_is_not_possible_or_late():
    plan = make_plan()

    for error, wanted in (
        (PreconditionFailed, {"changes": {"name": "New"}, "version": 7}),
        (Invalid, {"changes": {"interval": "year"}}),
        (Invalid, {"changes": {"code": "new"}}),
        (Invalid, {"changes": {"trial_days": 9999}}),
    ):
        with pytest.raises(error):
            services.update_plan(actor="test", plan_id=plan.pk, **wanted)
    with pytest.raises(NotFound):
        services.update_plan(actor="test", plan_id=uuid7(), changes={"name": "New"})

    plan.refresh_from_db()
    assert (plan.version, plan.interval, plan.trial_days) == (1, "month", 0)


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_the_second_sees_the_first():
    plan = make_plan()

    def rename(name):
        return services.update_plan(actor="test", plan_id=plan.pk, changes={"name": name}, version=1)

    with transaction.atomic():
        rename("First")
        rival = start_rival(lambda: rename("Second"))

    with pytest.raises(PreconditionFailed):
        rival.result(timeout=5)
    plan.refresh_from_db()
    assert plan.name == "First"


@pytest.mark.parametrize(
    "change",
    ["interval = 'year'", "interval_count = 2", "code = 'other'", "entity_id = gen_random_uuid()"],
)
def test_what_was_offered_stays_as_it_was_not_even_by_sql(change):
    plan = make_plan()

    with (
        pytest.raises(DatabaseError, match="is final"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE plans SET {change}")

    plan.refresh_from_db()
    assert (plan.version, plan.interval, plan.interval_count) == (1, "month", 1)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE plan_items SET position = 9", "DELETE FROM plan_items", "TRUNCATE plan_items CASCADE"],
)
def test_items_stay_on_their_plan_not_even_by_sql(statement):
    plan = make_plan()

    with (
        pytest.raises(DatabaseError, match=r"append-only|never truncated"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement)

    assert plan.items.get().position == 1


def test_the_database_refuses_a_plan_with_products_of_another_seller():
    plan, foreign = make_plan(), make_product()

    with pytest.raises(IntegrityError, match="not of one seller"), transaction.atomic():
        PlanItem.objects.create(
            plan=plan, position=2, product=foreign, timing=Timing.IN_ADVANCE, basis=Basis.FIXED
        )

    assert plan.items.count() == 1


def test_the_database_refuses_a_price_on_a_plan_without_the_product():
    product = make_product()
    beside = make_price(product=make_product(entity=product.entity))
    plan = make_plan(products=[product])

    with pytest.raises(IntegrityError, match="price_of_a_product_on_the_plan"), transaction.atomic():
        type(beside).objects.create(
            product=beside.product,
            plan=plan,
            number=1,
            currency="USD",
            model="flat",
            flat_amount=Decimal(1),
            starts_on=date(2026, 1, 1),
        )

    assert not plan.prices.exists()


def test_seats_are_trued_up_by_one_item_of_a_plan():
    seller = make_entity(is_seller=True)
    first, second = make_product(entity=seller), make_product(entity=seller)

    with pytest.raises(PlanItemNotPossible):
        make_plan(entity=seller, items=[(first, "in_arrears", "seats"), (second, "in_arrears", "seats")])
    assert not Plan.objects.exists()

    plan = make_plan(entity=seller, items=[(first, "in_arrears", "seats")])
    with pytest.raises(IntegrityError, match="seats_are_trued_up_once"):
        PlanItem.objects.create(plan=plan, position=2, product=second, timing="in_arrears", basis="seats")
