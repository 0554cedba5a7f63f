"""The life of a rule: drafted, activated, followed by its next version, retired."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.entities.tests.makers import make_department, make_entity
from billing.invoicing import services
from billing.invoicing.errors import (
    AllocationIncomplete,
    AllocationOver100,
    RuleCodeTaken,
    RuleScopeUnknown,
    TargetsUnclear,
    ValidityEnds,
)
from billing.invoicing.invariants import CHECKS
from billing.invoicing.models import AllocationRule, AllocationRuleVersion, AllocationTarget
from billing.invoicing.services import TargetTerms
from billing.invoicing.tests.makers import (
    make_invoice,
    make_rule,
    make_seller,
    make_sold_meter,
    rule_terms,
    to,
)
from billing.kernel.errors import Conflict, PreconditionFailed
from billing.kernel.models import AuditEntry, AuditKind
from billing.kernel.tests.invariants import assert_invariants_hold

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    customer = make_entity(parent=make_seller())
    for code in ("IT", "OPS"):
        make_department(entity=customer, code=code)
    return customer


def versions_of(rule):
    return [
        (v.number, v.state, v.starts_on.isoformat(), v.ends_on and v.ends_on.isoformat())
        for v in rule.versions.order_by("number")
    ]


def test_a_rule_is_drafted_activated_revised_and_retired(customer):
    rule = make_rule(customer, to("IT", 100))
    assert versions_of(rule) == [(1, "active", "2024-01-01", None)]

    services.revise_allocation_rule(
        actor="user:1", rule_id=rule.pk, terms=rule_terms(to("IT", 60), to("OPS"), starts_on=date(2024, 7, 1))
    )
    draft = services.revise_allocation_rule(
        actor="user:1", rule_id=rule.pk, terms=rule_terms(to("IT", 70), to("OPS"), starts_on=date(2024, 8, 1))
    )
    assert versions_of(rule) == [(1, "active", "2024-01-01", None), (2, "draft", "2024-08-01", None)]
    assert [str(target.percent) for target in draft.targets.all()] == ["70.0000", "None"]

    services.activate_allocation_rule(actor="user:1", rule_id=rule.pk)
    assert versions_of(rule) == [
        (1, "retired", "2024-01-01", "2024-08-01"),
        (2, "active", "2024-08-01", None),
    ]

    services.retire_allocation_rule(
        actor="user:1", rule_id=rule.pk, ends_on=date(2024, 6, 1), reason="all wrong"
    )
    assert versions_of(rule) == [
        (1, "retired", "2024-01-01", "2024-06-01"),
        (2, "retired", "2024-08-01", "2024-08-01"),  # on no day at all
    ]
    said = AuditEntry.objects.filter(kind=AuditKind.VERB, action__startswith="allocation_rule.")
    assert [entry.action.removeprefix("allocation_rule.") for entry in said.order_by("pk")] == [
        "created",
        "activated",
        "revised",
        "revised",
        "activated",
        "retired",
    ]
    assert_invariants_hold()


def test_the_version_of_the_day_divides_also_after_it_was_followed(customer):
    rule = make_rule(customer, to("IT", 100))
    services.revise_allocation_rule(
        actor="user:1", rule_id=rule.pk, terms=rule_terms(to("OPS", 100), starts_on=date(2024, 9, 2))
    )
    services.activate_allocation_rule(actor="user:1", rule_id=rule.pk)

    invoice = make_invoice(seller=customer.parent, customer=customer)  # of 1 to 30 September

    [share] = invoice.allocations.all()
    assert (share.department.code, share.rule_version.number) == ("IT", 1)


def test_what_was_allocated_before_a_rule_ended_stays_right(customer):
    rule = make_rule(customer, to("IT", 100))
    make_invoice(seller=customer.parent, customer=customer)

    services.retire_allocation_rule(actor="user:1", rule_id=rule.pk, ends_on=date(2024, 2, 1), reason="over")

    assert_invariants_hold()


@pytest.mark.parametrize(
    ("targets", "scope", "refusal"),
    [
        ([to("IT", 60), to("OPS", 41)], {}, AllocationOver100),
        ([to("IT", 60), to("OPS", 39)], {}, AllocationIncomplete),
        ([to("IT"), to("OPS")], {}, TargetsUnclear),
        ([to("NOBODY", 100)], {}, RuleScopeUnknown),
        ([to("IT", 100)], {"ends_on": date(2024, 1, 1)}, ValidityEnds),
        (
            [
                TargetTerms(kind="fixed", department_code="IT", amount=Decimal("0.001"), currency="EUR"),
                to("OPS"),
            ],
            {},
            TargetsUnclear,
        ),
        ([TargetTerms(kind="fixed", department_code="IT", amount=Decimal(1)), to("OPS")], {}, TargetsUnclear),
        (
            [
                TargetTerms(kind="fixed", department_code="IT", amount=Decimal(1), currency="EUR"),
                TargetTerms(kind="fixed", department_code="IT", amount=Decimal(1), currency="USD"),
                to("OPS"),
            ],
            {},
            TargetsUnclear,
        ),
        ([TargetTerms(kind="driver", percent=Decimal(100), driver="usage")], {}, TargetsUnclear),
    ],
)
def test_terms_that_cannot_be_kept_are_refused_and_nothing_is_written(customer, targets, scope, refusal):
    before = AuditEntry.objects.count()

    with pytest.raises(refusal):
        make_rule(customer, *targets, **scope)

    assert not AllocationRule.objects.exists()
    assert AuditEntry.objects.count() == before


def test_products_and_meters_are_those_of_who_sells_to_the_entity(customer):
    strange = make_sold_meter(make_seller())
    own = make_sold_meter(customer.parent)

    for scope in ({"product_id": strange.product_id}, {"meter_id": strange.pk}):
        with pytest.raises(RuleScopeUnknown):
            make_rule(customer, to("IT", 100), **scope)
    make_rule(customer, to("IT", 100), product_id=own.product_id, meter_id=own.pk)

    assert AllocationRule.objects.count() == 1


def test_a_code_is_taken_once_per_entity_in_whatever_case(customer):
    make_rule(customer, to("IT", 100), code="cloud")

    with pytest.raises(RuleCodeTaken):
        make_rule(customer, to("IT", 100), code="CLOUD")

    assert AllocationRule.objects.count() == 1


def test_moves_that_are_none_are_refused_and_change_nothing(customer):
    rule = make_rule(customer, to("IT", 100), active=False)
    before = versions_of(rule)

    with pytest.raises(Conflict):
        services.retire_allocation_rule(
            actor="user:1", rule_id=rule.pk, ends_on=date(2024, 2, 1), reason="draft"
        )
    with pytest.raises(PreconditionFailed):
        services.activate_allocation_rule(actor="user:1", rule_id=rule.pk, version=99)
    assert versions_of(rule) == before

    services.activate_allocation_rule(actor="user:1", rule_id=rule.pk)
    with pytest.raises(Conflict):
        services.activate_allocation_rule(actor="user:1", rule_id=rule.pk)
    with pytest.raises(ValidityEnds):
        limited = make_rule(customer, to("IT", 100), ends_on=date(2024, 3, 1))
        services.retire_allocation_rule(
            actor="user:1", rule_id=limited.pk, ends_on=date(2024, 4, 1), reason="later"
        )


def refused(sql, *values, constraint=None):
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    if constraint:
        assert constraint in str(refusal.value)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE allocation_targets SET percent = 99",
        "DELETE FROM allocation_targets",
        "INSERT INTO allocation_targets (rule_version_id, position, kind, department_code, currency, driver)"
        " SELECT id, 9, 'remainder', 'OPS', '', '' FROM allocation_rule_versions",
        "UPDATE allocation_rule_versions SET priority = 1",
        "UPDATE allocation_rule_versions SET starts_on = '2023-01-01'",
        "UPDATE allocation_rule_versions SET state = 'draft'",
        "UPDATE allocation_rule_versions SET state = 'retired'",  # without an end
        "DELETE FROM allocation_rule_versions",
        "UPDATE allocation_rules SET code = 'OTHER'",
        "DELETE FROM allocation_rules",
    ],
)
def test_an_activated_rule_is_final_in_plain_sql(customer, sql):
    make_rule(customer, to("IT", 100))

    refused(sql)

    assert AllocationTarget.objects.get().percent == 100


def test_an_end_only_comes_nearer_in_plain_sql(customer):
    make_rule(customer, to("IT", 100), ends_on=date(2024, 6, 1))

    refused("UPDATE allocation_rule_versions SET ends_on = '2024-07-01'")
    refused("UPDATE allocation_rule_versions SET ends_on = NULL")

    with connection.cursor() as cursor:
        cursor.execute("UPDATE allocation_rule_versions SET ends_on = '2024-05-01'")
    assert AllocationRuleVersion.objects.get().end_noted_at is not None


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE allocation_targets SET percent = 50",
        "DELETE FROM allocation_targets",
        "INSERT INTO allocation_targets (rule_version_id, position, kind, department_code, percent, currency, driver)"
        " SELECT id, 9, 'percent', 'OPS', 0.0001, '', '' FROM allocation_rule_versions",
        "INSERT INTO allocation_targets (rule_version_id, position, kind, department_code, amount, currency, driver)"
        " SELECT id, 9, 'fixed', 'OPS', 5, 'EUR', '' FROM allocation_rule_versions",
        "INSERT INTO allocation_targets (rule_version_id, position, kind, department_code, currency, driver)"
        " SELECT id, n, 'remainder', 'OPS', '', '' FROM allocation_rule_versions, generate_series(8, 9) n",
        "INSERT INTO allocation_rule_versions (id, version, rule_id, number, state, kind, priority, gl_code, line_kind,"
        " currency, starts_on) SELECT gen_random_uuid(), 1, id, 7, 'active', 'standard', 0, '', '', '', '2024-01-01'"
        " FROM allocation_rules",
    ],
)
def test_targets_say_where_everything_goes_in_plain_sql(customer, sql):
    make_rule(customer, to("IT", 100), active=False)

    refused(sql, constraint="")

    assert [target.percent for target in AllocationTarget.objects.all()] == [100]


def test_versions_of_a_rule_never_overlap_in_plain_sql(customer):
    rule = make_rule(customer, to("IT", 100), ends_on=date(2024, 6, 1))
    services.revise_allocation_rule(
        actor="user:1", rule_id=rule.pk, terms=rule_terms(to("IT", 100), starts_on=date(2024, 5, 1))
    )

    refused(
        "UPDATE allocation_rule_versions SET state = 'retired' WHERE number = 1;"
        "UPDATE allocation_rule_versions SET state = 'active' WHERE number = 2",
        constraint="one_rule_version_at_a_time",
    )
    refused(
        "UPDATE allocation_rule_versions SET ends_on = '2024-05-01' WHERE number = 1;"
        "UPDATE allocation_rule_versions SET state = 'active' WHERE number = 2",
        constraint="one_active_version_per_rule",
    )


@pytest.mark.parametrize(
    ("check", "sql"),
    [
        ("R1 targets say where everything goes", "UPDATE allocation_targets SET percent = 99"),
        (
            "R2 shares by a rule name a version of their day and their customer",
            "UPDATE allocation_rule_versions SET starts_on = '2024-09-02'",
        ),
        (
            "R2 shares by a rule name a version of their day and their customer",
            "UPDATE allocation_rule_versions SET ends_on = '2024-09-01', end_noted_at = '2000-01-01'",
        ),
        (
            "R2 shares by a rule name a version of their day and their customer",
            "UPDATE allocation_rules SET entity_id = (SELECT id FROM billing_entities WHERE code = 'STRANGER')",
        ),
    ],
)
def test_checker_finds_rules_that_were_tampered_with(customer, check, sql):
    make_entity(code="STRANGER")
    make_rule(customer, to("IT", 100))
    make_invoice(seller=customer.parent, customer=customer)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CHECKS[check])
        assert not cursor.fetchall()
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql)
        cursor.execute(CHECKS[check])
        assert cursor.fetchall()
        transaction.set_rollback(True)
