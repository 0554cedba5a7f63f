from datetime import date
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.access.roles import Role
from billing.entities.tests.makers import make_entity, make_grant
from billing.kernel.errors import Invalid, NotFound, PreconditionFailed
from billing.kernel.ids import uuid7
from billing.kernel.models import AuditEntry
from billing.kernel.tests.races import start_rival
from billing.subscriptions import queries, services
from billing.subscriptions.errors import NotAPriceOfItsModel, NotASeller, PriceOutOfOrder, ProductCodeTaken
from billing.subscriptions.models import Price, Product
from billing.subscriptions.tests.makers import make_price, make_product

ROOT = "/api/v1/enterprise-billing"
READERS = {Role.VIEWER, Role.BILLING_OPERATOR, Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER, Role.AUDITOR}
WRITERS = {Role.CONTRACT_MANAGER, Role.FINANCE_CONTROLLER}
PEOPLE = sorted(set(Role) - {Role.SERVICE_ACCOUNT})


def price(product, **overrides):
    values = {"currency": "USD", "model": "per_unit", "unit_price": Decimal(1), "starts_on": date(2024, 1, 1)}
    return services.add_price(actor="test", product_id=product.pk, **values | overrides)


@pytest.mark.django_db
def test_a_product_is_created_once_per_code_whatever_its_case():
    seller = make_entity(is_seller=True)
    product = services.create_product(actor="test", entity_id=seller.pk, code="Storage", name="Storage")

    with pytest.raises(ProductCodeTaken):
        services.create_product(actor="test", entity_id=seller.pk, code="sTORAGE", name="Again")

    assert Product.objects.get() == product
    assert AuditEntry.objects.get(action="product.created").subject_id == str(product.pk)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "error"),
    [({"entity_id": None}, NotASeller), ({"tax_category": "Q"}, Invalid), ({"entity_id": uuid7()}, NotFound)],
)
def test_refuses_what_is_no_product_and_creates_nothing(change, error):
    values = {"entity_id": make_entity(is_seller=True).pk, "code": "a", "name": "A"} | change
    values["entity_id"] = values["entity_id"] or make_entity().pk

    with pytest.raises(error):
        services.create_product(actor="test", **values)

    assert not Product.objects.exists()


@pytest.mark.django_db
def test_a_change_is_refused_if_the_product_has_changed_since():
    product = make_product()

    with pytest.raises(PreconditionFailed):
        services.update_product(actor="test", product_id=product.pk, changes={"name": "New"}, version=7)
    with pytest.raises(Invalid):
        services.update_product(actor="test", product_id=product.pk, changes={"code": "new"})

    product.refresh_from_db()
    assert (product.name.startswith("Product"), product.version) == (True, 1)


@pytest.mark.django_db
def test_versions_are_numbered_per_product_and_currency():
    product = make_product()

    numbers = [
        price(product, starts_on=date(2024, 1, 1)).number,
        price(product, starts_on=date(2024, 1, 2)).number,
        price(product, currency="EUR", starts_on=date(2023, 1, 1)).number,
        price(make_product()).number,
    ]

    assert numbers == [1, 2, 1, 1]


@pytest.mark.django_db
@pytest.mark.parametrize("starts_on", [date(2024, 1, 1), date(2023, 12, 31)])
def test_a_version_starts_after_the_one_before_it(starts_on):
    product = make_product()
    price(product)

    with pytest.raises(PriceOutOfOrder):
        price(product, starts_on=starts_on)

    assert Price.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"unit_price": None}, NotAPriceOfItsModel),
        ({"markup_percent": Decimal(1)}, NotAPriceOfItsModel),
        ({"unit_price": Decimal(-1)}, NotAPriceOfItsModel),
        ({"model": "pass_through", "unit_price": None, "markup_percent": Decimal(-100)}, NotAPriceOfItsModel),
        ({"model": "pass_through"}, NotAPriceOfItsModel),
        ({"model": "barter"}, NotAPriceOfItsModel),
        ({"unit_price": Decimal("NaN")}, NotAPriceOfItsModel),
        ({"unit_price": Decimal("1E16")}, NotAPriceOfItsModel),
        ({"unit_price": Decimal("0.0000000000001")}, NotAPriceOfItsModel),
        ({"currency": "XYZ"}, Invalid),
    ],
)
def test_refuses_what_is_no_price_and_adds_nothing(change, error):
    product = make_product()

    with pytest.raises(error):
        price(product, **change)

    assert not Price.objects.exists()


