"""A decision killed with SIGKILL before each of its statements in turn: nothing of it stays, and the next try does it once."""

from itertools import count

import pytest
from django.utils import timezone

from approvals.models import ApprovalAction, ApprovalEffect, ApprovalVote
from approvals.services.credit_notes import CREDIT_NOTE, request_credit_note
from approvals.states import RequestState
from approvals.tests.makers import asks, decide, make_approval_rule, make_approver
from billing.entities.tests.makers import make_grant
from billing.invoicing.models import CreditNote
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.processes import in_a_child
from billing.payments.tests.makers import make_open_invoice

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_the_last_consent_and_its_effect_outlive_the_process_together_or_not_at_all():
    invoice = make_open_invoice(total="20000.00")
    boss = make_approver(invoice.seller)
    clerk = make_grant(role="BO", entity=invoice.seller).user
    make_approval_rule(invoice.seller, asks(boss), kind=CREDIT_NOTE, above_amount="10000")
    request = request_credit_note(
        actor=f"user:{clerk.pk}", invoice_id=invoice.pk, reason="late", at=timezone.now()
    )
    for statement in count(1):
        finished = in_a_child(lambda: decide(request, boss), killed_after_statements=statement)

        request.refresh_from_db()
        done = 1 if finished else 0
        assert request.state == (RequestState.APPROVED if finished else RequestState.PENDING)
        assert ApprovalAction.objects.filter(action="approve").count() == done
        assert ApprovalVote.objects.count() == ApprovalEffect.objects.count() == done
        assert CreditNote.objects.count() == done
        if finished:
            break
    assert statement > 20  # it was killed at work, not only before
    assert_invariants_hold()
