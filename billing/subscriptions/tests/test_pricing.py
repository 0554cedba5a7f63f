"""Prices of every model, on the list and on plans, and what a quantity costs under them."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.entities.tests.makers import make_entity, make_grant
from billing.kernel.errors import Invalid, NotFound
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry
from billing.kernel.tests.races import start_rival
from billing.subscriptions import queries, quoting
from billing.subscriptions.core.rating import PriceModel
from billing.subscriptions.errors import (
    NoPriceInForce,
    NotAPriceOfItsModel,
    PassThroughIsBeforeTax,
    PassThroughNeedsUsage,
    PriceOutOfOrder,
    ProductNotOnPlan,
)
from billing.subscriptions.models import Price
from billing.subscriptions.tests.makers import FIGURES, TIERS, item, make_plan, make_price, make_product

pytestmark = pytest.mark.django_db

DAY = date(2026, 3, 1)


def tier(up_to, unit_price="1", flat_amount="0"):
    return {"up_to": up_to, "unit_price": unit_price, "flat_amount": flat_amount}


@pytest.mark.parametrize("model", PriceModel)
def test_a_price_of_every_model_is_kept_and_rates_as_it_was_given(model):
    made = make_price(model=model)

    kept = Price.objects.get(pk=made.pk)

    for name, figure in FIGURES[model].items():
        if name != "tiers":
            assert getattr(kept, name) == figure
    assert (
        kept.terms.exact_amount(Decimal("1500.5"), events=3)
        == {
            PriceModel.FLAT: Decimal("49.90"),
            PriceModel.PER_UNIT: Decimal("375.125"),
            PriceModel.GRADUATED: Decimal("540.125"),  # 55 for 100, 360 for 900, 125.125 for the rest
            PriceModel.VOLUME: Decimal("375.125"),
            PriceModel.PACKAGE: Decimal(20),
            PriceModel.PERCENTAGE: Decimal("43.5145"),
            PriceModel.PASS_THROUGH: Decimal("1500.5"),
        }[model]
    )


def test_an_optional_figure_is_kept_with_its_model():
    made = make_price(
        model="percentage",
        per_event_amount=Decimal("0.30"),
        free_events=10,
        free_amount=Decimal(500),
        minimum_amount=Decimal(1),
        maximum_amount=Decimal(100),
    )

    terms = Price.objects.get(pk=made.pk).terms

    assert terms.exact_amount(Decimal(1500), events=12) == Decimal("29.6")  # 2.9 % of 1000, 2 x 0.30


def test_tiers_are_kept_in_one_spelling():
    given = [
        {"up_to": "10.500", "unit_price": "0.050000000000000"},
        {"up_to": None, "unit_price": "00100", "flat_amount": "-0"},
    ]

    made = make_price(model="graduated", tiers=given)

    made.refresh_from_db()
    assert made.tiers == [tier("10.5", "0.05", "0"), tier(None, "100", "0")]


@pytest.mark.parametrize(
    ("_case", "terms"),
    [
        ("nothing given", {"flat_amount": None}),
        ("a figure of another model", {"percent": Decimal(1)}),
        ("tiers of another model", {"tiers": TIERS}),
        ("below zero", {"flat_amount": Decimal(-1)}),
        ("not a number", {"flat_amount": Decimal("NaN")}),
        ("no tiers", {"model": "volume", "flat_amount": None, "tiers": []}),
        ("an open tier in the middle", {"model": "volume", "tiers": [tier(None), tier(None)]}),
        ("no open tier", {"model": "volume", "tiers": [tier("10")]}),
        ("a tier that goes back", {"model": "volume", "tiers": [tier("10"), tier("9"), tier(None)]}),
        ("a tier of numbers", {"model": "volume", "tiers": [{"up_to": None, "unit_price": 1}]}),
        ("a tier of something else", {"model": "volume", "tiers": [tier(None) | {"color": "red"}]}),
        ("a tier below zero", {"model": "volume", "tiers": [tier(None, "-1")]}),
        ("an empty package", {"model": "package", "package_size": Decimal(0)}),
        (
            "a minimum above the maximum",
            {"model": "percentage", "minimum_amount": Decimal(2), "maximum_amount": Decimal(1)},
        ),
        ("all of the cost off", {"model": "pass_through", "markup_percent": Decimal(-100)}),
    ],
)
def test_refuses_what_is_no_price_of_its_model_and_adds_nothing(_case, terms):
    product = make_product()

    with pytest.raises(NotAPriceOfItsModel):
        make_price(product=product, **{"model": "flat"} | terms)

    assert not Price.objects.exists()


def test_a_price_of_any_model_but_cost_passed_through_may_include_tax():
    product = make_product()

    with pytest.raises(PassThroughIsBeforeTax):
        make_price(product=product, model="pass_through", tax_inclusive=True)

    assert not Price.objects.exists()
    for number, model in enumerate(PriceModel, start=1):
        made = make_price(
            product=product,
            model=model,
            tax_inclusive=model != "pass_through",
            starts_on=date(2024, number, 1),
        )
        made.refresh_from_db()
        assert made.tax_inclusive == (model != "pass_through")


def test_refuses_more_tiers_than_a_person_could_read():
    product = make_product()

    with pytest.raises(Invalid):
        make_price(
            product=product, model="volume", tiers=[*(tier(str(n)) for n in range(1, 101)), tier(None)]
        )

    assert not Price.objects.exists()


def test_versions_are_numbered_per_product_plan_and_currency():
    product = make_product()
    plan, other = make_plan(products=[product]), make_plan(products=[product])

    numbers = [
        make_price(product=product, **where).number
        for where in (
            {},
            {"plan": plan},
            {"plan": plan, "starts_on": DAY},
            {"plan": plan, "currency": "EUR"},
            {"plan": other},
            {"starts_on": DAY},
        )
    ]

    assert numbers == [1, 1, 2, 1, 1, 2]
    with pytest.raises(PriceOutOfOrder):
        make_price(product=product, plan=plan, starts_on=DAY)
    assert Price.objects.count() == 6


def test_a_price_on_a_plan_is_written_into_the_audit_trail():
    product = make_product()
    plan = make_plan(products=[product])

    made = make_price(product=product, plan=plan, model="flat")

    said = AuditEntry.objects.get(action="price.added", subject_id=str(made.pk))
    assert (said.entity_id, said.detail) == (
        product.entity_id,
        {
            "product": product.code,
            "number": 1,
            "currency": "USD",
            "model": "flat",
            "tax_inclusive": False,
            "plan": str(plan.pk),
        },
    )


def test_a_plan_has_prices_only_for_what_is_on_it():
    product = make_product()
    beside = make_product(entity=product.entity)
    plan, foreign = make_plan(products=[product]), make_plan(products=[make_product()])

    with pytest.raises(ProductNotOnPlan):
        make_price(product=beside, plan=plan)
    with pytest.raises(NotFound):
        make_price(product=product, plan=foreign)
    with pytest.raises(NotFound):
        make_price(product=product, plan_id=uuid7())

    assert not Price.objects.exists()


@pytest.mark.parametrize("basis", ["fixed", "quantity", "seats"])
def test_only_what_is_used_is_passed_on_at_cost(basis):
    product = make_product()
    used = make_plan(entity=product.entity, items=[item(product, "in_arrears", "usage")])
    counted = make_plan(entity=product.entity, items=[item(product, "in_arrears", basis)])

    with pytest.raises(PassThroughNeedsUsage):
        make_price(product=product, plan=counted, model="pass_through")
    make_price(product=product, plan=used, model="pass_through")
    make_price(product=product, model="pass_through")

    assert Price.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_versions_on_a_plan_added_at_once_the_second_sees_the_first():
    product = make_product()
    plan = make_plan(products=[product])

    with transaction.atomic():
        make_price(product=product, plan=plan)
        rival = start_rival(lambda: make_price(product=product, plan=plan, starts_on=DAY))

    assert rival.result(timeout=5).number == 2


def test_the_price_of_the_plan_goes_before_that_of_the_list():
    product, beside = make_product(), make_product()
    plan = make_plan(entity=product.entity, products=[product, make_product(entity=product.entity)])
    listed = make_price(product=product)
    make_price(product=product, plan=plan, starts_on=DAY)
    on_plan = make_price(product=product, plan=plan, starts_on=date(2026, 4, 1))
    make_price(product=product, starts_on=date(2026, 4, 2))
    unplanned = make_price(product=beside)
    wanted = {(product.pk, "USD"), (beside.pk, "USD"), (product.pk, "EUR")}

    with CaptureQueriesContext(connection) as statements:
        found = queries.prices_of(wanted, date(2026, 5, 1), plan.pk)

    assert len(statements) == 1
    assert found == {(product.pk, "USD"): on_plan, (beside.pk, "USD"): unplanned}
    assert queries.price_of(product.pk, "USD", date(2026, 2, 28), plan.pk) == listed
    assert queries.price_of(product.pk, "USD", date(2026, 4, 1)) == listed


def test_a_quote_is_exact_then_rounded_once_and_explained():
    product = make_product()
    made = make_price(product=product, model="graduated")

    quoted = quoting.quote(product, quantity=Decimal("150.123"), currency="USD", on=DAY)

    assert (quoted.price, quoted.exact_amount, quoted.amount) == (
        made,
        Decimal("75.0492"),  # 100 x 0.50 + 5, 50.123 x 0.40
        Decimal("75.05"),
    )
    assert [(step.label, step.amount) for step in quoted.steps] == [
        ("Up to 100", Decimal(50)),
        ("Up to 100: flat amount", Decimal(5)),
        ("Over 100, up to 1,000", Decimal("20.0492")),
    ]


@pytest.mark.parametrize(("currency", "net"), [("JPY", "8"), ("EUR", "7.50"), ("KWD", "7.500")])
def test_a_quote_is_rounded_to_the_unit_of_its_currency(currency, net):
    product = make_product()
    make_price(product=product, currency=currency, unit_price=Decimal("0.75"))

    quoted = quoting.quote(product, quantity=Decimal(10), currency=currency, on=DAY)

    assert str(quoted.amount) == net


def test_nothing_is_quoted_before_the_first_price_nor_in_another_currency():
    product = make_price().product

    for currency, day in (("USD", date(2023, 12, 31)), ("EUR", DAY)):
        with pytest.raises(NoPriceInForce):
            quoting.quote(product, quantity=Decimal(1), currency=currency, on=day)


def test_a_quote_on_a_plan_is_of_the_plan_and_else_of_the_list():
    product = make_product()
    plan, unpriced = make_plan(products=[product]), make_plan(products=[product])
    listed = make_price(product=product)
    on_plan = make_price(product=product, plan=plan)
    asked = {"quantity": Decimal(1), "currency": "USD", "on": DAY}

    assert quoting.quote(product, plan=plan, **asked).price == on_plan
    assert quoting.quote(product, plan=unpriced, **asked).price == listed
    assert quoting.quote(product, **asked).price == listed


@pytest.mark.parametrize("model", PriceModel)
def test_the_picture_of_a_price_has_the_amounts_of_the_price(model):
    product = make_product()
    made = make_price(product=product, model=model)
    quoted = quoting.quote(product, quantity=Decimal(1200), currency="USD", on=DAY)

    points = quoting.curve(quoted)

    assert [spot for spot, _ in points] == sorted({spot for spot, _ in points})
    assert points[0][0] == 0
    assert points[-1][0] == (3750 if model == PriceModel.PACKAGE else 1500)
    assert (Decimal(1200), quoted.exact_amount) in points
    assert all(amount == made.terms.exact_amount(spot) for spot, amount in points)


def test_the_picture_shows_both_sides_of_a_jump():
    product = make_product()
    make_price(product=product, model="volume")
    points = dict(quoting.curve(quoting.quote(product, quantity=Decimal(1), currency="USD", on=DAY)))

    assert points[Decimal(100)] == Decimal(55)
    assert points[Decimal("100.000000000001")] == Decimal("40.0000000000004")


def test_plans_are_read_by_those_who_reach_their_seller():
    plan, elsewhere = make_plan(), make_entity(is_seller=True)

    assert queries.plans_for(make_grant(role="VW", entity=plan.entity).user).get() == plan
    assert not queries.plans_for(make_grant(role="VW", entity=elsewhere).user).exists()


@pytest.mark.parametrize(
    ("terms", "furthest"),
    [
        ({"model": "flat"}, "100"),
        ({"model": "graduated"}, "1000"),
        ({"model": "package", "free_quantity": Decimal(500)}, "3500"),
        ({"model": "percentage"}, "100"),
        ({"model": "percentage", "free_amount": Decimal(50)}, "50"),
        ({"model": "percentage", "free_amount": Decimal(50), "maximum_amount": Decimal(29)}, "1050"),
        ({"model": "percentage", "percent": Decimal(0), "maximum_amount": Decimal(29)}, "100"),
    ],
)
def test_the_picture_goes_as_far_as_the_price_has_something_to_show(terms, furthest):
    assert quoting.furthest_of(make_price(**terms).terms) == Decimal(furthest)
