"""Prices of every model, plans and quotes over HTTP."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.access.roles import Role
from billing.entities.tests.makers import make_entity, make_grant
from billing.kernel.ids import uuid7
from billing.subscriptions.api.serializers import PriceCreate, PriceRead
from billing.subscriptions.core.rating import NEEDED, OPTIONAL, PriceModel, PriceTerms
from billing.subscriptions.models import Plan, Price
from billing.subscriptions.tests.makers import make_plan, make_price, make_product

pytestmark = pytest.mark.django_db

ROOT = "/api/v1/enterprise-billing"
READERS = {Role.VIEWER, Role.BILLING_OPERATOR, Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER, Role.AUDITOR}
WRITERS = {Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER}
PEOPLE = sorted(set(Role) - {Role.SERVICE_ACCOUNT})
TIERS = [
    {"up_to": "100", "unit_price": "0.5", "flat_amount": "5"},
    {"up_to": None, "unit_price": "0.25", "flat_amount": "0"},
]
BODIES = {
    "flat": {"flat_amount": "49.9"},
    "per_unit": {"unit_price": "0.0125"},
    "graduated": {"tiers": TIERS},
    "volume": {"tiers": TIERS},
    "package": {"unit_price": "10", "package_size": "1000", "free_quantity": "500"},
    "percentage": {
        "percent": "2.9",
        "per_event_amount": "0.3",
        "free_events": 10,
        "free_amount": "500",
        "minimum_amount": "1",
        "maximum_amount": "100",
    },
    "pass_through": {"markup_percent": "12.5"},
}


def terms(**figures):
    return {"currency": "USD", "starts_on": "2026-01-01", **figures}


@pytest.fixture
def product():
    return make_product()


@pytest.fixture
def manager(api, product):
    return api(make_grant(role=Role.CONTRACT_MANAGER, entity=product.entity).user)


@pytest.mark.parametrize("model", PriceModel)
def test_a_price_of_every_model_goes_in_and_comes_out(model, manager, product):
    address = f"{ROOT}/products/{product.pk}/prices"

    with_tax = model != PriceModel.PASS_THROUGH
    made = manager.post(address, terms(model=model, tax_inclusive=with_tax, **BODIES[model]))

    assert made.status_code == 201, made.data
    assert made.data["tax_inclusive"] is with_tax
    figures = {*PriceTerms.__dataclass_fields__} - {"model"}
    given = BODIES[model]
    assert {name: made.data[name] for name in figures} == dict.fromkeys(figures) | given
    assert (made.data["plan"], made.data["number"], made.data["product"]) == (None, 1, product.pk)
    assert manager.get(made["Location"]).data == made.data


def test_the_examples_of_the_guide_work(manager, product):
    guide = (Path(__file__).parents[3] / "docs" / "integrators.md").read_text()
    bodies = [json.loads(body) for body in re.findall(r"^price '(.*?)'$", guide, re.DOTALL | re.MULTILINE)]
    assert [body["model"] for body in bodies] == list(PriceModel)

    for body in bodies:
        made = manager.post(f"{ROOT}/products/{product.pk}/prices", body)
        assert made.status_code == 201, made.data

    [asked] = re.findall(r"price-quote(\?[^\"]+)", guide)
    quoted = manager.get(f"{ROOT}/products/{product.pk}/price-quote{asked}").data
    assert f'"amount": "{quoted["amount"]}"' in guide


def test_a_price_on_a_plan_names_it_and_can_be_asked_for(manager, product):
    plan = make_plan(products=[product])
    listed = make_price(product=product)
    address = f"{ROOT}/products/{product.pk}/prices"

    made = manager.post(address, terms(model="flat", flat_amount="9", plan=str(plan.pk)))

    assert (made.status_code, made.data["plan"]) == (201, plan.pk)

    def found(query):
        return [row["id"] for row in manager.get(f"{address}?{query}").data["results"]]

    assert found(f"plan={plan.pk}") == [made.data["id"]]
    assert found("is_list_price=true") == [str(listed.pk)]
    assert found("is_list_price=false&model=flat&model=volume") == [made.data["id"]]
    assert found("model=volume") == []


@pytest.mark.parametrize(
    ("_case", "body", "status", "code"),
    [
        ("a tier of numbers", {"model": "volume", "tiers": [{"up_to": None, "unit_price": 1}]}, 400, None),
        (
            "a tier with a member of its own",
            {"model": "volume", "tiers": [TIERS[1] | {"color": "red"}]},
            400,
            None,
        ),
        ("a tier below zero", {"model": "volume", "tiers": [TIERS[1] | {"unit_price": "-1"}]}, 400, None),
        ("tiers that are no list", {"model": "volume", "tiers": {}}, 400, None),
        ("too many tiers", {"model": "volume", "tiers": TIERS[:1] * 101}, 400, None),
        ("no model", {"flat_amount": "1"}, 400, None),
        ("a model there is not", {"model": "barter"}, 400, None),
        ("a fraction of an event", {"model": "percentage", "percent": "1", "free_events": 1.5}, 400, None),
        ("a figure of another model", {"model": "flat", "unit_price": "1"}, 422, "not-a-price-of-its-model"),
        (
            "cost passed on with tax",
            {"model": "pass_through", "markup_percent": "0", "tax_inclusive": True},
            422,
            "pass-through-is-before-tax",
        ),
        ("no tiers", {"model": "volume", "tiers": []}, 422, "not-a-price-of-its-model"),
        ("no open tier", {"model": "volume", "tiers": TIERS[:1]}, 422, "not-a-price-of-its-model"),
        ("below zero", {"model": "flat", "flat_amount": "-1"}, 422, "not-a-price-of-its-model"),
        (
            "a plan there is not",
            {"model": "flat", "flat_amount": "1", "plan": str(uuid7())},
            404,
            "not-found",
        ),
    ],
)
def test_what_is_no_price_is_refused_and_not_added(_case, body, status, code, manager, product):
    answer = manager.post(f"{ROOT}/products/{product.pk}/prices", terms(**body))

    assert answer.status_code == status, answer.data
    assert answer.data["code"] == (code or "invalid-request")
    assert not Price.objects.exists()


def test_a_plan_of_another_seller_does_not_exist(manager, product):
    theirs = make_plan(products=[make_product()])
    body = terms(model="flat", flat_amount="1", plan=str(theirs.pk))

    assert manager.post(f"{ROOT}/products/{product.pk}/prices", body).status_code == 404
    assert manager.get(f"{ROOT}/plans/{theirs.pk}").status_code == 404
    assert manager.patch(f"{ROOT}/plans/{theirs.pk}", {"name": "Mine"}).status_code == 404
    assert manager.get(f"{ROOT}/plans").data["results"] == []
    quote = f"{ROOT}/products/{product.pk}/price-quote?quantity=1&currency=USD&plan={theirs.pk}"
    assert manager.get(quote).status_code == 404
    assert not Price.objects.exists()


def test_a_quote_shows_the_amount_and_how_it_comes_about(manager, product):
    plan = make_plan(products=[product])
    listed = make_price(product=product, model="graduated")
    address = f"{ROOT}/products/{product.pk}/price-quote"

    answer = manager.get(f"{address}?quantity=150.123&currency=USD&on=2026-03-01&plan={plan.pk}")

    assert answer.status_code == 200, answer.data
    assert (answer.data["price"]["id"], answer.data["price"]["number"]) == (str(listed.pk), 1)
    assert {
        name: answer.data[name]
        for name in ("product", "quantity", "events", "currency", "exact_amount", "amount")
    } == {
        "product": str(product.pk),
        "quantity": "150.123",
        "events": 0,
        "currency": "USD",
        "exact_amount": "75.0492",
        "amount": "75.05",
    }
    assert answer.data["steps"] == [
        {"label": "Up to 100", "quantity": "100", "unit_price": "0.5", "amount": "50"},
        {"label": "Up to 100: flat amount", "quantity": None, "unit_price": None, "amount": "5"},
        {
            "label": "Over 100, up to 1,000",
            "quantity": "50.123",
            "unit_price": "0.4",
            "amount": "20.0492",
        },
    ]


def test_a_quote_of_a_percentage_counts_its_events_and_is_of_today_unless_told(manager, product):
    make_price(product=product, model="percentage", per_event_amount=Decimal("0.30"), free_events=10)
    address = f"{ROOT}/products/{product.pk}/price-quote?quantity=1000&currency=USD"

    assert manager.get(f"{address}&events=12").data["amount"] == "29.60"
    assert manager.get(address).data["amount"] == "29.00"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("currency=USD", 400, "invalid-request"),
        ("quantity=1", 400, "invalid-request"),
        ("quantity=-1&currency=USD", 400, "invalid-request"),
        ("quantity=1e3&currency=USD", 400, "invalid-request"),
        ("quantity=1&currency=XYZ", 400, "invalid-request"),
        ("quantity=1&currency=USD&events=-1", 400, "invalid-request"),
        ("quantity=1&currency=USD&colour=red", 400, "unknown-parameter"),
        ("quantity=1&currency=EUR", 422, "no-price-in-force"),
        ("quantity=1&currency=USD&on=2023-12-31", 422, "no-price-in-force"),
    ],
)
def test_a_quote_of_nothing_is_refused_with_a_reason(query, status, code, manager, product):
    make_price(product=product)

    answer = manager.get(f"{ROOT}/products/{product.pk}/price-quote?{query}")

    assert (answer.status_code, answer.data["code"]) == (status, code)


def plan_body(product, **members):
    return {
        "entity": str(product.entity_id),
        "code": "basic",
        "name": "Basic",
        "interval": "month",
        "items": [{"product": str(product.pk), "timing": "in_advance", "basis": "quantity"}],
        **members,
    }


def test_a_plan_is_written_and_read_over_http(manager, product):
    made = manager.post(f"{ROOT}/plans", plan_body(product, trial_days=14))

    assert made.status_code == 201, made.data
    assert made.data["items"] == [
        {
            "position": 1,
            "product": product.pk,
            "code": product.code,
            "timing": "in_advance",
            "basis": "quantity",
        }
    ]
    assert (made.data["interval"], made.data["interval_count"], made.data["trial_days"]) == ("month", 1, 14)
    address = f"{ROOT}/plans/{made.data['id']}"
    changed = manager.patch(address, {"is_active": False}, headers={"If-Match": made["ETag"]})
    assert (changed.status_code, changed.data["is_active"], changed.data["version"]) == (200, False, 2)
    assert manager.patch(address, {"name": "X"}, headers={"If-Match": made["ETag"]}).status_code == 412
    replaced = manager.put(address, {"name": "Classic", "trial_days": 7, "is_active": True})
    assert (replaced.data["name"], replaced.data["trial_days"]) == ("Classic", 7)
    assert manager.patch(address, {"interval": "year"}).status_code == 400

    for query, count in (
        ("search=class", 1),
        ("interval=month&interval=year", 1),
        ("interval=year", 0),
        (f"product={product.pk}", 1),
        (f"product={uuid7()}", 0),
        ("code=BASIC&is_active=true", 1),
        (f"entity={uuid7()}", 0),
    ):
        assert len(manager.get(f"{ROOT}/plans?{query}").data["results"]) == count, query


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"items": []}, 400, "invalid-request"),
        ({"items": [{"product": "x", "timing": "in_advance", "basis": "fixed"}]}, 400, "invalid-request"),
        ({"interval": "fortnight"}, 400, "invalid-request"),
        ({"interval_count": 0}, 400, "invalid-request"),
        ({"trial_days": 1.5}, 400, "invalid-request"),
        ({"code": "TAKEN"}, 409, "plan-code-taken"),
        (
            {"items": [{"product": str(uuid7()), "timing": "in_advance", "basis": "fixed"}]},
            422,
            "plan-item-not-possible",
        ),
    ],
)
def test_what_is_no_plan_is_refused_and_not_made(change, status, code, manager, product):
    make_plan(products=[product], code="taken")

    answer = manager.post(f"{ROOT}/plans", plan_body(product) | change)

    assert (answer.status_code, answer.data["code"]) == (status, code)
    assert Plan.objects.count() == 1


@pytest.mark.parametrize("role", PEOPLE)
def test_who_may_read_and_who_may_make_plans(api, role, product):
    plan = make_plan(products=[product])
    make_price(product=product)
    client = api(make_grant(role=role, entity=product.entity).user)
    quote = f"{ROOT}/products/{product.pk}/price-quote?quantity=1&currency=USD"

    assert client.get(f"{ROOT}/plans/{plan.pk}").status_code == (200 if role in READERS else 403)
    assert client.get(quote).status_code == (200 if role in READERS else 403)
    changed = client.patch(f"{ROOT}/plans/{plan.pk}", {"name": "New"})
    assert changed.status_code == (200 if role in WRITERS else 403)
    made = client.post(f"{ROOT}/plans", plan_body(product))
    assert made.status_code == (201 if role in WRITERS else 403)
    assert Plan.objects.count() == (2 if role in WRITERS else 1)


def test_a_plan_is_made_only_for_a_seller_one_may_act_for(api, product):
    client = api(make_grant(role=Role.FINANCE_CONTROLLER, entity=make_entity(is_seller=True)).user)

    assert client.post(f"{ROOT}/plans", plan_body(product)).status_code == 400
    assert not Plan.objects.exists()


FIGURE = st.decimals(min_value=0, max_value=10**15, places=12, allow_nan=False) | st.decimals(
    min_value=0, max_value=100, places=2, allow_nan=False
)
ABOVE_ZERO = st.decimals(min_value="0.000000000001", max_value=10**15, places=12, allow_nan=False)


@st.composite
def figures_of_a_model(draw) -> dict:
    model = draw(st.sampled_from(sorted(PriceModel)))
    optional = draw(st.sets(st.sampled_from(sorted(OPTIONAL[model])))) if model in OPTIONAL else set()
    made = {"model": model}
    for name in sorted(NEEDED[model] | optional):
        if name == "tiers":
            edges = sorted(draw(st.sets(ABOVE_ZERO, max_size=6)))
            made[name] = [
                {
                    "up_to": None if edge is None else f"{edge:f}",
                    "unit_price": f"{draw(FIGURE):f}",
                    "flat_amount": f"{draw(FIGURE):f}",
                }
                for edge in [*edges, None]
            ]
        elif name == "free_events":
            made[name] = draw(st.integers(0, 2**31 - 1))
        elif name == "markup_percent":
            made[name] = draw(FIGURE) - Decimal("99.99")
        else:
            made[name] = draw(ABOVE_ZERO if name == "package_size" else FIGURE)
    if {"minimum_amount", "maximum_amount"} <= made.keys():
        both = made["minimum_amount"], made["maximum_amount"]
        made["minimum_amount"], made["maximum_amount"] = min(both), max(both)
    return made


@given(figures=figures_of_a_model())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_read_can_be_sent_and_is_the_same_price(figures):
    made = make_price(**dict.fromkeys(PriceTerms.__dataclass_fields__) | {"tiers": None} | figures)
    made.refresh_from_db()

    body = PriceRead(made).data
    sent = PriceCreate(data={name: body[name] for name in PriceCreate().fields})
    sent.is_valid(raise_exception=True)
    again = make_price(product=make_product(), **sent.validated_data)

    again.refresh_from_db()
    assert again.terms == made.terms
    assert again.tiers == made.tiers
