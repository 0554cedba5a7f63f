"""Decisions at once: none counts twice, none is lost, the effect runs once."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection, transaction
from django.utils import timezone

from approvals import services
from approvals.errors import DecidedBefore, RequestNotPending
from approvals.kinds import EFFECTS
from approvals.models import ApprovalEffect, ApprovalRequest, ApprovalVote
from approvals.states import RequestState
from approvals.tests.makers import (
    asks,
    decide,
    make_approval_rule,
    make_approver,
    make_request,
    request_terms,
)
from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.models import CreditNote
from billing.kernel.approval import ApprovalRequired
from billing.kernel.errors import DomainError
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.payments.tests.makers import make_draft_invoice, make_open_invoice

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 8
TIMES = 20


@pytest.fixture
def entity():
    return make_entity()


def test_160_decisions_over_a_quorum_of_two_are_two_votes_and_one_effect(entity, monkeypatch):
    """Four people, 40 clicks each: the requester, two approvers, and one who is not asked."""
    ran = []
    monkeypatch.setitem(EFFECTS, "general", lambda request: ran.append(request.pk) or {})
    clerk, a, b, c, stranger = (make_approver(entity, role="FC") for _ in range(5))
    request = make_request(entity, asks(a, b, c, mode="quorum", quorum=2), by=clerk)
    start = Barrier(WORKERS)

    def click(worker: int) -> list:
        outcomes = []
        try:
            start.wait(timeout=20)
            for turn in range(TIMES):
                by = (clerk, a, b, stranger)[(worker + turn) % 4]
                try:
                    decide(request, by)
                    outcomes.append(by.pk)
                except DomainError as refusal:
                    outcomes.append(type(refusal))
        finally:
            connection.close()
        return outcomes

    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = [each for done in pool.map(click, range(WORKERS)) for each in done]

    assert len(outcomes) == 160
    counted = [outcome for outcome in outcomes if not isinstance(outcome, type)]
    assert sorted(counted) == sorted([a.pk, b.pk])
    assert set(ApprovalVote.objects.values_list("person", flat=True)) == {a.pk, b.pk}
    assert ran == [request.pk]
    request.refresh_from_db()
    assert request.state == RequestState.APPROVED
    assert ApprovalEffect.objects.count() == 1
    assert_invariants_hold()


def test_the_same_person_twice_at_once_is_one_vote(entity):
    a, b = make_approver(entity), make_approver(entity)
    request = make_request(entity, asks(a, b, mode="all"))

    with transaction.atomic():
        decide(request, a)
        rival = start_rival(lambda: decide(request, a))

    with pytest.raises(DecidedBefore):
        rival.result(timeout=5)
    assert ApprovalVote.objects.count() == 1


def test_a_consent_and_a_rejection_at_once_are_the_first_of_them(entity):
    a, b = make_approver(entity), make_approver(entity)
    request = make_request(entity, asks(a, b))

    with transaction.atomic():
        decide(request, a, "reject")
        rival = start_rival(lambda: decide(request, b))

    with pytest.raises(RequestNotPending):
        rival.result(timeout=5)
    assert not ApprovalEffect.objects.exists()
    assert_invariants_hold()


def test_a_change_and_a_consent_at_once_never_approve_the_old_content(entity):
    a = make_approver(entity)
    request = make_request(entity, asks(a))
    changed = request_terms(entity, subject_id=request.subject_id, amount="999.00")

    with transaction.atomic():
        services.request_approval(**changed)
        rival = start_rival(lambda: decide(request, a))

    with pytest.raises(RequestNotPending):
        rival.result(timeout=5)
    assert not ApprovalEffect.objects.exists()


def test_two_requests_of_one_subject_at_once_leave_one_pending(entity):
    make_approval_rule(entity, asks(make_approver(entity)), is_fallback=True)
    first = request_terms(entity)
    second = request_terms(entity, subject_id=first["subject_id"], amount="7.00")

    with transaction.atomic():
        services.request_approval(**first)
        rival = start_rival(lambda: services.request_approval(**second))

    assert rival.result(timeout=5).amount == 7
    states = ApprovalRequest.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == [RequestState.SUPERSEDED, RequestState.PENDING]


def test_the_parts_of_a_split_do_not_pass_each_other(entity):
    approver = make_approver(entity)
    make_approval_rule(entity, asks(approver), is_fallback=True)
    make_approval_rule(entity, asks(approver), above_amount="1000", name="over")
    first = request_terms(entity, amount="999.00")
    second = request_terms(entity, amount="999.00") | {"actor": first["actor"]}

    with transaction.atomic():
        services.request_approval(**first)
        rival = start_rival(lambda: services.request_approval(**second))

    assert rival.result(timeout=5).snapshot["name"] == "over"


def test_two_credits_of_a_customer_at_once_are_summed():
    """6,000 each, by two people over two invoices, against a limit of 10,000."""
    first = make_open_invoice(total="20000.00")
    second = make_open_invoice(customer=first.customer, seller=first.seller, total="20000.00")
    make_approval_rule(
        first.seller, asks(make_approver(first.seller)), kind="credit_note", above_amount="10000"
    )
    terms = {"issued_on": timezone.now().date(), "reason": "late", "net_amount": Decimal(6000)}
    one, two = (f"user:{make_approver(first.seller, role='FC').pk}" for _ in range(2))

    with transaction.atomic():
        invoicing.issue_credit_note(actor=one, invoice_id=first.pk, **terms)
        rival = start_rival(lambda: invoicing.issue_credit_note(actor=two, invoice_id=second.pk, **terms))

    with pytest.raises(ApprovalRequired):
        rival.result(timeout=5)
    assert CreditNote.objects.count() == 1
    assert_invariants_hold()


def test_two_write_offs_of_a_customer_at_once_are_summed():
    """6,000 each, by two people over two invoices, against a limit of 10,000."""
    first = make_open_invoice(total="6000.00")
    second = make_open_invoice(customer=first.customer, seller=first.seller, total="6000.00")
    make_approval_rule(
        first.seller, asks(make_approver(first.seller)), kind="write_off", above_amount="10000"
    )
    terms = {"written_off_on": timezone.now().date(), "reason": "bankrupt"}
    one, two = (f"user:{make_approver(first.seller, role='FC').pk}" for _ in range(2))

    with transaction.atomic():
        invoicing.write_off_invoice(actor=one, invoice_id=first.pk, **terms)
        rival = start_rival(lambda: invoicing.write_off_invoice(actor=two, invoice_id=second.pk, **terms))

    with pytest.raises(ApprovalRequired):
        rival.result(timeout=5)
    second.refresh_from_db()
    assert second.written_off_amount == 0
    assert_invariants_hold()


def test_an_invoice_that_changes_while_the_last_consent_is_given_is_not_issued():
    draft = make_draft_invoice(total="20000.00")
    boss, clerk = make_approver(draft.seller), make_approver(draft.seller, role="FC")
    make_approval_rule(draft.seller, asks(boss), kind="invoice", above_amount="10000")
    request = services.request_invoice(actor=f"user:{clerk.pk}", invoice_id=draft.pk, at=timezone.now())

    with transaction.atomic():
        draft.lines.update(description="Something else for the same money")  # locks the draft
        rival = start_rival(lambda: decide(request, boss))

    with pytest.raises(ApprovalRequired):
        rival.result(timeout=5)
    draft.refresh_from_db()
    request.refresh_from_db()
    assert (draft.state, request.state) == ("draft", RequestState.PENDING)


def test_a_broken_effect_leaves_nothing_and_the_next_try_does_it_once(entity, monkeypatch):
    """As after a process that was killed between approval and effect: both are one transaction."""
    a = make_approver(entity)
    request = make_request(entity, asks(a))

    def dies(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(EFFECTS, "general", dies)
    with pytest.raises(KeyboardInterrupt):
        decide(request, a)
    request.refresh_from_db()
    assert (request.state, ApprovalVote.objects.count()) == (RequestState.PENDING, 0)
    monkeypatch.undo()

    assert decide(request, a).state == RequestState.APPROVED
    assert ApprovalEffect.objects.count() == 1
    assert_invariants_hold()
