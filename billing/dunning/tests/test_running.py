"""The worker: which steps are taken on which day, once, for whom, and what stops nobody else."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core import mail as mailbox
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from billing.dunning import services
from billing.dunning.models import DunningCase, DunningMail, DunningNotice, DunningRun, LateFee
from billing.dunning.services.steps import take_steps
from billing.dunning.tests.makers import (
    DUE,
    FEE,
    FINAL,
    FIRST,
    SECOND,
    make_late_invoice,
    make_policy,
    run,
)
from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.models import OutboxEvent
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.kernel.tests.races import start_rival
from billing.payments.tests.makers import make_customer, make_payment, make_seller

pytestmark = pytest.mark.django_db


@pytest.fixture
def seller():
    return make_seller(email="billing@seller.example")


@pytest.fixture
def policy(seller):
    return make_policy(seller=seller)


@pytest.fixture
def customer(seller):
    return make_customer(parent=seller, email="ap@customer.example")


def late(days: int) -> date:
    return DUE + timedelta(days=days)


def noticed(invoice) -> list[tuple[int, str, str]]:
    """(day of the step, effect, outcome) in the order of the policy."""
    return list(
        invoice.dunning_notices.order_by("step__position").values_list(
            "step__days_after_due", "step__effect", "outcome"
        )
    )


def test_each_step_is_taken_on_its_day_and_never_again(seller, policy, customer):
    invoice = make_late_invoice(customer=customer)

    for days in (-4, -3, -2, 6, 7, 8, 20, 21, 25, 26, 34, 35, 44, 45, 59, 60, 61, 90):
        run(seller, late(days))
        run(seller, late(days))

    assert noticed(invoice) == [
        (-3, "notify", "taken"),
        (7, "notify", "taken"),
        (21, "notify", "taken"),
        (25, "late_fee", "taken"),
        (35, "late_fee", "taken"),
        (35, "notify", "taken"),
        (45, "suspend", "taken"),
        (60, "stop", "taken"),
    ]
    days = list(invoice.dunning_notices.order_by("step__position").values_list("days_late", flat=True))
    assert days == [-3, 7, 21, 25, 35, 35, 45, 60]
    assert [mail.template for mail in DunningMail.objects.order_by("pk")] == [
        "friendly_note", "reminder", "second_reminder", "final_notice",
    ]  # fmt: skip
    assert DunningCase.objects.get().state == "handed_over"
    assert OutboxEvent.objects.filter(name="dunning.step_taken").count() == 8
    assert_invariants_hold()


def test_after_weeks_without_a_worker_only_the_last_day_reached_is_carried_out(seller, policy, customer):
    invoice = make_late_invoice(customer=customer)

    run(seller, late(FINAL + 2))

    assert noticed(invoice) == [
        (-3, "notify", "skipped"),
        (7, "notify", "skipped"),
        (21, "notify", "skipped"),
        (25, "late_fee", "skipped"),
        (35, "late_fee", "taken"),
        (35, "notify", "taken"),
    ]
    assert [mail.template for mail in DunningMail.objects.all()] == ["final_notice"]
    why = dict(invoice.dunning_notices.values_list("step__days_after_due", "detail__why"))
    assert why[-3] == "it is for the time before the due day"
    assert why[7] == "a later step was due as well"
    assert_invariants_hold()


def test_a_note_for_the_time_before_is_not_sent_after_the_due_day(seller, policy, customer):
    invoice = make_late_invoice(customer=customer)

    run(seller, late(1))

    assert noticed(invoice) == []


def test_invoices_due_the_same_day_share_one_letter_in_the_words_of_the_gravest(seller, policy, customer):
    older = make_late_invoice(customer=customer, total="200.00")
    run(seller, late(FIRST))
    younger = make_late_invoice(customer=customer, total="70.00")
    other = make_late_invoice(customer=make_customer(parent=seller, email="other@example.com"))

    run(seller, late(SECOND))

    letter = DunningMail.objects.get(customer=customer, template="second_reminder")
    assert set(letter.notices.values_list("invoice", flat=True)) == {older.pk, younger.pk}
    assert "270.00\N{NO-BREAK SPACE}EUR" in letter.text
    assert older.number in letter.text
    assert younger.number in letter.html
    assert other.number not in letter.text
    assert DunningMail.objects.filter(written_on=late(SECOND)).count() == 2


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("de", "Northwind: Zahlungserinnerung: Rechnung INV-2026-000001"),
        ("fr", "Northwind: Rappel de paiement : facture INV-2026-000001"),
        ("xx", "Northwind: Payment reminder: invoice INV-2026-000001"),
    ],
)
def test_a_letter_is_in_the_customers_language_or_else_in_english(language, subject):
    seller = make_seller(legal_name="Northwind")
    make_policy(seller=seller)
    make_late_invoice(customer=make_customer(parent=seller, email="a@example.com", language=language))

    run(seller, late(FIRST))

    assert DunningMail.objects.get().subject == subject


def test_a_customer_without_an_address_is_reached_at_that_of_the_invoice(seller, policy, customer):
    make_late_invoice(customer=customer)
    customer.email = ""
    customer.save()

    run(seller, late(FIRST))

    assert DunningMail.objects.get().recipient == "ap@customer.example"


def test_a_customer_that_cannot_be_reminded_is_noted_and_stops_nobody_else(seller, policy, customer):
    nameless = make_customer(parent=seller, email="")
    theirs, ours = make_late_invoice(customer=nameless), make_late_invoice(customer=customer)

    done = run(seller, late(FIRST))

    failed = done.items.get(state="failed")
    assert (failed.customer, failed.failure["code"]) == (nameless, "no-address-for-reminders")
    assert noticed(theirs) == []
    assert noticed(ours) == [(-3, "notify", "skipped"), (7, "notify", "taken")]
    assert done.state == "finished"

    nameless.email = "now@example.com"
    nameless.save()
    again = run(seller, late(FIRST))
    assert again.pk == done.pk
    assert not again.items.filter(state="failed").exists()
    assert noticed(theirs) == [(-3, "notify", "skipped"), (7, "notify", "taken")]


def test_a_small_sum_reminds_nobody_until_the_customer_owes_enough_in_all(seller, policy, customer):
    small = make_late_invoice(customer=customer, total="3.00")
    run(seller, late(FIRST))
    assert noticed(small) == []

    make_late_invoice(customer=customer, total="2.00")
    run(seller, late(FIRST))

    assert noticed(small) == [(-3, "notify", "skipped"), (7, "notify", "taken")]


def test_only_what_is_open_is_asked_for(seller, policy, customer):
    invoice = make_late_invoice(customer=customer)
    make_payment(customer=customer, seller=seller, amount="60.00")

    run(seller, late(FIRST))

    notice = invoice.dunning_notices.get(outcome="taken")
    assert (notice.open_amount, notice.collectable_amount) == (40, 40)
    assert "40.00\N{NO-BREAK SPACE}EUR" in notice.mail.text


@pytest.mark.parametrize("how", ["paid", "void", "uncollectible"])
def test_the_case_closes_with_the_invoice_by_the_worker_also_if_nobody_told(how, seller, policy, customer):
    invoice = make_late_invoice(customer=customer)
    run(seller, late(FIRST))
    if how == "paid":
        make_payment(customer=customer, seller=seller, amount="100.00")
    elif how == "void":
        invoicing.void_invoice(actor="test", invoice_id=invoice.pk, voided_on=late(FIRST), reason="wrong")
    else:
        invoicing.write_off_invoice(
            actor="test", invoice_id=invoice.pk, written_off_on=late(FIRST), reason="insolvent"
        )

    run(seller, late(SECOND))

    case = DunningCase.objects.get()
    assert (case.state, case.closed_on, case.closed_because) == ("closed", late(SECOND), how)
    assert invoice.dunning_notices.filter(step__days_after_due=SECOND).count() == 0


def test_without_a_policy_nobody_is_reminded(seller, customer):
    make_late_invoice(customer=customer)

    run(seller, late(FINAL))

    assert DunningNotice.objects.count() == DunningCase.objects.count() == 0


def test_the_nearest_assignment_counts_and_means_what_is_active_under_its_code(seller, policy, customer):
    group = make_customer(parent=seller, email="group@example.com")
    child = make_entity(parent=group, email="child@example.com")
    gentle = make_policy(
        seller=seller,
        code="gentle",
        is_default=False,
        steps=[{"days_after_due": 30, "effect": "notify", "template": "reminder"}],
    )
    services.assign_policy(
        actor="test", customer_id=group.pk, policy_id=gentle.pk, starts_on=date(2026, 1, 1)
    )
    of_child, of_customer = make_late_invoice(customer=child), make_late_invoice(customer=customer)

    run(seller, late(FIRST))
    assert (noticed(of_child), len(noticed(of_customer))) == ([], 2)

    revised = services.revise_policy(
        actor="test",
        policy_id=gentle.pk,
        name="Gentle",
        steps=[{"days_after_due": 10, "effect": "notify", "template": "reminder"}],
    )
    services.activate_policy(actor="test", policy_id=revised.pk)
    run(seller, late(10))
    assert noticed(of_child) == [(10, "notify", "taken")]

    services.retire_policy(actor="test", policy_id=revised.pk, reason="no more")
    other = make_late_invoice(customer=child)
    run(seller, late(SECOND))
    assert DunningCase.objects.get(invoice=other).policy == policy


def test_an_open_case_goes_on_by_the_revision_it_was_opened_with(seller, policy, customer):
    invoice = make_late_invoice(customer=customer)
    run(seller, late(FIRST))
    revised = services.revise_policy(
        actor="test",
        policy_id=policy.pk,
        name="New",
        is_default=True,
        steps=[{"days_after_due": 8, "effect": "notify", "template": "final_notice"}],
    )
    services.activate_policy(actor="test", policy_id=revised.pk)

    run(seller, late(10))
    assert len(noticed(invoice)) == 2
    run(seller, late(SECOND))
    assert noticed(invoice)[-1] == (SECOND, "notify", "taken")


def test_late_fees_are_noted_with_their_derivation_and_named_in_the_letter(seller, policy, customer):
    invoice = make_late_invoice(customer=customer, total="1000.00")
    run(seller, late(FIRST))
    run(seller, late(FEE))
    run(seller, late(FINAL))

    flat, interest = LateFee.objects.order_by("pk")
    assert (flat.basis, flat.amount, flat.state) == ("flat", 40, "to_be_billed")
    # 1,000.00 × 9.12 % × 35 / 365 = 8.74520… by hand
    assert (interest.basis, interest.amount) == ("interest", Decimal("8.75"))
    assert (interest.starts_on, interest.ends_on) == (date(2026, 2, 1), late(FINAL) + timedelta(days=1))
    assert interest.derivation["interest_periods"] == [
        {"since": "2026-02-01", "until": "2026-03-08", "days": 35, "amount": "1000.00"}
    ]
    assert "48.75\N{NO-BREAK SPACE}EUR" in DunningMail.objects.get(template="final_notice").text
    assert interest.reference == "Directive 2011/7/EU, Articles 3 and 6"
    assert [moment.what for moment in timeline_of(invoice) if moment.kind == "dunning"].count(
        "dunning.step_taken"
    ) == 4
    assert_invariants_hold()


def test_a_flat_fee_in_a_currency_without_one_is_passed_over(seller, policy, customer):
    invoice = make_late_invoice(customer=customer, currency="USD")

    run(seller, late(FIRST))
    run(seller, late(FEE))

    assert LateFee.objects.count() == 0
    assert noticed(invoice)[-1] == (FEE, "late_fee", "skipped")


@pytest.mark.django_db(transaction=True)
def test_two_workers_take_a_step_once():
    seller = make_seller()
    make_policy(seller=seller)
    customer = make_customer(parent=seller, email="ap@customer.example")
    invoice = make_late_invoice(customer=customer)
    from_outside = services.start_dunning_run(actor="test", seller_id=seller.pk, as_of=late(FIRST))
    with transaction.atomic():
        take_steps(actor="one", seller=seller, customer_ids=[customer.pk], as_of=late(FIRST))
        rival = start_rival(lambda: services.continue_dunning_run(actor="other", run_id=from_outside.pk))
    rival.result()

    assert noticed(invoice) == [(-3, "notify", "skipped"), (7, "notify", "taken")]
    assert DunningMail.objects.count() == 1


def test_chunks_commit_by_themselves_and_a_second_run_does_the_rest(seller, policy, settings):
    settings.DUNNING_RUN_CHUNK = 1
    customers = [make_customer(parent=seller, email="a@example.com", code=f"C{n}") for n in range(3)]
    invoices = [make_late_invoice(customer=customer) for customer in customers]

    class Killed(Exception):
        pass

    def killed_after_one(done, total):
        raise Killed

    with pytest.raises(Killed):
        services.run_dunning(actor="test", seller_id=seller.pk, as_of=late(FIRST), progress=killed_after_one)
    assert [len(noticed(invoice)) for invoice in invoices] == [2, 0, 0]
    assert DunningRun.objects.get().state == "running"

    run(seller, late(FIRST))
    assert [len(noticed(invoice)) for invoice in invoices] == [2, 2, 2]
    assert DunningRun.objects.get().state == "finished"
    assert mailbox.outbox == []  # letters wait for the commit


def test_the_number_of_statements_does_not_grow_with_customers(seller, policy):
    counts = []
    for day, size in ((FIRST, 2), (SECOND, 6)):
        for _ in range(size):
            make_late_invoice(customer=make_customer(parent=seller, email="a@example.com"))
        with CaptureQueriesContext(connection) as seen:
            services.run_dunning(actor="test", seller_id=seller.pk, as_of=late(day))
        counts.append(len(seen.captured_queries))
    assert abs(counts[0] - counts[1]) <= 4, counts
