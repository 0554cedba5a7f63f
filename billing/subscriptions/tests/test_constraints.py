"""What the database refuses, whoever asks; and what the invariants say if it should be there all the same."""

import json
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities.tests.makers import make_entity
from billing.subscriptions.invariants import CHECKS
from billing.subscriptions.models import PlanItem, Price
from billing.subscriptions.tests.makers import TIERS, item, make_plan, make_price, make_product

pytestmark = pytest.mark.django_db


def insert_price(product, **columns) -> None:
    """By SQL: no service, no ORM."""
    row = {
        "id": str(uuid4()),
        "product_id": str(product.pk),
        "number": 1,
        "currency": "USD",
        "model": "flat",
        "starts_on": "2026-01-01",
    } | columns
    if "tiers" in row:
        row["tiers"] = json.dumps(row["tiers"])
    names, places = ", ".join(row), ", ".join(["%s"] * len(row))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO prices ({names}) VALUES ({places})", list(row.values()))


def refused(constraint: str):
    return pytest.raises(IntegrityError, match=rf'"{constraint}"')


@pytest.mark.parametrize(
    ("_case", "figures"),
    [
        ("no model there is", {"model": "barter", "flat_amount": 1}),
        ("flat without an amount", {"model": "flat"}),
        ("flat with a unit price", {"model": "flat", "flat_amount": 1, "unit_price": 1}),
        ("flat with free events", {"model": "flat", "flat_amount": 1, "free_events": 1}),
        ("per unit without a price", {"model": "per_unit"}),
        ("per unit with a mark-up", {"model": "per_unit", "unit_price": 1, "markup_percent": 1}),
        ("graduated without tiers", {"model": "graduated"}),
        ("graduated with a price of its own", {"model": "graduated", "tiers": TIERS, "unit_price": 1}),
        ("volume without tiers", {"model": "volume"}),
        ("a package without a size", {"model": "package", "unit_price": 1}),
        ("a package without a price", {"model": "package", "package_size": 1}),
        (
            "a package with a maximum",
            {"model": "package", "unit_price": 1, "package_size": 1, "maximum_amount": 1},
        ),
        ("a percentage of nothing", {"model": "percentage", "minimum_amount": 1}),
        ("a percentage with tiers", {"model": "percentage", "percent": 1, "tiers": TIERS}),
        ("passed through without a mark-up", {"model": "pass_through"}),
        (
            "passed through with a minimum",
            {"model": "pass_through", "markup_percent": 1, "minimum_amount": 1},
        ),
    ],
)
def test_a_price_has_the_figures_of_its_model_and_no_other(_case, figures):
    product = make_product()

    with refused("price_has_its_models_figures"):
        insert_price(product, **figures)

    assert not Price.objects.exists()


@pytest.mark.parametrize(
    ("constraint", "figures"),
    [
        ("price_not_negative", {"flat_amount": -1}),
        ("price_not_negative", {"model": "per_unit", "unit_price": -1}),
        ("price_not_negative", {"model": "package", "unit_price": 1, "package_size": 0}),
        ("price_not_negative", {"model": "package", "unit_price": 1, "package_size": 1, "free_quantity": -1}),
        ("price_not_negative", {"model": "percentage", "percent": -1}),
        ("price_not_negative", {"model": "percentage", "percent": 1, "per_event_amount": -1}),
        ("price_not_negative", {"model": "percentage", "percent": 1, "free_amount": -1}),
        ("price_not_negative", {"model": "percentage", "percent": 1, "minimum_amount": -1}),
        ("price_not_negative", {"model": "percentage", "percent": 1, "maximum_amount": -1}),
        ("price_not_negative", {"model": "pass_through", "markup_percent": -100}),
        (
            "price_passed_through_before_tax",
            {"model": "pass_through", "markup_percent": 1, "tax_inclusive": True},
        ),
        ("price_finite", {"flat_amount": "NaN"}),
        ("price_finite", {"model": "percentage", "percent": 1, "maximum_amount": "NaN"}),
        (
            "price_maximum_not_below_minimum",
            {"model": "percentage", "percent": 1, "minimum_amount": 2, "maximum_amount": 1},
        ),
    ],
)
def test_figures_are_finite_not_negative_and_in_order(constraint, figures):
    product = make_product()

    with refused(constraint):
        insert_price(product, **figures)

    assert not Price.objects.exists()


def tier(up_to, unit_price="1", flat_amount="0"):
    return {"up_to": up_to, "unit_price": unit_price, "flat_amount": flat_amount}


@pytest.mark.parametrize(
    ("_case", "tiers"),
    [
        ("none", []),
        ("no list", tier(None)),
        ("an open one in the middle", [tier(None), tier(None)]),
        ("no open one at the end", [tier("10")]),
        ("one that goes back", [tier("10"), tier("9.5"), tier(None)]),
        ("one of no width", [tier("10"), tier("10"), tier(None)]),
        ("one that ends at zero", [tier("0"), tier(None)]),
        ("text for a number", [tier("ten"), tier(None)]),
        ("a number for text", [{"up_to": None, "unit_price": "1"}]),
        ("a member too many", [tier(None) | {"color": "red"}]),
        ("below zero", [tier(None, "-1")]),
        ("an exponent", [tier(None, "1e3")]),
        ("no price", [tier(None, None)]),
        ("no flat amount", [tier(None, "1", None)]),
        ("13 decimals", [tier(None, "0.1234567890123")]),
    ],
)
@pytest.mark.parametrize("model", ["graduated", "volume"])
def test_tiers_ascend_without_a_gap_and_only_the_last_is_open(_case, tiers, model):
    product = make_product()

    with refused("price_tiers_contiguous"):
        insert_price(product, model=model, tiers=tiers)

    assert not Price.objects.exists()


