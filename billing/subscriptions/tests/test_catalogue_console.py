"""Plans and prices made in the console, and the page on which a quantity is tried."""

import re
from datetime import date
from decimal import Decimal
from html import unescape
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils.html import strip_tags

from billing.entities.tests.makers import make_entity, make_grant
from billing.subscriptions import picture
from billing.subscriptions.console_catalogue import price_in_words
from billing.subscriptions.core.rating import PriceModel
from billing.subscriptions.models import Plan, Price
from billing.subscriptions.tests.makers import item, make_plan, make_price, make_product

pytestmark = pytest.mark.django_db

DAY = "2026-03-01"


@pytest.fixture
def product():
    return make_product(code="seats", name="Seats", unit="seat")


@pytest.fixture
def console(client, product):
    """`console(role)`: a browser in which somebody with this role over the seller is signed in."""

    def sign_in(role="CM"):
        user = make_grant(role=role, entity=product.entity).user
        client.force_login(user, backend="billing.entities.backends.GrantBackend")
        return client

    return sign_in


def page(name, *args):
    return reverse(f"admin:subscriptions_{name}", args=args)


def text_of(response) -> str:
    return re.sub(r"\s+", " ", unescape(strip_tags(response.content.decode())))


def messages_of(response) -> list[str]:
    return [str(message) for message in response.wsgi_request._messages]


def confirm(browser, url, **given):
    return browser.post(url, {"confirm": "yes", "once": uuid4().hex, **given})


def test_a_graduated_price_is_added_with_one_line_per_tier(console, product):
    plan = make_plan(products=[product])

    answer = confirm(
        console(),
        page("product_action_add_price", product.pk),
        plan=str(plan.pk),
        currency="EUR",
        model="graduated",
        tiers="100; 0.50; 5\n 1000 ; 0.40 ;\n\n; 0.25",
        starts_on=DAY,
    )

    assert answer.status_code == 302, text_of(answer)
    made = Price.objects.get()
    assert (made.plan, made.currency, made.starts_on) == (plan, "EUR", date(2026, 3, 1))
    assert made.tiers == [
        {"up_to": "100", "unit_price": "0.5", "flat_amount": "5"},
        {"up_to": "1000", "unit_price": "0.4", "flat_amount": "0"},
        {"up_to": None, "unit_price": "0.25", "flat_amount": "0"},
    ]


@pytest.mark.parametrize(
    ("figures", "complaint"),
    [
        ({"model": "volume", "tiers": "100, 0.50"}, "Line 1: write up to; price of each unit"),
        ({"model": "volume", "tiers": "a; b"}, "A tier's up_to is a decimal number"),
        ({"model": "volume", "tiers": "100; 0.50"}, "The last tier, and only the last, is open"),
        ({"model": "volume"}, "A volume price needs: tiers."),
        ({"model": "flat", "unit_price": "1", "flat_amount": "1"}, "A flat price has no: unit_price."),
        ({"model": "flat", "flat_amount": "-1"}, "flat_amount is not negative."),
    ],
)
def test_what_is_no_price_is_told_and_what_was_typed_is_still_there(figures, complaint, console, product):
    answer = confirm(
        console(), page("product_action_add_price", product.pk), currency="EUR", starts_on=DAY, **figures
    )

    assert answer.status_code == 200
    assert complaint in text_of(answer)
    assert f'<option value="{figures["model"]}" selected' in answer.content.decode()
    assert not Price.objects.exists()


def test_the_form_hides_what_the_model_has_not(console, product):
    body = console().get(page("product_action_add_price", product.pk)).content.decode()

    assert "subscriptions/price_form.js" in body
    assert 'data-models="per_unit package"' in body
    assert 'data-models="graduated volume"' in body


def test_a_price_is_added_on_the_page_of_the_plan_for_what_is_on_it(console, product):
    plan = make_plan(products=[product])
    beside = make_product(entity=product.entity)
    url = page("plan_action_add_price", plan.pk)
    given = {"currency": "EUR", "model": "per_unit", "unit_price": "9.90", "starts_on": DAY}

    refused = confirm(console(), url, product=str(beside.pk), **given)
    made = confirm(console(), url, product=str(product.pk), **given)

    assert "not one of the available choices" in text_of(refused)
    assert made.status_code == 302
    assert Price.objects.get().plan == plan
    assert not Price.objects.get().tax_inclusive


def test_a_price_with_tax_is_added_and_said_to_be_one(console, product):
    given = {"currency": "EUR", "unit_price": "119", "starts_on": DAY, "tax_inclusive": "on"}
    url = page("product_action_add_price", product.pk)

    refused = confirm(
        console(), url, **given | {"model": "pass_through", "unit_price": "", "markup_percent": "0"}
    )
    assert not Price.objects.exists()
    made = confirm(console(), url, **given | {"model": "per_unit"})

    assert "comes before tax" in " ".join(refused.context["form"].non_field_errors())
    assert made.status_code == 302
    assert Price.objects.get().tax_inclusive
    assert "119 EUR, with tax" in text_of(console().get(page("product_change", product.pk)))


