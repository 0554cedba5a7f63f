"""Which GL code a share has, and where it was found."""

from datetime import date
from itertools import combinations

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.errors import GlCodeMissing, MappingOverlaps, MappingUnclear, ValidityEnds
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import CostAllocation, GLCodeMapping
from billing.invoicing.tests.makers import (
    AS_OF,
    make_draft,
    make_invoice,
    make_rule,
    make_seller,
    make_sold_meter,
    to,
)
from billing.kernel.errors import PreconditionFailed
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db

# The most specific first, as it is documented.
ORDER = [
    "product department tax",
    "product department",
    "product tax",
    "department tax",
    "product",
    "department",
    "tax",
]


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def customer(seller):
    customer = make_entity(parent=seller)
    make_department(entity=customer, code="IT", default_gl_code="7000")
    make_rule(customer, to("IT", 100))
    return customer


@pytest.fixture
def meter(seller):
    return make_sold_meter(seller)


def add(entity, gl_code, **overrides):
    values = {"actor": "user:1", "starts_on": date(2024, 1, 1)} | overrides
    return services.add_gl_code_mapping(entity_id=entity.pk, gl_code=gl_code, **values)


def scope(names, meter, customer):
    everything = {
        "product": {"product_id": meter.product_id},
        "department": {"department_id": customer.departments.get(code="IT").pk},
        "tax": {"tax_category": "S"},
    }
    return {key: value for name in names.split() for key, value in everything[name].items()}


def posted(seller, customer, meter):
    [share] = make_invoice(seller=seller, customer=customer, meter=meter).allocations.all()
    return share.gl_code, share.gl_source


@pytest.mark.parametrize(
    ("better", "worse"), [(a, b) for a, b in combinations(ORDER, 2) if ORDER.index(b) == ORDER.index(a) + 1]
)
def test_the_most_specific_mapping_wins(seller, customer, meter, better, worse):
    add(customer, "WORSE", **scope(worse, meter, customer))
    add(seller if "department" not in better else customer, "BETTER", **scope(better, meter, customer))

    assert posted(seller, customer, meter) == ("BETTER", "mapping")
    assert_invariants_hold()


def test_of_as_specific_ones_that_of_the_nearest_entity_wins(seller, customer, meter):
    add(seller, "FAR", product_id=meter.product_id)
    add(customer, "NEAR", product_id=meter.product_id)
    add(make_entity(parent=seller), "ASIDE", product_id=meter.product_id)

    assert posted(seller, customer, meter) == ("NEAR", "mapping")


@pytest.mark.parametrize(
    ("mapped", "of_product", "of_department", "suspense", "expected"),
    [
        ("8000", "6400", "7000", "9999", ("8000", "mapping")),
        (None, "6400", "7000", "9999", ("6400", "product")),
        (None, "", "7000", "9999", ("7000", "department")),
        (None, "", "", "9999", ("9999", "suspense")),
    ],
)
def test_then_the_products_then_the_departments_then_the_suspense_account(
    settings, seller, mapped, of_product, of_department, suspense, expected
):
    settings.SUSPENSE_GL_CODE = suspense
    customer = make_entity(parent=seller)
    customer.departments.update(default_gl_code=of_department)
    meter = make_sold_meter(seller, gl_code=of_product)
    if mapped:
        add(seller, mapped, tax_category="S")

    assert posted(seller, customer, meter) == expected


def test_without_any_it_is_not_issued(seller):
    draft = make_draft(seller=seller, meter=make_sold_meter(seller, gl_code=""))
    add(seller, "8000", tax_category="S", starts_on=date(2024, 9, 2))  # the service starts the day before

    with pytest.raises(GlCodeMissing):
        services.issue_invoice(actor="user:1", invoice_id=draft.pk, issued_on=AS_OF)

    assert not CostAllocation.objects.exists()


def test_the_day_the_service_starts_decides(seller, customer, meter):
    add(customer, "OLD", product_id=meter.product_id, ends_on=date(2024, 9, 1))
    add(customer, "NEW", product_id=meter.product_id, starts_on=date(2024, 9, 1))

    assert posted(seller, customer, meter) == ("NEW", "mapping")


