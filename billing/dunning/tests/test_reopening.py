"""What was written off and is open again is asked for again, where it was left."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from billing.dunning import services
from billing.dunning.invariants import CHECKS
from billing.dunning.models import DunningCase, DunningMail
from billing.dunning.reactions import reopen_case
from billing.dunning.tests.makers import DUE, FIRST, SECOND, STOP, make_late_invoice, make_policy, run
from billing.entities.tests.makers import make_entity
from billing.invoicing import services as invoicing
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.models import EventDelivery
from billing.kernel.tests.invariants import assert_invariants_hold
from billing.payments.tests.makers import make_payment, make_seller

pytestmark = pytest.mark.django_db
WITHIN_AN_HOUR = CHECKS["D8 within an hour a case is closed if and only if its invoice is not open"]


@pytest.fixture
def seller():
    return make_seller()


@pytest.fixture
def invoice(seller):
    make_policy(seller=seller)
    customer = make_entity(parent=seller, email="ap@customer.example")
    return make_late_invoice(customer=customer, seller=seller)


def late(days: int) -> date:
    return DUE + timedelta(days=days)


def written_off(invoice, day: date) -> DunningCase:
    invoicing.write_off_invoice(actor="test", invoice_id=invoice.pk, written_off_on=day, reason="insolvent")
    services.close_cases(actor="test", invoice_ids=[invoice.pk], as_of=day)
    return DunningCase.objects.get(invoice=invoice)


def recovered(invoice, day: date, **terms) -> DunningCase:
    """As the event's subscriber hears of it."""
    invoicing.recover_invoice(actor="test", invoice_id=invoice.pk, recovered_on=day, reason="found", **terms)
    [delivery] = EventDelivery.objects.filter(subscriber="dunning.reopen_recovered").order_by("-pk")[:1]
    reopen_case(delivery.event.payload)
    return DunningCase.objects.get(invoice=invoice)


def test_what_is_recovered_is_reminded_of_again_from_where_it_was_left(seller, invoice):
    run(seller, late(FIRST))
    assert written_off(invoice, late(FIRST)).state == "closed"

    case = recovered(invoice, late(FIRST), amount=Decimal(40))

    assert (case.state, case.closed_on, case.closed_because) == ("open", None, "")
    run(seller, late(FIRST))
    assert DunningMail.objects.count() == 1
    run(seller, late(SECOND))
    [notice] = invoice.dunning_notices.filter(step__days_after_due=SECOND)
    assert (notice.outcome, notice.collectable_amount) == ("taken", 40)
    told = [moment.what for moment in timeline_of(invoice)]
    assert told.index("dunning.closed") < told.index("dunning.reopened")
    assert_invariants_hold()


def test_what_was_handed_over_is_handed_over_again(seller, invoice):
    run(seller, late(STOP))
    written_off(invoice, late(STOP))

    assert recovered(invoice, late(STOP)).state == "handed_over"

    run(seller, late(STOP + 30))
    assert invoice.dunning_notices.filter(noticed_on__gt=late(STOP)).count() == 0
    assert_invariants_hold()


def test_reopening_again_changes_nothing_and_paying_closes_it_for_good(seller, invoice):
    run(seller, late(FIRST))
    written_off(invoice, late(FIRST))
    recovered(invoice, late(FIRST))

    assert services.reopen_cases(actor="test", invoice_ids=[invoice.pk]) == []
    make_payment(customer=invoice.customer, seller=seller, amount="100.00")
    assert services.reopen_cases(actor="test", invoice_ids=[invoice.pk]) == []
    services.close_cases(actor="test", invoice_ids=[invoice.pk], as_of=late(SECOND))
    assert services.reopen_cases(actor="test", invoice_ids=[invoice.pk]) == []

    case = DunningCase.objects.get()
    assert (case.state, case.closed_because) == ("closed", "paid")


def test_news_that_come_late_reopen_nothing(seller, invoice):
    """It was written off again before anybody heard that it was recovered."""
    run(seller, late(FIRST))
    written_off(invoice, late(FIRST))
    invoicing.recover_invoice(actor="test", invoice_id=invoice.pk, recovered_on=late(FIRST), reason="found")
    written_off(invoice, late(FIRST))

    assert services.reopen_cases(actor="test", invoice_ids=[invoice.pk]) == []

    assert DunningCase.objects.get().state == "closed"


@pytest.mark.parametrize("day", [FIRST, STOP])
def test_plain_sql_cannot_have_a_case_that_does_not_go_with_its_invoice(seller, invoice, day):
    """Neither closed while it is open, nor open once it is not, nor reopened as what it was not."""
    run(seller, late(day))
    as_it_was = DunningCase.objects.get().state
    other = "handed_over" if as_it_was == "open" else "open"
    close = "UPDATE dunning_cases SET state = 'closed', closed_on = now(), closed_because = 'paid'"
    reopen = "UPDATE dunning_cases SET closed_on = NULL, closed_because = '', state = '{}'"
    refused(close)
    assert written_off(invoice, late(day)).state == "closed"
    refused(reopen.format(as_it_was))
    invoicing.recover_invoice(actor="test", invoice_id=invoice.pk, recovered_on=late(day), reason="found")
    refused(reopen.format(other))
    assert DunningCase.objects.get().state == "closed"
    with connection.cursor() as cursor:
        cursor.execute(reopen.format(as_it_was))


def refused(statement: str) -> None:
    with (
        pytest.raises(DatabaseError, match=r"does not go with its invoice|if and only if it was stopped"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


def test_checker_finds_a_case_nobody_reopened(seller, invoice):
    run(seller, late(FIRST))
    case = written_off(invoice, late(FIRST))
    invoicing.recover_invoice(actor="test", invoice_id=invoice.pk, recovered_on=late(FIRST), reason="found")

    with connection.cursor() as cursor:
        cursor.execute(WITHIN_AN_HOUR)
        assert cursor.fetchall() == []  # it may be a moment ago
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE invoices SET updated_at = now() - interval '2 hours'")
        cursor.execute(WITHIN_AN_HOUR)
        assert cursor.fetchall() == [(case.pk, "issued")]
        cursor.execute("SET session_replication_role = origin")