def plan_terms(product, **changes):
    rows = {f"items-{row}-{name}": value for row in range(3) for name, value in BLANK.items()}
    return {
        "seller": str(product.entity_id),
        "code": "pro",
        "name": "Pro",
        "interval_count": "3",
        "interval": "month",
        "trial_days": "14",
        "items-TOTAL_FORMS": "3",
        "items-INITIAL_FORMS": "0",
        **rows,
        "items-0-product": str(product.pk),
        **changes,
    }


BLANK = {"product": "", "timing": "in_advance", "basis": "quantity"}


def test_a_plan_is_made_with_its_products_and_says_what_comes_next(console, product):
    storage = make_product(entity=product.entity)
    browser = console()
    assert browser.get(page("plan_add")).status_code == 200
    second = {
        "items-2-product": str(storage.pk),
        "items-2-timing": "in_arrears",
        "items-2-basis": "usage",
    }

    answer = browser.post(page("plan_add"), plan_terms(product, **second))

    plan = Plan.objects.get()
    assert answer.url == page("plan_change", plan.pk)
    assert messages_of(answer) == ["Pro (pro): made. Now give each product its price on it."]
    assert (plan.interval, plan.interval_count, plan.trial_days) == ("month", 3, 14)
    assert [(i.position, i.product, i.timing, i.basis) for i in plan.items.order_by("position")] == [
        (1, product, "in_advance", "quantity"),
        (2, storage, "in_arrears", "usage"),
    ]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"items-0-product": ""}, "A plan has 1 to 100 items."),
        ({"items-0-basis": "usage"}, "Item 1: what is charged by usage is billed in arrears."),
        ({"code": "TAKEN"}, "There is already a plan 'TAKEN'."),
        ({"code": "no good"}, "Enter a valid value."),
    ],
)
def test_what_is_no_plan_is_told_and_what_was_typed_is_still_there(changes, complaint, console, product):
    make_plan(products=[product], code="taken")

    answer = console().post(page("plan_add"), plan_terms(product, **changes))

    assert answer.status_code == 200
    assert complaint in text_of(answer)
    assert 'value="Pro"' in answer.content.decode()
    assert Plan.objects.count() == 1


def test_a_plan_offers_only_what_its_maker_may_sell(console, product):
    foreign, stopped = make_product(), make_product(entity=product.entity, is_active=False)

    shown = console().get(page("plan_add")).content.decode()
    answer = console().post(page("plan_add"), plan_terms(product, **{"items-0-product": str(foreign.pk)}))

    assert str(product.pk) in shown
    assert str(foreign.pk) not in shown
    assert str(stopped.pk) not in shown
    assert "is not one of the available choices" in text_of(answer)
    assert not Plan.objects.exists()


@pytest.mark.parametrize("role", ["VW", "BO", "AU"])
def test_a_reader_makes_no_plan(role, console, product):
    assert console(role).get(page("plan_add")).status_code == 403
    assert console(role).post(page("plan_add"), plan_terms(product)).status_code == 403
    assert not Plan.objects.exists()


def test_the_page_of_a_plan_says_what_it_costs_and_what_is_missing(console, product):
    setup = make_product(code="setup", entity=product.entity)
    plan = make_plan(entity=product.entity, items=[item(product), item(setup, "one_off", "fixed")])
    make_price(product=product, currency="EUR")
    browser = console("VW")

    before = text_of(browser.get(page("plan_change", plan.pk)))
    make_price(product=product, plan=plan, currency="EUR", model="flat")
    make_price(product=setup, plan=plan, currency="USD", model="flat")
    after = text_of(browser.get(page("plan_change", plan.pk)))

    assert "Still without any price: setup." in before
    assert "EUR: 0.25 EUR (list)" in before
    assert "Still without any price" not in after
    assert "EUR: 49.9 EUR flat" in after


def test_a_plan_is_changed_and_taken_off_the_market_by_verbs(console, product):
    plan = make_plan(products=[product], trial_days=7)
    browser = console()

    form = browser.get(page("plan_action_change_plan", plan.pk)).content.decode()
    confirm(browser, page("plan_action_change_plan", plan.pk), name="Classic", trial_days="0")
    confirm(browser, page("plan_action_stop_offering", plan.pk))

    plan.refresh_from_db()
    assert f'value="{Plan.objects.get().code}"' not in form
    assert 'value="7"' in form
    assert (plan.name, plan.trial_days, plan.is_active) == ("Classic", 0, False)
    confirm(browser, page("plan_action_offer_again", plan.pk))
    plan.refresh_from_db()
    assert plan.is_active


