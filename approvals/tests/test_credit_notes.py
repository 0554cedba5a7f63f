"""Credit notes above a limit: refused without approval, issued once with it, also against raw SQL."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from approvals import services
from approvals.errors import InvolvedMayNotDecide
from approvals.kinds import EFFECTS
from approvals.models import ApprovalEffect, ApprovalRuleVersion
from approvals.reactions import require_approval_above_limits
from approvals.services.credit_notes import CREDIT_NOTE
from approvals.states import RequestState
from approvals.tests.makers import asks, decide, make_approval_rule, make_approver
from billing.entities.tests.makers import make_grant
from billing.invoicing import services as invoicing
from billing.invoicing.errors import RefundRequiresApproval
from billing.invoicing.models import CreditNote
from billing.kernel import approval
from billing.kernel.approval import ApprovalRequired
from billing.kernel.invariant_checks import find_violations
from billing.kernel.models import AuditEntry
from billing.kernel.tests.commits import as_if_committed
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.payments.tests.makers import make_open_invoice, make_payment

pytestmark = pytest.mark.django_db
API = "/api/v1/enterprise-billing/"


@pytest.fixture
def invoice():
    return make_open_invoice(total="20000.00")


@pytest.fixture
def boss(invoice):
    """Asked about credits over 10,000 EUR."""
    boss = make_approver(invoice.seller)
    make_approval_rule(invoice.seller, asks(boss), kind=CREDIT_NOTE, above_amount="10000")
    make_approval_rule(invoice.seller, asks(boss), kind=CREDIT_NOTE, is_fallback=True)
    return boss


@pytest.fixture
def clerk(invoice):
    return make_grant(role="BO", entity=invoice.seller).user


def credit(invoice, clerk, net="10000.01"):
    made = invoicing.issue_credit_note(
        actor=f"user:{clerk.pk}",
        invoice_id=invoice.pk,
        issued_on=timezone.now().date(),
        reason="late",
        net_amount=Decimal(net),
    )
    as_if_committed()
    return made


def ask(invoice, clerk, net="10000.01"):
    return services.request_credit_note(
        actor=f"user:{clerk.pk}",
        invoice_id=invoice.pk,
        reason="late",
        net_amount=Decimal(net),
        at=timezone.now(),
    )


def test_up_to_the_limit_nobody_is_asked_and_above_it_nothing_happens_without_consent(invoice, boss, clerk):
    with pytest.raises(ApprovalRequired):
        credit(invoice, clerk, "10000.01")
    assert not CreditNote.objects.exists()
    assert credit(invoice, clerk, "10000.00").total_amount == Decimal("10000.00")


def test_with_the_consent_it_is_issued_by_who_asked(invoice, boss, clerk):
    request = ask(invoice, clerk)
    assert (request.amount, request.entity_id) == (Decimal("10000.01"), invoice.customer_id)
    assert not CreditNote.objects.exists()

    assert decide(request, boss).state == RequestState.APPROVED

    note = CreditNote.objects.get()
    assert (note.total_amount, note.reason, note.issued_on) == (
        Decimal("10000.01"),
        "late",
        timezone.now().date(),
    )
    assert ApprovalEffect.objects.get().outcome == {"credit_note": str(note.pk), "number": note.number}
    assert AuditEntry.objects.get(action="credit_note.issued").actor == f"user:{clerk.pk}"
    assert_invariants_hold()
    with pytest.raises(ApprovalRequired):
        credit(invoice, clerk, "9999.99")  # what was approved counts, too


def test_small_ones_in_a_day_are_one_large_one(invoice, boss, clerk):
    credit(invoice, clerk, "6000.00")
    with pytest.raises(ApprovalRequired):
        credit(invoice, make_grant(role="BO", entity=invoice.seller).user, "4000.01")
    request = ask(invoice, clerk, "4000.01")
    assert request.matched_amount == Decimal("10000.01")
    assert request.snapshot["above_amount"] == "10000.0000"
    decide(request, boss)
    assert CreditNote.objects.count() == 2


def test_other_terms_than_those_approved_are_not_carried_out(invoice, boss, clerk, monkeypatch):
    request = ask(invoice, clerk)

    def other(request):
        return {"credit_note": str(credit(invoice, clerk, "10000.02").pk)}

    monkeypatch.setitem(EFFECTS, CREDIT_NOTE, other)
    with pytest.raises(ApprovalRequired):
        decide(request, boss)
    request.refresh_from_db()
    assert (request.state, CreditNote.objects.count()) == (RequestState.PENDING, 0)


def test_what_changed_meanwhile_is_not_credited(invoice, boss, clerk):
    """All that is left was asked for; less is left when the approval comes."""
    request = services.request_credit_note(
        actor=f"user:{clerk.pk}", invoice_id=invoice.pk, reason="all", at=timezone.now()
    )
    _credited_before(invoice)
    with pytest.raises(ApprovalRequired):
        decide(request, boss)
    assert CreditNote.objects.count() == 1


def _credited_before(invoice) -> None:
    """Long enough ago to be no part of a split."""
    guards, approval.GUARDS[:] = approval.GUARDS[:], []
    try:
        invoicing.issue_credit_note(
            actor="test",
            invoice_id=invoice.pk,
            issued_on=timezone.now().date() - timedelta(days=2),
            reason="before",
            net_amount=Decimal("1.00"),
        )
    finally:
        approval.GUARDS[:] = guards


def test_who_asked_does_not_decide(invoice, boss, clerk):
    controller = make_approver(invoice.seller, role="FC")
    request = ask(invoice, controller)
    with pytest.raises(InvolvedMayNotDecide):
        decide(request, controller)


def test_past_the_guard_the_database_refuses(invoice, boss, clerk, monkeypatch):
    monkeypatch.setattr(approval, "GUARDS", [])
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        credit(invoice, clerk, "10000.01")
    assert refusal.value.__cause__.diag.constraint_name == "credited_with_consent"
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert not CreditNote.objects.exists()
    assert credit(invoice, clerk, "10000.00")


def test_checker_finds_a_note_that_came_past_both_and_none_from_before_the_rule(
    invoice, boss, clerk, monkeypatch
):
    decide(ask(invoice, clerk), boss)
    assert_invariants_hold()
    version = ApprovalRuleVersion.objects.get(above_amount=10000)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE approval_effects SET outcome = '{}'")
        cursor.execute("UPDATE credit_notes SET created_at = created_at + interval '1 hour'")
        cursor.execute("SET session_replication_role = origin")
    found = {each.invariant: each.samples for each in find_violations("approvals") if each.violations}
    assert found == {"AP8 a credit note above a limit was approved": [str(CreditNote.objects.get().pk)]}
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "UPDATE approval_rule_versions SET confirmed_at = now() + interval '2 hours' WHERE id = %s",
            [version.pk],
        )
        cursor.execute("SET session_replication_role = origin")
    assert not [each for each in find_violations("approvals") if each.violations]


def test_consent_to_a_credit_is_none_to_paying_it_back(invoice, clerk):
    """The invoice is paid, so all of the note would be left: above the limit it is kept first."""
    make_payment(amount="20000.00", customer=invoice.customer, seller=invoice.seller)
    boss = make_approver(invoice.seller)
    make_approval_rule(invoice.seller, asks(boss), kind="pay_back", above_amount="10000")

    def credited(net):
        return invoicing.issue_credit_note(
            actor=f"user:{clerk.pk}",
            invoice_id=invoice.pk,
            issued_on=timezone.now().date(),
            reason="late",
            net_amount=Decimal(net),
            remainder_to="refund",
        )

    with pytest.raises(RefundRequiresApproval):
        credited("10000.01")
    assert not CreditNote.objects.exists()
    assert credited("6000.00").remainder_to == "refund"
    with pytest.raises(RefundRequiresApproval):  # two small ones in a day are a large one
        credited("4000.01")
    as_if_committed()


def test_past_the_guard_a_credit_that_is_paid_back_at_once_is_refused(invoice, clerk, monkeypatch):
    make_payment(amount="20000.00", customer=invoice.customer, seller=invoice.seller)
    make_approval_rule(
        invoice.seller, asks(make_approver(invoice.seller)), kind="pay_back", above_amount="10000"
    )
    monkeypatch.setattr(approval, "GUARDS", [])
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        invoicing.issue_credit_note(
            actor="test",
            invoice_id=invoice.pk,
            issued_on=timezone.now().date(),
            reason="late",
            remainder_to="refund",
        )
        as_if_committed()
    assert refusal.value.__cause__.diag.constraint_name == "paid_back_with_consent"
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert not CreditNote.objects.exists()


def test_a_preview_asks_nobody(invoice, boss, clerk):
    note, _ = invoicing.preview_credit_note(
        invoice_id=invoice.pk, issued_on=timezone.now().date(), reason="late", net_amount=Decimal("15000")
    )
    assert note.total_amount == 15000


def test_over_the_api(api, invoice, boss, clerk):
    body = {"invoice": str(invoice.pk), "net_amount": "10000.01", "reason": "late"}

    def post(path, body, user):
        return api(user).post(f"{API}{path}", body, format="json", headers={"Idempotency-Key": str(uuid4())})

    controller = make_grant(role="FC", entity=invoice.seller).user
    offered = post("credit-notes", body, controller)
    assert (offered.status_code, offered.json()["approval_request"]["state"]) == (202, "pending")
    asked = post("approvals/credit-notes", body, clerk)
    assert asked.status_code == 201, asked.json()
    assert (asked.json()["kind"], asked.json()["amount"], asked.json()["state"]) == (
        "credit_note",
        "10000.01",
        "pending",
    )
    stranger = make_grant(role="BO", entity=make_open_invoice().seller).user
    assert post("approvals/credit-notes", body, stranger).status_code == 400
    assert post("approvals/credit-notes", body, boss).status_code == 403
    decision = {"action": "approve", "digest": asked.json()["digest"]}
    done = post(f"approvals/requests/{asked.json()['id']}/process", decision, boss)
    assert done.json()["state"] == "approved"
    assert CreditNote.objects.get().total_amount == Decimal("10000.01")


def test_the_guard_is_asked():
    assert require_approval_above_limits in approval.GUARDS
