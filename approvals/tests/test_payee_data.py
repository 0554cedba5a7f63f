"""Whom the money goes to is changed by two, and who redirected it does not agree to paying it."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from approvals import services
from approvals.errors import InvolvedMayNotDecide, NoApprover
from approvals.models import ApprovalRequest
from approvals.states import RequestState
from approvals.tests import acts
from approvals.tests.makers import asks, asks_role, decide, make_approval_rule, make_approver
from billing.entities import services as entities
from billing.entities.models import BillingEntity
from billing.entities.states import EntityState
from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.models import Invoice
from billing.invoicing.tests.makers import make_one_off, make_seller, one_off_line
from billing.kernel.approval import ApprovalRequired
from billing.kernel.errors import Conflict, PreconditionFailed
from billing.kernel.tests.commits import as_if_committed
from billing.payments.tests.makers import make_open_invoice
from billing.subscriptions.tests.makers import make_product

pytestmark = pytest.mark.django_db
ACCOUNT = {"iban": "DE89370400440532013000"}


def change(entity, actor="test", **changes):
    changed = entities.update_entity(actor=actor, entity_id=entity.pk, changes=changes)
    as_if_committed()
    return changed


def ask(entity, by, version=None, **changes):
    return services.request_payee_data(
        actor=f"user:{by.pk}", entity_id=entity.pk, changes=changes, at=timezone.now(), version=version
    )


@pytest.mark.parametrize("kind", ["", "payee_data"])
def test_a_fallback_is_enough_for_it_to_take_two(kind):
    entity = make_entity()
    make_approval_rule(entity, asks(make_approver(entity)), is_fallback=True, kind=kind)
    with pytest.raises(ApprovalRequired):
        change(entity, tax_id="DE136695976")
    entity.refresh_from_db()
    assert entity.tax_id == ""


def test_a_fallback_of_another_kind_asks_nobody_about_it():
    entity = make_entity()
    make_approval_rule(entity, asks(make_approver(entity)), is_fallback=True, kind="write_off")
    assert change(entity, tax_id="DE136695976").tax_id == "DE136695976"


def test_a_fallback_makes_no_limit_of_other_kinds():
    invoice = make_open_invoice(total="20000.00")
    make_approval_rule(invoice.seller, asks(make_approver(invoice.seller)), is_fallback=True, kind="")
    invoicing.write_off_invoice(
        actor="test", invoice_id=invoice.pk, written_off_on=acts.today(), reason="bankrupt"
    )
    as_if_committed()
    assert Invoice.objects.get(pk=invoice.pk).written_off_amount == 20000


@pytest.mark.parametrize(
    ("state", "changes"),
    [
        (EntityState.ACTIVE, {"name": "New", "email": "new@example.com", "is_seller": True}),
        (EntityState.DRAFT, {"bank_account": ACCOUNT}),
    ],
)
def test_contact_data_and_drafts_take_one(state, changes):
    entity = make_entity(state=state)
    make_approval_rule(entity, asks(make_approver(entity)), is_fallback=True, kind="")
    change(entity, **changes)
    entity.refresh_from_db()
    assert {name: getattr(entity, name) for name in changes} == changes


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("legal_name", "Other Ltd"),
        ("tax_id", "DE136695976"),
        ("country", "FR"),
        ("currency", "USD"),
        ("bank_account", '{"iban": "DE89370400440532013000"}'),
    ],
)
def test_raw_sql_does_not_change_one_of_them(column, value):
    entity = make_entity()
    make_approval_rule(entity, asks(make_approver(entity)), is_fallback=True, kind="")
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE billing_entities SET {column} = %s WHERE id = %s", [value, entity.pk])
        as_if_committed()
    assert refusal.value.__cause__.diag.constraint_name == "payee_changed_with_consent"


def test_what_changes_together_is_asked_for_and_changed_together():
    entity = make_entity()
    boss, controller = make_approver(entity), make_approver(entity, role="FC")
    make_approval_rule(entity, asks(boss), is_fallback=True, kind="")
    request = ask(entity, controller, name="New name", bank_account={"iban": "de89 3704 0044 0532 0130 00"})

    assert request.content["terms"] == {
        "before": {"bank_account": {}, "name": entity.name},
        "after": {"bank_account": ACCOUNT, "name": "New name"},
    }
    assert request.fields == {"bank_account": "changed"}
    decide(request, boss)
    changed = BillingEntity.objects.get(pk=entity.pk)
    assert (changed.name, changed.bank_account) == ("New name", ACCOUNT)


def test_what_somebody_changed_meanwhile_is_not_changed_by_an_old_request():
    entity = make_entity()
    boss, controller = make_approver(entity), make_approver(entity, role="FC")
    make_approval_rule(entity, asks(boss), is_fallback=True, kind="")
    request = ask(entity, controller, name="New name", bank_account=ACCOUNT)
    change(entity, name="Another name")
    with pytest.raises(ApprovalRequired):
        decide(request, boss)
    request.refresh_from_db()
    entity.refresh_from_db()
    assert (request.state, entity.name, entity.bank_account) == (RequestState.PENDING, "Another name", {})


def test_a_version_that_is_not_the_present_one_asks_for_nothing():
    entity = make_entity()
    make_approval_rule(entity, asks(make_approver(entity)), is_fallback=True, kind="")
    with pytest.raises(PreconditionFailed):
        ask(entity, make_approver(entity, role="FC"), version=entity.version + 1, bank_account=ACCOUNT)
    assert not ApprovalRequest.objects.exists()


def test_nobody_is_asked_about_what_needs_nobody():
    entity = make_entity()
    make_approval_rule(entity, asks(make_approver(entity)), is_fallback=True, kind="")
    for changes in ({"name": "New"}, {"tax_id": entity.tax_id}):
        with pytest.raises(Conflict):
            ask(entity, make_approver(entity, role="FC"), **changes)
    assert not ApprovalRequest.objects.exists()
    entity.refresh_from_db()
    assert entity.name != "New"


def test_a_rule_can_name_what_changes():
    entity = make_entity()
    make_approval_rule(
        entity, asks(make_approver(entity)), kind="payee_data", fields={"bank_account": ["changed"]}
    )
    assert change(entity, tax_id="DE136695976").tax_id == "DE136695976"
    with pytest.raises(ApprovalRequired):
        change(entity, bank_account=ACCOUNT)
    with pytest.raises(IntegrityError), transaction.atomic():
        BillingEntity.objects.filter(pk=entity.pk).update(bank_account=ACCOUNT)
        as_if_committed()


@pytest.fixture
def act():
    """Paying back 20,000 to a customer."""
    return acts.pay_back()


def customer_of(act):
    return Invoice.objects.earliest("pk").customer


def test_who_redirected_money_is_not_asked_whether_to_pay_it(act):
    change(customer_of(act), actor=f"user:{act.boss.pk}", bank_account=ACCOUNT)
    with pytest.raises(NoApprover):
        act.ask(act.controller)
    assert not ApprovalRequest.objects.exists()


def test_who_redirects_it_after_he_was_asked_does_not_decide(act):
    request = act.ask(act.controller)
    change(customer_of(act), actor=f"user:{act.boss.pk}", tax_id="DE136695976")
    with pytest.raises(InvolvedMayNotDecide):
        decide(request, act.boss)
    request.refresh_from_db()
    assert (request.state, request.actions.count(), act.is_done()) == (RequestState.PENDING, 1, False)


def test_he_may_again_after_seven_days_and_other_data_redirects_nothing(act):
    request = act.ask(act.controller)
    change(customer_of(act), actor=f"user:{act.boss.pk}", name="New name")
    change(customer_of(act), actor=f"user:{act.boss.pk}", tax_id="DE136695976")
    later = timezone.now() + timedelta(days=7, seconds=1)
    assert decide(request, act.boss, at=later).state == RequestState.APPROVED
    assert act.is_done()


@pytest.mark.parametrize("remainder_to", ["refund", "balance"])
def test_so_it_is_with_a_credit_that_is_paid_back_at_once(remainder_to):
    invoice = make_open_invoice(total="20000.00")
    boss, controller = make_approver(invoice.seller), make_approver(invoice.seller, role="FC")
    make_approval_rule(invoice.seller, asks(boss), kind="credit_note", above_amount="10000")
    change(invoice.customer, actor=f"user:{boss.pk}", bank_account=ACCOUNT)
    terms = {"reason": "late", "net_amount": Decimal("15000"), "remainder_to": remainder_to}

    def asked():
        return services.request_credit_note(
            actor=f"user:{controller.pk}", invoice_id=invoice.pk, at=timezone.now(), **terms
        )

    if remainder_to == "refund":
        with pytest.raises(NoApprover):
            asked()
    else:
        assert decide(asked(), boss).state == RequestState.APPROVED


def test_who_drafted_or_revised_an_invoice_does_not_approve_it():
    seller = make_seller()
    customer = make_entity(parent=seller)
    drafter, reviser, boss = (make_approver(seller, role="FC") for _ in range(3))
    product = make_product(entity=seller)
    draft = make_one_off(
        seller,
        customer,
        actor=f"user:{drafter.pk}",
        lines=[one_off_line(product, unit_price="20000")],
    )
    invoicing.revise_one_off_invoice(
        actor=f"user:{reviser.pk}",
        invoice_id=draft.pk,
        lines=[one_off_line(product, unit_price="30000")],
        as_of=acts.today(),
    )
    as_if_committed()
    make_approval_rule(seller, asks_role("FC"), kind="invoice", above_amount="10000")
    request = services.request_invoice(
        actor=f"user:{make_approver(seller, role='FC').pk}", invoice_id=draft.pk, at=timezone.now()
    )
    assert {drafter.pk, reviser.pk} < set(request.barred)
    for involved in (drafter, reviser):
        with pytest.raises(InvolvedMayNotDecide):
            decide(request, involved)
    assert decide(request, boss).state == RequestState.APPROVED
