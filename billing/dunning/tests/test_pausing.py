"""Pauses: on the disputed part only, or on the whole, whose clock then stands still."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from billing.dunning import services
from billing.dunning.errors import HoldExceedsOpenAmount, InvalidHoldEndDate, InvoiceNotOpen
from billing.dunning.models import DunningNotice, DunningPause
from billing.dunning.services.steps import take_steps
from billing.dunning.tests.makers import DUE, FIRST, SECOND, make_late_invoice, make_policy, run
from billing.dunning.tests.test_running import late, noticed
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.errors import Invalid, PreconditionFailed
from billing.kernel.tests.races import start_rival
from billing.payments.tests.makers import make_customer, make_payment, make_seller

pytestmark = pytest.mark.django_db


@pytest.fixture
def invoice():
    seller = make_seller()
    make_policy(seller=seller)
    return make_late_invoice(customer=make_customer(parent=seller, email="ap@example.com"))


def pause(invoice, **overrides) -> DunningPause:
    values = {"reason": "Wrong quantity", "as_of": DUE, "kind": "dispute"}
    return services.pause_dunning(actor="user:1", invoice_id=invoice.pk, **values | overrides)


def resume(paused, as_of, **overrides) -> DunningPause:
    return services.resume_dunning(
        actor="user:1", pause_id=paused.pk, as_of=as_of, reason="Settled", **overrides
    )


def test_a_reminder_asks_for_the_undisputed_part_only(invoice):
    pause(invoice, amount=Decimal("30.00"))

    run(invoice.seller, late(FIRST))

    notice = invoice.dunning_notices.get(outcome="taken")
    assert (notice.open_amount, notice.collectable_amount, notice.days_late) == (100, 70, FIRST)
    assert "70.00\N{NO-BREAK SPACE}EUR" in notice.mail.text


def test_while_everything_is_paused_no_step_is_due_and_no_day_is_counted(invoice):
    paused = pause(invoice, as_of=late(3))
    run(invoice.seller, late(FIRST))
    run(invoice.seller, late(SECOND))
    assert noticed(invoice) == []

    resume(paused, late(50))  # 47 days stood still: three were counted before
    run(invoice.seller, late(50 + 3))
    assert noticed(invoice) == []
    run(invoice.seller, late(50 + 4))
    assert noticed(invoice)[-1] == (FIRST, "notify", "taken")
    assert invoice.dunning_notices.get(outcome="taken").days_late == FIRST


def test_parts_that_cover_what_is_left_after_a_payment_stop_it_too(invoice):
    pause(invoice, amount=Decimal("30.00"))
    make_payment(customer=invoice.customer, seller=invoice.seller, amount="70.00")

    run(invoice.seller, late(SECOND))

    assert noticed(invoice) == []


def test_a_promise_to_pay_is_waited_for_until_its_day(invoice):
    pause(invoice, kind="promise_to_pay", ends_on=late(10))
    run(invoice.seller, late(9))
    assert noticed(invoice) == []

    run(invoice.seller, late(10 + FIRST - 1))
    assert noticed(invoice)[-1] == (FIRST, "notify", "taken")


def test_pausing_and_resuming_is_on_the_timeline_with_its_reason(invoice):
    paused = pause(invoice, amount=Decimal("30.00"))
    resume(paused, late(5))

    told = [
        (moment.what, moment.reason, moment.who)
        for moment in timeline_of(invoice)
        if moment.kind == "dunning"
    ]
    assert told == [
        ("dunning.paused", "Wrong quantity", "user:1"),
        ("dunning.resumed", "Settled", "user:1"),
    ]


@pytest.mark.parametrize(
    ("_case", "terms", "refusal"),
    [
        ("more than is open", {"amount": Decimal("100.01")}, HoldExceedsOpenAmount),
        ("nothing", {"amount": Decimal("0.00")}, Invalid),
        ("half a cent", {"amount": Decimal("0.005")}, Invalid),
        ("a promise without a day", {"kind": "promise_to_pay"}, Invalid),
        ("of no kind", {"kind": "mood"}, Invalid),
        ("over before it begins", {"ends_on": DUE}, InvalidHoldEndDate),
    ],
)
def test_what_cannot_be_paused_is_refused_and_nothing_is_kept(invoice, _case, terms, refusal):
    with pytest.raises(refusal):
        pause(invoice, **terms)
    assert DunningPause.objects.count() == 0


def test_parts_together_never_exceed_what_is_open(invoice):
    pause(invoice, amount=Decimal("60.00"))
    pause(invoice)  # the whole, for another reason
    with pytest.raises(HoldExceedsOpenAmount):
        pause(invoice, amount=Decimal("40.01"))
    pause(invoice, amount=Decimal("40.00"))
    assert DunningPause.objects.count() == 3


def test_a_paid_invoice_is_not_paused(invoice):
    make_payment(customer=invoice.customer, seller=invoice.seller, amount="100.00")
    with pytest.raises(InvoiceNotOpen):
        pause(invoice)
    assert DunningPause.objects.count() == 0


def test_a_pause_ends_once_and_not_under_a_version_that_is_over(invoice):
    paused = pause(invoice)
    with pytest.raises(PreconditionFailed):
        resume(paused, late(1), version=99)
    assert resume(paused, late(1)).ends_on == late(1)
    with pytest.raises(InvalidHoldEndDate):
        resume(paused, late(2))
    assert DunningPause.objects.get().ends_on == late(1)


@pytest.mark.django_db(transaction=True)
def test_a_pause_that_comes_while_a_step_is_taken_waits_for_it():
    seller = make_seller()
    make_policy(seller=seller)
    invoice = make_late_invoice(customer=make_customer(parent=seller, email="ap@example.com"))

    with transaction.atomic():
        take_steps(actor="run", seller=seller, customer_ids=[invoice.customer_id], as_of=late(FIRST))
        rival = start_rival(lambda: pause(invoice, as_of=late(FIRST)))
    assert rival.result().amount is None
    assert DunningNotice.objects.filter(outcome="taken").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_step_that_comes_while_everything_is_being_paused_is_not_taken():
    seller = make_seller()
    make_policy(seller=seller)
    invoice = make_late_invoice(customer=make_customer(parent=seller, email="ap@example.com"))

    with transaction.atomic():
        pause(invoice, as_of=late(FIRST))
        rival = start_rival(lambda: services.run_dunning(actor="run", seller_id=seller.pk, as_of=late(FIRST)))
    rival.result()
    assert DunningNotice.objects.count() == 0
    assert late(FIRST) - DUE == timedelta(days=FIRST)