def test_a_quantity_is_tried_and_drawn(console, product):
    make_price(product=product, model="graduated")
    url = page("product_try_quantity", product.pk)

    answer = console("VW").get(url, {"quantity": "150.123", "currency": "USD", "on": DAY})

    text, body = text_of(answer), answer.content.decode()
    assert answer.status_code == 200
    assert "75.05 USD exactly 75.0492 USD" in text
    assert "Over 100, up to 1,000 50.123 0.4 20.0492 USD" in text
    assert "over 100 up to 1,000 0.4 USD 0 USD" in text
    assert "150.123 ← 75.05 USD 0.499918" in text
    assert body.count("<svg viewBox") == 1
    assert "<script>" not in body.partition("<main")[2]


@pytest.mark.parametrize("model", PriceModel)
def test_the_page_opens_with_a_telling_quantity_for_every_model(model, console, product):
    plan = make_plan(entity=product.entity, items=[item(product, "in_arrears", "usage")])
    make_price(product=product, plan=plan, model=model, currency="JPY", starts_on=date(2999, 1, 1))

    answer = console("VW").get(page("product_try_quantity", product.pk))

    assert answer.status_code == 200
    assert "<svg viewBox" in answer.content.decode()
    assert "JPY exactly" in text_of(answer)


def test_without_a_price_the_page_says_what_to_do(console, product):
    answer = console("VW").get(page("product_try_quantity", product.pk))

    assert "This product has no price yet. Press “Add price…”" in text_of(answer)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"quantity": "-1", "currency": "USD", "on": DAY}, "greater than or equal to 0"),
        ({"quantity": "1", "currency": "USD", "on": "2001-01-01"}, "has no price in USD on 2001-01-01"),
        ({"quantity": "x", "currency": "EUR", "on": "never"}, "Enter a number."),
        ({"quantity": "NaN", "currency": "USD", "on": DAY}, "Enter a number."),
        ({"quantity": "1", "currency": "USD", "on": DAY, "plan": str(uuid4())}, "Select a valid choice"),
    ],
)
def test_a_quantity_that_cannot_be_tried_is_told(asked, complaint, console, product):
    make_price(product=product)

    answer = console("VW").get(page("product_try_quantity", product.pk), asked)

    assert answer.status_code == 200
    assert complaint in text_of(answer)
    assert "<svg viewBox" not in answer.content.decode()


@pytest.mark.parametrize("quantity", ["0", "0.000000000001", "9999999999999999"])
def test_any_quantity_can_be_drawn(quantity, console, product):
    make_price(product=product, model="package", package_size=Decimal("0.000000000001"))

    answer = console("VW").get(
        page("product_try_quantity", product.pk), {"quantity": quantity, "currency": "USD", "on": DAY}
    )

    assert "<svg viewBox" in answer.content.decode()


def test_nobody_tries_the_products_of_another_seller(console, client, product):
    make_price(product=product)
    stranger = make_grant(role="FC", entity=make_entity(is_seller=True)).user
    client.force_login(stranger, backend="billing.entities.backends.GrantBackend")
    assert client.get(page("product_try_quantity", product.pk)).status_code == 404
    nobody = make_grant(role="SY", entity=product.entity).user
    client.force_login(nobody, backend="billing.entities.backends.GrantBackend")
    assert client.get(page("product_try_quantity", product.pk)).status_code == 403


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"model": "flat"}, "49.9 USD flat"),
        ({"model": "per_unit"}, "0.25 USD"),
        ({"model": "volume"}, "3 tiers from 0.5 USD"),
        ({"model": "package"}, "10 USD per package of 1,000"),
        ({"model": "package", "free_quantity": Decimal(5)}, "10 USD per package of 1,000, first 5 free"),
        ({"model": "percentage"}, "2.9 %"),
        ({"model": "percentage", "per_event_amount": Decimal("0.3")}, "2.9 % + 0.3 USD per event"),
        ({"model": "pass_through"}, "cost + 0 %"),
        ({"model": "per_unit", "tax_inclusive": True}, "0.25 USD, with tax"),
    ],
)
def test_a_price_in_words(terms, words):
    assert price_in_words(make_price(**terms)) == words


def test_the_page_of_a_price_shows_its_tiers(console, product):
    made = make_price(product=product, model="volume")

    shown = text_of(console("VW").get(page("price_change", made.pk)))

    assert "The tier the quantity lies in prices all of it." in shown
    assert "over 1,000 any more 0.25 USD 0 USD" in shown


@pytest.mark.parametrize(
    ("top", "beyond", "marks"),
    [
        ("100", False, "0 20 40 60 80 100"),
        ("125", False, "0 50 100"),
        ("125", True, "0 50 100 150"),
        ("0.7", False, "0 0.2 0.4 0.6"),
        ("0.000000000001", False, "0 2E-13 4E-13 6E-13 8E-13 1.0E-12"),
    ],
)
def test_axes_have_round_numbers(top, beyond, marks):
    found = picture.ticks(Decimal(top), beyond=beyond)
    assert found == [Decimal(mark) for mark in marks.split()]
