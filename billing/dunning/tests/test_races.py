"""A late fee is waived while the customer's next invoice is drafted or issued: it is waived or billed, never both."""

from datetime import date, timedelta

import pytest
from django.db import transaction

from billing.dunning import services
from billing.dunning.errors import LateFeeBilled
from billing.dunning.models import LateFee, LateFeeClaim
from billing.dunning.tests.makers import make_policy, run
from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.models import Invoice
from billing.invoicing.tests.makers import make_seller, make_subscriber
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.payments.tests.test_subscription_standing import billed

pytestmark = pytest.mark.django_db(transaction=True)
NOV = date(2024, 11, 1)
STEPS = [{"days_after_due": 5, "effect": "late_fee", "fee_basis": "flat"}]


@pytest.fixture
def fee() -> LateFee:
    seller = make_seller()
    subscription = make_subscriber(seller, entity=make_entity(parent=seller, email="ap@customer.example"))
    subscription.entity.departments.filter(is_default=True).update(default_gl_code="6300")
    invoice = billed(subscription)
    make_policy(seller=seller, steps=STEPS)
    run(seller, invoice.due_on + timedelta(days=5))
    return LateFee.objects.select_related("invoice").get()


def draft(fee: LateFee) -> Invoice:
    [drafted] = invoicing.draft_invoices(
        actor="test", seller_id=fee.invoice.seller_id, customer_ids=[fee.customer_id], as_of=NOV
    )
    return drafted


def waive(fee: LateFee) -> LateFee:
    return services.waive_late_fee(actor="test", fee_id=fee.pk, reason="goodwill")


def standing(fee: LateFee) -> tuple[str, int]:
    return LateFee.objects.get(pk=fee.pk).state, LateFeeClaim.objects.filter(released_at=None).count()


def test_what_is_being_waived_is_not_drafted(fee):
    with transaction.atomic():
        waive(fee)
        rival = start_rival(lambda: draft(fee))

    drafted = rival.result(timeout=5)
    assert not drafted.lines.filter(kind="late_fee").exists()
    assert standing(fee) == ("waived", 0)
    assert_invariants_hold()


def test_what_is_being_drafted_is_taken_back_by_the_waiver(fee):
    with transaction.atomic():
        drafted = draft(fee)
        assert drafted.lines.filter(kind="late_fee").count() == 1
        rival = start_rival(lambda: waive(fee))

    assert rival.result(timeout=5).state == "waived"
    assert standing(fee) == ("waived", 0)
    assert not Invoice.objects.filter(pk=drafted.pk).exists()
    assert not draft(fee).lines.filter(kind="late_fee").exists()
    assert_invariants_hold()


def test_what_is_being_drafted_anew_is_taken_back_by_the_waiver(fee):
    """The draft that the fee was on before is gone when the waiver has its turn."""
    draft(fee)
    with transaction.atomic():
        draft(fee)
        rival = start_rival(lambda: waive(fee))

    assert rival.result(timeout=5).state == "waived"
    assert standing(fee) == ("waived", 0)
    assert not Invoice.objects.filter(number=None).exists()
    assert_invariants_hold()


def test_what_is_being_issued_is_not_waived(fee):
    drafted = draft(fee)
    with transaction.atomic():
        invoicing.issue_invoice(actor="test", invoice_id=drafted.pk, issued_on=NOV)
        rival = start_rival(lambda: waive(fee))

    with pytest.raises(LateFeeBilled):
        rival.result(timeout=5)
    assert standing(fee) == ("to_be_billed", 1)
    assert_invariants_hold()


def test_a_draft_that_the_waiver_takes_back_is_not_issued(fee):
    drafted = draft(fee)
    with transaction.atomic():
        waive(fee)
        rival = start_rival(
            lambda: invoicing.issue_invoices(actor="test", invoice_ids=[drafted.pk], issued_on=NOV)
        )

    assert rival.result(timeout=5) == []
    assert standing(fee) == ("waived", 0)
    assert not Invoice.objects.filter(pk=drafted.pk).exists()
    assert_invariants_hold()


def test_of_two_waivers_at_once_one_is_made(fee):
    with transaction.atomic():
        waive(fee)
        rival = start_rival(lambda: waive(fee))

    with pytest.raises(Exception, match="Cannot waive from 'waived'"):
        rival.result(timeout=5)
    assert standing(fee) == ("waived", 0)