@pytest.mark.django_db
def test_a_price_is_never_edited_not_even_by_sql():
    made = make_price()

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Price.objects.filter(pk=made.pk).update(unit_price=0)

    made.refresh_from_db()
    assert made.unit_price == Decimal("0.25")


@pytest.mark.django_db(transaction=True)
def test_of_two_versions_added_at_once_the_second_sees_the_first():
    product = make_product()

    with transaction.atomic():
        price(product)
        rival = start_rival(lambda: price(product, starts_on=date(2024, 2, 1)))

    assert rival.result(timeout=5).number == 2


@pytest.mark.django_db
def test_the_price_in_force_is_the_last_one_that_has_started():
    product, other = make_product(), make_product()
    first, second = price(product), price(product, starts_on=date(2024, 6, 1))
    euro = price(other, currency="EUR")
    wanted = {(product.pk, "USD"), (other.pk, "EUR"), (other.pk, "USD"), (product.pk, "EUR")}

    with CaptureQueriesContext(connection) as statements:
        found = queries.prices_of(wanted, date(2024, 6, 1))

    assert len(statements) == 1
    assert found == {(product.pk, "USD"): second, (other.pk, "EUR"): euro}
    assert queries.price_of(product.pk, "USD", date(2024, 5, 31)) == first
    assert queries.price_of(product.pk, "USD", date(2023, 12, 31)) is None


@pytest.mark.django_db
def test_a_catalogue_is_written_and_read_over_http(api):
    seller = make_entity(is_seller=True)
    client = api(make_grant(role=Role.CONTRACT_MANAGER, entity=seller).user)

    made = client.post(
        f"{ROOT}/products", {"entity": str(seller.pk), "code": "gb", "name": "Storage", "gl_code": "6400"}
    )
    assert made.status_code == 201, made.data
    address = f"{ROOT}/products/{made.data['id']}"
    priced = client.post(
        f"{address}/prices",
        {"currency": "USD", "model": "per_unit", "unit_price": "0.25", "starts_on": "2024-01-01"},
    )
    assert (priced.status_code, priced.data["number"], priced.data["unit_price"]) == (201, 1, "0.25")
    changed = client.patch(address, {"name": "Disk"}, headers={"If-Match": made["ETag"]})
    assert (changed.status_code, changed.data["name"], changed.data["version"]) == (200, "Disk", 2)

    assert [row["id"] for row in client.get(f"{address}/prices?currency=USD").data["results"]] == [
        priced.data["id"]
    ]
    assert client.get(f"{ROOT}/products?search=disk").data["results"][0]["code"] == "gb"
    assert client.patch(address, {"name": "X"}, headers={"If-Match": made["ETag"]}).status_code == 412


@pytest.mark.django_db
@pytest.mark.parametrize("role", PEOPLE)
def test_who_may_read_and_who_may_set_prices(api, role):
    made = make_price()
    product = made.product
    client = api(make_grant(role=role, entity=product.entity).user)
    address = f"{ROOT}/products/{product.pk}"
    terms = {"currency": "USD", "model": "per_unit", "unit_price": "1", "starts_on": "2025-01-01"}

    assert client.get(address).status_code == (200 if role in READERS else 403)
    assert client.get(f"{address}/prices").status_code == (200 if role in READERS else 403)
    assert client.patch(address, {"name": "New"}).status_code == (200 if role in WRITERS else 403)
    assert client.post(f"{address}/prices", terms).status_code == (201 if role in WRITERS else 403)
    assert Price.objects.count() == (2 if role in WRITERS else 1)


@pytest.mark.django_db
def test_the_catalogue_of_another_group_does_not_exist(api):
    theirs = make_price().product
    client = api(make_grant(role=Role.FINANCE_CONTROLLER, entity=make_entity(is_seller=True)).user)

    assert client.get(f"{ROOT}/products").data["results"] == []
    unknown, hidden = (client.get(f"{ROOT}/products/{pk}") for pk in (uuid7(), theirs.pk))
    assert (unknown.status_code, hidden.status_code) == (404, 404)
    assert client.get(f"{ROOT}/products/{theirs.pk}/prices").status_code == 404
    assert client.patch(f"{ROOT}/products/{theirs.pk}", {"name": "Mine"}).status_code == 404
    body = {"entity": str(theirs.entity_id), "code": "x", "name": "X"}
    assert client.post(f"{ROOT}/products", body).status_code == 400
    assert Product.objects.count() == 1