def test_two_for_the_same_at_one_time_are_refused_until_one_ends(seller, customer, meter):
    first = add(customer, "8000", product_id=meter.product_id)

    with pytest.raises(MappingOverlaps):
        add(customer, "8001", product_id=meter.product_id, starts_on=date(2025, 1, 1))
    with pytest.raises(PreconditionFailed):
        end(first, date(2025, 1, 1), version=9)
    for day in (date(2024, 1, 1), date(2023, 1, 1)):
        with pytest.raises(ValidityEnds):
            end(first, day)
    assert GLCodeMapping.objects.get().ends_on is None

    end(first, date(2025, 1, 1))
    add(customer, "8001", product_id=meter.product_id, starts_on=date(2025, 1, 1))

    assert list(GLCodeMapping.objects.order_by("pk").values_list("gl_code", "ends_on")) == [
        ("8000", date(2025, 1, 1)),
        ("8001", None),
    ]


def end(mapping, day, **overrides):
    return services.end_gl_code_mapping(
        actor="user:1", mapping_id=mapping.pk, ends_on=day, reason="new chart", **overrides
    )


def test_mappings_that_are_about_nothing_are_refused(seller, customer, meter):
    stranger = make_entity()
    for overrides in (
        {},
        {"product_id": make_sold_meter(make_seller()).product_id},
        {"department_id": stranger.departments.get().pk},
    ):
        with pytest.raises(MappingUnclear):
            add(customer, "8000", **overrides)
    with pytest.raises(ValidityEnds):
        add(customer, "8000", tax_category="S", ends_on=date(2024, 1, 1))

    assert not GLCodeMapping.objects.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE gl_code_mappings SET gl_code = '1'",
        "UPDATE gl_code_mappings SET ends_on = '2023-01-01'",
        "DELETE FROM gl_code_mappings",
        "INSERT INTO gl_code_mappings (id, version, entity_id, tax_category, gl_code, starts_on)"
        " SELECT gen_random_uuid(), 1, entity_id, 'S', '1', '2030-01-01' FROM gl_code_mappings",
        "INSERT INTO gl_code_mappings (id, version, entity_id, tax_category, gl_code, starts_on)"
        " SELECT gen_random_uuid(), 1, entity_id, '', '1', '2030-01-01' FROM gl_code_mappings",
        "INSERT INTO gl_code_mappings (id, version, entity_id, tax_category, gl_code, starts_on)"
        " SELECT gen_random_uuid(), 1, entity_id, 'E', '', '2030-01-01' FROM gl_code_mappings",
    ],
)
def test_mappings_hold_in_plain_sql(customer, sql):
    add(customer, "8000", tax_category="S")

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)

    assert GLCodeMapping.objects.get().gl_code == "8000"


@pytest.mark.parametrize(
    ("check", "sql"),
    [
        (
            "R3 no two GL codes for the same at one time",
            "ALTER TABLE gl_code_mappings DROP CONSTRAINT one_gl_code_mapping_at_a_time;"
            " INSERT INTO gl_code_mappings (id, version, entity_id, tax_category, gl_code, starts_on)"
            " SELECT gen_random_uuid(), 1, entity_id, 'S', '1', '2030-01-01' FROM gl_code_mappings",
        ),
        (
            "R3 shares under a mapped GL code name the mapping",
            "SET session_replication_role = replica; UPDATE gl_code_mappings SET gl_code = '1'",
        ),
    ],
)
def test_checker_finds_mappings_that_were_tampered_with(seller, customer, meter, check, sql):
    add(customer, "8000", tax_category="S")
    assert posted(seller, customer, meter) == ("8000", "mapping")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(CHECKS[check])
        assert not cursor.fetchall()
        cursor.execute(sql)
        cursor.execute(CHECKS[check])
        assert cursor.fetchall()
        transaction.set_rollback(True)
