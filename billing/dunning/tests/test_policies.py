"""Policies and assignments: revised and never edited, one at a time, also against plain SQL."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing.dunning import queries, services
from billing.dunning.errors import (
    AssignmentOverlaps,
    DefaultPolicyExists,
    InvalidAssignmentEndDate,
    InvalidDunningPolicy,
    PolicyCodeTaken,
    PolicyNotActive,
    PolicyOfAnotherSeller,
    SellerRequired,
)
from billing.dunning.invariants import CHECKS
from billing.dunning.models import DunningAssignment, DunningNotice, DunningPolicy, DunningStep, LateFee
from billing.dunning.tests.makers import (
    FEE,
    FINAL,
    FIRST,
    STOP,
    make_draft_policy,
    make_late_invoice,
    make_policy,
    policy_terms,
    run,
)
from billing.dunning.tests.test_running import late
from billing.entities.tests.makers import make_entity
from billing.kernel.errors import Conflict, IllegalMove, Invalid, PreconditionFailed
from billing.kernel.models import AuditEntry
from billing.kernel.tests.races import start_rival
from billing.payments.tests.makers import make_customer, make_seller

pytestmark = pytest.mark.django_db

JANUARY, JUNE = date(2026, 1, 1), date(2026, 6, 1)


def assign(policy, customer, **overrides) -> DunningAssignment:
    return services.assign_policy(
        actor="test", customer_id=customer.pk, policy_id=policy.pk, **{"starts_on": JANUARY} | overrides
    )


def test_steps_are_ordered_by_day_and_a_fee_comes_before_the_letter_that_names_it():
    policy = make_draft_policy(
        steps=[
            {"days_after_due": 9, "effect": "notify", "template": "final_notice"},
            {"days_after_due": 9, "effect": "late_fee", "fee_basis": "flat"},
            {"days_after_due": 1, "effect": "notify", "template": "reminder"},
        ]
    )
    assert [str(step) for step in policy.steps.order_by("position")] == [
        "1. Reminder 1 day after the due day",
        "2. Late fee: flat amount 9 days after the due day",
        "3. Final notice 9 days after the due day",
    ]


@pytest.mark.parametrize(
    ("_case", "terms", "refusal"),
    [
        ("none", {"steps": []}, InvalidDunningPolicy),
        ("too far", {"steps": [{"days_after_due": 1001, "effect": "stop"}]}, InvalidDunningPolicy),
        ("no effect", {"steps": [{"days_after_due": 1, "effect": "shout"}]}, InvalidDunningPolicy),
        ("half a cent", {"amounts": [{"currency": "EUR", "fee_amount": Decimal("0.005")}]}, Invalid),
        ("a fee of nothing", {"amounts": [{"currency": "EUR", "fee_amount": Decimal(0)}]}, Invalid),
    ],
)
def test_what_makes_no_policy_is_refused_and_nothing_is_kept(_case, terms, refusal):
    with pytest.raises(refusal):
        make_draft_policy(**terms)
    assert DunningPolicy.objects.count() == DunningStep.objects.count() == 0


def test_codes_are_taken_whatever_their_case_and_only_sellers_have_policies():
    policy = make_draft_policy(code="Standard")
    with pytest.raises(PolicyCodeTaken):
        make_draft_policy(seller=policy.seller, code="STANDARD")
    with pytest.raises(SellerRequired):
        make_draft_policy(seller=make_customer(parent=policy.seller))
    assert DunningPolicy.objects.count() == 1


def test_of_a_code_one_revision_is_active_and_of_a_seller_one_default():
    first = make_policy()
    second = services.revise_policy(actor="user:1", policy_id=first.pk, **policy_terms(name="New"))
    assert (second.revision, second.state, second.code) == (2, "draft", first.code)

    services.activate_policy(actor="user:2", policy_id=second.pk)

    assert dict(DunningPolicy.objects.values_list("revision", "state")) == {1: "retired", 2: "active"}
    other = make_draft_policy(seller=first.seller)
    with pytest.raises(DefaultPolicyExists):
        services.activate_policy(actor="user:2", policy_id=other.pk)
    with pytest.raises(IllegalMove):
        services.activate_policy(actor="user:2", policy_id=first.pk)
    with pytest.raises(PreconditionFailed):
        services.retire_policy(actor="user:2", policy_id=second.pk, reason="x", version=99)
    assert DunningPolicy.objects.filter(state="active").get() == second
    said = AuditEntry.objects.filter(kind="verb", subject_type="dunning_policies").order_by("id")
    assert [entry.action for entry in said] == [
        "dunning_policy.created",
        "dunning_policy.activated",
        "dunning_policy.revised",
        "dunning_policy.retired",
        "dunning_policy.activated",
        "dunning_policy.created",
    ]


def test_the_nearest_assignment_on_the_day_counts():
    policy = make_policy()
    strict = make_policy(seller=policy.seller, is_default=False)
    group = make_customer(parent=policy.seller)
    child = make_entity(parent=group)
    assign(strict, group, ends_on=JUNE)
    assign(policy, child, starts_on=date(2026, 3, 1))

    def by_on(day: date) -> list:
        found = queries.policies_of([group, child], seller_id=policy.seller_id, on=day)
        return [found[group.pk], found[child.pk]]

    assert by_on(date(2025, 12, 31)) == [policy, policy]
    assert by_on(JANUARY) == [strict, strict]
    assert by_on(date(2026, 3, 1)) == [strict, policy]
    assert by_on(JUNE) == [policy, policy]


def test_assignments_follow_each_other_and_never_overlap():
    policy = make_policy()
    customer = make_customer(parent=policy.seller)
    first = assign(policy, customer, ends_on=JUNE)
    assign(policy, customer, starts_on=JUNE)
    for overlapping in ({"starts_on": date(2026, 5, 31), "ends_on": JUNE}, {"starts_on": date(2027, 1, 1)}):
        with pytest.raises(AssignmentOverlaps):
            assign(policy, customer, **overlapping)
    for day in (JANUARY, JUNE):
        with pytest.raises(InvalidAssignmentEndDate):
            services.end_assignment(actor="test", assignment_id=first.pk, ends_on=day, reason="x")
    assert DunningAssignment.objects.count() == 2


def test_only_active_policies_of_a_seller_above_are_assigned():
    policy, draft = make_policy(), make_draft_policy()
    with pytest.raises(PolicyNotActive):
        assign(draft, make_customer(parent=draft.seller))
    for stranger in (policy.seller, make_customer(parent=make_seller())):
        with pytest.raises(PolicyOfAnotherSeller):
            assign(policy, stranger)
    assert DunningAssignment.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_assignments_waits_and_finds_the_first():
    policy = make_policy()
    customer = make_customer(parent=policy.seller)
    with transaction.atomic():
        assign(policy, customer)
        rival = start_rival(lambda: assign(policy, customer, starts_on=JUNE))
    with pytest.raises(AssignmentOverlaps):
        rival.result()


@pytest.mark.django_db(transaction=True)
def test_of_two_drafts_of_a_revision_one_is_made():
    policy = make_policy()
    with transaction.atomic():
        services.revise_policy(actor="a", policy_id=policy.pk, **policy_terms())
        rival = start_rival(lambda: services.revise_policy(actor="b", policy_id=policy.pk, **policy_terms()))
    with pytest.raises(Conflict):
        rival.result()
    assert DunningPolicy.objects.count() == 2


@pytest.fixture
def scene():
    """A case with everything: reminders, both fees, an assignment, a pause, handed over."""
    seller = make_seller()
    policy = make_policy(seller=seller)
    customer = make_customer(parent=seller, email="ap@example.com")
    invoice = make_late_invoice(customer=customer)
    services.pause_dunning(
        actor="test", invoice_id=invoice.pk, as_of=JANUARY, reason="disputed", amount=Decimal("10.00")
    )
    assign(policy, customer)
    for days in (FIRST, FEE, FINAL, STOP):
        run(seller, late(days))
    return invoice


COPY_NOTICE = """
    INSERT INTO dunning_notices (id, created_at, case_id, invoice_id, customer_id, step_id, outcome, noticed_on,
        days_late, open_amount, collectable_amount, currency, detail)
    SELECT gen_random_uuid(), now(), case_id, invoice_id, customer_id, {step}, outcome, noticed_on,
        days_late, open_amount, {asked}, currency, detail FROM dunning_notices LIMIT 1
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("_case", "statement"),
    [
        ("a step twice", COPY_NOTICE.format(step="step_id", asked="collectable_amount")),
        ("a step after the stop", COPY_NOTICE.format(
            step="(SELECT id FROM dunning_steps WHERE effect = 'suspend')", asked="collectable_amount")),
        ("more than is open", COPY_NOTICE.format(step="step_id", asked="open_amount + 1")),
        ("a notice changed", "UPDATE dunning_notices SET collectable_amount = 1"),
        ("a notice gone", "DELETE FROM dunning_notices"),
        ("a case reopened", "UPDATE dunning_cases SET state = 'open'"),
        ("a case closed without a day", "UPDATE dunning_cases SET state = 'closed'"),
        ("a step of an active policy", "INSERT INTO dunning_steps SELECT gen_random_uuid(), now(), 99, 900, 'suspend',"
            " '', '', id FROM dunning_policies"),
        ("a step changed", "UPDATE dunning_steps SET days_after_due = 1"),
        ("a policy renamed", "UPDATE dunning_policies SET name = 'x'"),
        ("a policy drafted again", "UPDATE dunning_policies SET state = 'draft'"),
        ("amounts changed", "UPDATE dunning_amounts SET fee_amount = 1"),
        ("a pause made larger", "UPDATE dunning_pauses SET amount = 99"),
        ("a pause that ends before it starts", "UPDATE dunning_pauses SET ends_on = starts_on - 1"),
        ("a fee made larger", "UPDATE late_fees SET amount = 99"),
        ("a fee gone", "DELETE FROM late_fees"),
        ("a fee unwaived", "UPDATE late_fees SET state = 'billed'"),
        ("an assignment of nobody's customer", "UPDATE dunning_assignments SET customer_id = seller_id"),
        ("an assignment that never was", "UPDATE dunning_assignments SET ends_on = starts_on"),
        ("everything", "TRUNCATE dunning_cases CASCADE"),
    ],
)  # fmt: skip
def test_the_database_holds_it_too(scene, _case, statement):
    before = everything()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert everything() == before


