"""What others do to the same thing while approval of an act is asked for or given."""

from datetime import date

import pytest
from django.db import transaction

from approvals.errors import RequestNotPending
from approvals.models import ApprovalEffect, ApprovalRequest
from approvals.states import RequestState
from approvals.tests.acts import pay_back, reopening, today
from approvals.tests.makers import asks, decide, make_approval_rule, make_approver
from billing.invoicing import services as invoicing
from billing.invoicing.errors import CreditToBePaidBack
from billing.invoicing.models import CreditApplication, CreditNote
from billing.kernel.approval import ApprovalRequired
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.ledger import services as ledger
from billing.ledger.errors import PeriodsOutOfOrder
from billing.ledger.models import AccountingPeriod
from billing.ledger.states import PeriodState
from billing.ledger.tests.makers import make_entry
from billing.payments.tests.makers import make_open_invoice, make_payment

pytestmark = pytest.mark.django_db(transaction=True)


def state_of(request: ApprovalRequest) -> str:
    return ApprovalRequest.objects.get(pk=request.pk).state


# --- a month


@pytest.fixture
def month():
    """A closed one whose reopening needs approval, and the next is about to be closed."""
    act = reopening()
    make_entry(act.place, posted_on=next_month(act).replace(day=2))
    ledger.begin_closing_period(period_id=following(act).pk, actor="user:1")
    return act


def next_month(act) -> date:
    return act.subject.ends_on


def following(act) -> AccountingPeriod:
    return AccountingPeriod.objects.get(entity=act.place, starts_on=next_month(act))


def close_next(act) -> AccountingPeriod:
    return ledger.close_period(period_id=following(act).pk, actor="user:2")


def test_a_month_is_not_reopened_behind_the_next_that_is_being_closed(month):
    request = month.ask(month.controller)

    with transaction.atomic():
        close_next(month)
        rival = start_rival(lambda: decide(request, month.boss))

    with pytest.raises(PeriodsOutOfOrder):
        rival.result(timeout=5)
    assert (state_of(request), month.is_done()) == (RequestState.PENDING, False)
    assert following(month).state == PeriodState.CLOSED
    assert_invariants_hold()


def test_the_next_month_is_not_closed_behind_one_that_is_being_reopened(month):
    request = month.ask(month.controller)

    with transaction.atomic():
        decide(request, month.boss)
        rival = start_rival(lambda: close_next(month))

    with pytest.raises(PeriodsOutOfOrder):
        rival.result(timeout=5)
    assert (state_of(request), month.is_done()) == (RequestState.APPROVED, True)
    assert following(month).state == PeriodState.CLOSING
    assert_invariants_hold()


def test_no_reopening_is_asked_for_once_the_next_month_is_closed(month):
    with transaction.atomic():
        close_next(month)
        rival = start_rival(lambda: month.ask(month.controller))

    with pytest.raises(PeriodsOutOfOrder):
        rival.result(timeout=5)
    assert not ApprovalRequest.objects.exists()


# --- a credit that is paid back


@pytest.fixture
def credit():
    return pay_back()


def test_of_two_last_consents_to_a_pay_back_one_is_given():
    credit = pay_back()
    second = make_approver(credit.place)
    make_approval_rule(credit.place, asks(credit.boss, second), kind="pay_back", priority=-1)
    request = credit.ask(credit.controller)

    with transaction.atomic():
        decide(request, credit.boss)
        rival = start_rival(lambda: decide(request, second))

    with pytest.raises(RequestNotPending):
        rival.result(timeout=5)
    assert (ApprovalEffect.objects.count(), credit.is_done()) == (1, True)
    assert_invariants_hold()


def test_the_request_that_another_takes_the_place_of_is_not_approved_meanwhile(credit):
    """Two controllers ask for the same credit to be paid back: one request is left."""
    first = credit.ask(credit.controller)
    other = make_approver(credit.place, role="FC")

    with transaction.atomic():
        second = credit.ask(other)
        rival = start_rival(lambda: decide(first, credit.boss))

    with pytest.raises(RequestNotPending):
        rival.result(timeout=5)
    assert (state_of(first), credit.is_done()) == (RequestState.SUPERSEDED, False)
    decide(second, credit.boss)
    assert credit.is_done()
    assert ApprovalEffect.objects.get().request_id == second.pk
    assert_invariants_hold()


def test_the_request_that_is_being_approved_is_not_superseded(credit):
    first = credit.ask(credit.controller)
    other = make_approver(credit.place, role="FC")

    with transaction.atomic():
        decide(first, credit.boss)
        rival = start_rival(lambda: credit.ask(other))

    with pytest.raises(Exception, match="to be paid back already"):
        rival.result(timeout=5)
    assert ApprovalRequest.objects.get().state == RequestState.APPROVED
    assert_invariants_hold()


def test_a_consent_meets_another_amount_once_a_part_was_applied(credit):
    request = credit.ask(credit.controller)

    with transaction.atomic():
        credit.change()
        rival = start_rival(lambda: decide(request, credit.boss))

    with pytest.raises(ApprovalRequired):
        rival.result(timeout=5)
    assert (state_of(request), credit.is_done()) == (RequestState.PENDING, False)
    assert CreditApplication.objects.filter(credit_note=credit.subject).count() == 1
    assert_invariants_hold()


def test_nothing_is_applied_of_a_credit_that_is_being_approved_to_be_paid_back(credit):
    request = credit.ask(credit.controller)

    with transaction.atomic():
        decide(request, credit.boss)
        rival = start_rival(credit.change)

    with pytest.raises(CreditToBePaidBack):
        rival.result(timeout=5)
    assert (state_of(request), credit.is_done()) == (RequestState.APPROVED, True)
    assert not CreditApplication.objects.filter(credit_note=credit.subject).exists()
    assert_invariants_hold()


def credited(customer, seller) -> CreditNote:
    invoice = make_open_invoice(customer=customer, seller=seller, total="6000.00")
    make_payment(customer=customer, seller=seller, amount="6000.00")
    return invoicing.issue_credit_note(actor="test", invoice_id=invoice.pk, issued_on=today(), reason="late")


def test_two_pay_backs_of_a_customer_at_once_are_summed():
    """6,000 each, by two people from two notes, against a limit of 10,000."""
    invoice = make_open_invoice(total="1.00")
    place = {"customer": invoice.customer, "seller": invoice.seller}
    notes = [credited(**place), credited(**place)]
    make_approval_rule(
        invoice.seller, asks(make_approver(invoice.seller)), kind="pay_back", above_amount="10000"
    )
    one, two = (f"user:{make_approver(invoice.seller, role='FC').pk}" for _ in range(2))
    terms = {"remainder_to": "refund", "reason": "they leave"}

    with transaction.atomic():
        invoicing.redirect_credit(actor=one, credit_note_id=notes[0].pk, **terms)
        rival = start_rival(lambda: invoicing.redirect_credit(actor=two, credit_note_id=notes[1].pk, **terms))

    with pytest.raises(ApprovalRequired):
        rival.result(timeout=5)
    directed = CreditNote.objects.order_by("pk").values_list("remainder_to", flat=True)
    assert list(directed) == ["refund", "balance"]
    assert_invariants_hold()
