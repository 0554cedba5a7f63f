"""An approval that is refused, and asked for again.

Falken cannot pay an invoice of 11,900.00 EUR (10,000.00 + 19 % tax). A rule says that write-offs above 5,000.00 need an
approver. The operator's write-off is refused; the request is rejected, because nobody has talked to the administrator of
the insolvency; a second request with that answer is approved, and the write-off is performed with it.
"""

from datetime import date
from decimal import Decimal

import pytest
from django.utils import timezone

from approvals import services as approvals
from approvals.models import ApprovalRequest
from approvals.services.rules import RuleTerms
from approvals.states import RequestState
from billing.invoicing import services as invoicing
from billing.invoicing.approval import WRITE_OFF
from billing.invoicing.models import Invoice
from billing.invoicing.states import InvoiceState
from billing.kernel.approval import ApprovalRequired
from billing.kernel.models import AuditEntry
from billing.kernel.tests.commits import as_if_committed
from config.tests.scenarios.steps import (
    actor_of,
    assert_books_are_sound,
    balances,
    employ,
    found_seller,
    fresh,
    issue_one_off,
    offer_product,
    sign_customer,
)

pytestmark = pytest.mark.django_db

ISSUED = date(2025, 11, 1)


@pytest.fixture(autouse=True)
def _in_december(freeze):
    freeze("2025-12-15T10:00:00Z")


@pytest.fixture
def seller():
    return found_seller()


@pytest.fixture
def invoice(seller) -> Invoice:
    customer = sign_customer(seller, "FALKEN")
    return issue_one_off(seller, customer, {offer_product(seller, "STORAGE"): "10000.00"}, on=ISSUED)


@pytest.fixture
def operator(seller):
    return employ(seller, "BO")


@pytest.fixture
def approver(seller):
    """Asked about write-offs above 5,000.00. One controller proposed the rule, another confirmed it."""
    proposer, confirmer, approver = employ(seller, "FC"), employ(seller, "FC"), employ(seller, "AP")
    rule = approvals.propose_rule(
        actor=actor_of(proposer),
        entity_id=seller.pk,
        name="Write-offs above 5,000",
        kind=WRITE_OFF,
        terms=RuleTerms(
            levels=[{"mode": "any", "approvers": [{"kind": "user", "user": str(approver.pk)}]}],
            above_amount=Decimal(5000),
            reason="Decided by the board",
        ),
    )
    approvals.confirm_rule(actor=actor_of(confirmer), rule_id=rule.pk)
    return approver


def request_write_off(invoice, operator, *, comment: str) -> ApprovalRequest:
    request = approvals.request_write_off(
        actor=actor_of(operator),
        invoice_id=invoice.pk,
        reason="Insolvent",
        at=timezone.now(),
        comment=comment,
    )
    as_if_committed()
    return request


def decide(request, approver, decision: str, *, comment: str = "") -> ApprovalRequest:
    decided = approvals.decide_request(
        actor=actor_of(approver),
        request_id=request.pk,
        decision=decision,
        digest=request.digest,
        at=timezone.now(),
        comment=comment,
    )
    as_if_committed()
    return decided


def test_a_large_write_off_is_refused_without_approval(seller, invoice, operator, approver):
    before = balances(seller)

    with pytest.raises(ApprovalRequired):
        invoicing.write_off_invoice(
            actor=actor_of(operator),
            invoice_id=invoice.pk,
            written_off_on=timezone.now().date(),
            reason="Insolvent",
        )

    assert fresh(invoice).balance_amount == Decimal("11900.00")
    assert balances(seller) == before
    assert_books_are_sound()


def test_a_rejected_write_off_changes_nothing(seller, invoice, operator, approver):
    request = request_write_off(invoice, operator, comment="They do not answer")
    before = balances(seller)

    rejected = decide(request, approver, "reject", comment="Ask the administrator first")

    assert (rejected.amount, rejected.state) == (Decimal("11900.00"), RequestState.REJECTED)
    assert fresh(invoice).state == InvoiceState.ISSUED
    assert balances(seller) == before
    assert_books_are_sound()


def test_a_second_request_is_approved_and_performed(seller, invoice, operator, approver):
    first = request_write_off(invoice, operator, comment="They do not answer")
    decide(first, approver, "reject", comment="Ask the administrator first")

    second = request_write_off(invoice, operator, comment="The administrator expects no quota")
    assert second.pk != first.pk
    approved = decide(second, approver, "approve")

    assert approved.state == RequestState.APPROVED
    given_up = fresh(invoice)
    assert (given_up.state, given_up.written_off_amount) == (InvoiceState.UNCOLLECTIBLE, Decimal("11900.00"))
    assert given_up.balance_amount == Decimal(0)
    # 6100 bad debt instead of 1100 receivable; tax and revenue stay
    assert balances(seller) == {
        "2200": Decimal("-1900.00"),
        "4000": Decimal("-10000.00"),
        "6100": Decimal("11900.00"),
    }
    assert AuditEntry.objects.get(action="invoice.written_off").actor == actor_of(operator)
    assert ApprovalRequest.objects.get(pk=first.pk).state == RequestState.REJECTED
    assert_books_are_sound()