@pytest.mark.parametrize("on_plan", [False, True])
def test_a_version_is_numbered_once_and_starts_on_its_own_day(on_plan):
    product = make_product()
    where = {"plan_id": str(make_plan(products=[product]).pk)} if on_plan else {"plan_id": None}
    where |= {"flat_amount": 1}
    insert_price(product, **where)

    with refused("price_versions_numbered"):
        insert_price(product, starts_on="2026-02-01", **where)
    with refused("one_price_version_per_day"):
        insert_price(product, number=2, **where)

    assert Price.objects.count() == 1


def insert_item(plan, product, **columns) -> None:
    PlanItem.objects.bulk_create(
        [PlanItem(plan=plan, product=product, **{"timing": "in_advance", "basis": "fixed"} | columns)]
    )


@pytest.mark.parametrize(
    ("constraint", "columns"),
    [
        ("plan_item_timing_of_its_basis", {"basis": "usage"}),
        ("plan_item_timing_of_its_basis", {"basis": "seats"}),
        ("plan_item_timing_of_its_basis", {"basis": "usage", "timing": "one_off"}),
        ("plan_item_timing_of_its_basis", {"basis": "seats", "timing": "one_off"}),
        ("plan_item_timing_of_its_basis", {"timing": "sometimes"}),
        ("plan_item_timing_of_its_basis", {"basis": "luck", "timing": "in_arrears"}),
        ("plan_items_in_order", {"position": 1}),
    ],
)
def test_an_item_has_a_timing_its_basis_can_have_and_its_own_place(constraint, columns):
    plan = make_plan()

    with refused(constraint), transaction.atomic():
        insert_item(plan, make_product(entity=plan.entity), **{"position": 2} | columns)

    assert plan.items.count() == 1


def test_a_product_is_on_a_plan_once():
    product = make_product()
    plan = make_plan(products=[product])

    with refused("product_once_per_plan"), transaction.atomic():
        insert_item(plan, product, position=2)

    assert plan.items.count() == 1


@pytest.mark.parametrize(
    ("constraint", "change"),
    [
        ("plan_interval_known", "interval = 'eon'"),
        ("plan_interval_count", "interval_count = 0"),
        ("plan_interval_count", "interval_count = 121"),
        ("plans_trial_days_check", "trial_days = -1"),
    ],
)
def test_a_plan_has_an_interval_there_is(constraint, change):
    make_plan()

    with refused(constraint), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # the frozen columns, too
        cursor.execute(f"UPDATE plans SET {change}")


BENDS = {
    "K1": "UPDATE prices SET number = number + 1 WHERE plan_id IS NULL",
    "K2": "UPDATE prices SET percent = 1 WHERE plan_id IS NULL",
    "K3": """UPDATE prices SET product_id = (SELECT product_id FROM prices WHERE plan_id IS NULL), number = 1
        WHERE plan_id IS NOT NULL""",
    "K3 ": "UPDATE prices SET model = 'pass_through', markup_percent = 0, tiers = NULL WHERE plan_id IS NOT NULL",
    "K3  ": "UPDATE products SET entity_id = (SELECT id FROM billing_entities WHERE NOT is_seller)"
    " WHERE id IN (SELECT product_id FROM plan_items)",
    "K3   ": "DELETE FROM prices WHERE plan_id IS NOT NULL; DELETE FROM plan_items",
    "K5": """UPDATE prices SET model = 'pass_through', markup_percent = 0, unit_price = NULL, tax_inclusive = true
        WHERE plan_id IS NULL""",
    "K4": """UPDATE prices SET tiers = tiers || tiers WHERE tiers IS NOT NULL""",
}


@pytest.fixture
def unguarded():
    """Runs SQL as if there were neither triggers nor CHECKs. The transaction of the test puts all back."""

    def run(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE prices DROP CONSTRAINT price_has_its_models_figures")
            cursor.execute("ALTER TABLE prices DROP CONSTRAINT price_tiers_contiguous")
            cursor.execute("ALTER TABLE prices DROP CONSTRAINT price_passed_through_before_tax")
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(statement)
            cursor.execute("SET session_replication_role = origin")

    return run


@pytest.mark.parametrize("bent", BENDS)
def test_the_invariants_tell_which_of_them_is_broken(bent, unguarded):
    product = make_product()
    make_entity(is_seller=False)
    make_price(product=make_product(entity=product.entity))
    plan = make_plan(entity=product.entity, items=[item(product)])
    make_price(product=product, plan=plan, model="graduated")
    assert _broken() == set()

    unguarded(BENDS[bent])

    assert _broken() == {bent.strip()}


def test_there_is_a_way_to_break_each_invariant():
    assert {name.strip() for name in BENDS} >= {name.split()[0] for name in CHECKS if name.startswith("K")}


def _broken() -> set[str]:
    found = set()
    with connection.cursor() as cursor:
        for name, query in CHECKS.items():
            cursor.execute(query)
            if cursor.fetchall():
                found.add(name.split()[0])
    return found