def everything() -> list:
    with connection.cursor() as cursor:
        found = []
        for table in ("cases", "notices", "pauses", "policies", "steps", "amounts", "assignments"):
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM dunning_{table} t")
            found += cursor.fetchone()
        return found


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("D1 a step of an invoice is noticed once",
         "ALTER TABLE dunning_notices DROP CONSTRAINT one_dunning_notice_per_step;"
         + COPY_NOTICE.format(step="step_id", asked="collectable_amount")),
        ("D1 steps are those of the case's policy, about the case's invoice",
         "UPDATE dunning_notices SET customer_id = (SELECT parent_id FROM billing_entities WHERE id = customer_id)"),
        ("D2 a reminder that was taken has its letter, to its customer",
         "UPDATE dunning_notices SET mail_id = NULL"),
        ("D3 a late fee is what its derivation comes to", "UPDATE late_fees SET amount = amount + 0.01"),
        ("D3 a late fee that was taken is kept, in the invoice's currency", "UPDATE late_fees SET currency = 'USD'"),
        ("D4 handed over if and only if stopped", "UPDATE dunning_cases SET state = 'open'"),
        ("D5 one policy at a time, of a seller above the customer",
         "UPDATE dunning_assignments SET seller_id = customer_id"),
        ("D7 nothing comes after a stop", "UPDATE dunning_steps SET effect = 'stop' WHERE position = 1"),
    ],
)  # fmt: skip
def test_what_goes_wrong_nevertheless_is_found(scene, check, damage):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for sound in CHECKS.values():
            cursor.execute(sound)
            assert cursor.fetchall() == []
        cursor.execute("ALTER TABLE dunning_steps DROP CONSTRAINT dunning_step_has_what_its_effect_needs")
        cursor.execute("ALTER TABLE dunning_steps DROP CONSTRAINT dunning_step_only_notes_before_due")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(damage)
        cursor.execute(CHECKS[check])
        assert cursor.fetchall() != []
        cursor.execute("SET session_replication_role = origin")


def test_interest_is_never_charged_twice_for_a_day(scene):
    refused = pytest.raises(IntegrityError, match="no_day_bears_interest_twice")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("""
            INSERT INTO late_fees (id, version, created_at, updated_at, notice_id, invoice_id, customer_id, step_id, basis,
                amount, currency, charged_on, starts_on, ends_on, percent, reference, derivation, state)
            SELECT gen_random_uuid(), 1, now(), now(), (SELECT id FROM dunning_notices WHERE outcome = 'skipped' LIMIT 1),
                invoice_id, customer_id, (SELECT step_id FROM dunning_notices WHERE outcome = 'skipped' LIMIT 1), basis,
                amount, currency, charged_on, ends_on - 1, ends_on + 1, percent, reference, derivation, state
            FROM late_fees WHERE basis = 'interest'
        """)
    assert DunningNotice.objects.filter(outcome="taken").count() == 5
    assert LateFee.objects.count() == 2
