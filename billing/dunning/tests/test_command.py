"""`run_dunning` and the tasks: what they say, and that a dry run changes nothing."""

import io
from datetime import date, datetime

import pytest
from django.core import mail as mailbox
from django.core.management import CommandError, call_command

from billing.dunning import queries, services, tasks
from billing.dunning.models import DunningCase, DunningMail, DunningNotice
from billing.dunning.tests.makers import FIRST, make_late_invoice, make_policy
from billing.dunning.tests.test_running import late
from billing.kernel.errors import Unavailable
from billing.kernel.models import AuditEntry
from billing.payments.tests.makers import make_customer, make_seller

pytestmark = pytest.mark.django_db


@pytest.fixture
def invoice():
    seller = make_seller(code="ACME")
    make_policy(seller=seller)
    return make_late_invoice(customer=make_customer(parent=seller, code="BUYER", email="a@example.com"))


def command(**options) -> str:
    out = io.StringIO()
    call_command("run_dunning", stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def test_takes_what_is_due_and_says_how_much(invoice):
    assert command(as_of=late(FIRST)) == "ACME: taken=1 skipped=1 failed=0 as_of=2026-02-07\n"
    assert command(as_of=late(FIRST), seller="acme") == "ACME: taken=1 skipped=1 failed=0 as_of=2026-02-07\n"
    assert DunningNotice.objects.count() == 2


def test_a_dry_run_says_what_is_due_and_changes_nothing(invoice):
    said = command(as_of=late(FIRST), dry_run=True)

    assert said == (
        f"BUYER {invoice.number}: Reminder, 7 days late, 100.00 EUR\nACME: due=1 as_of=2026-02-07 dry_run=True\n"
    )
    assert DunningNotice.objects.count() == DunningCase.objects.count() == DunningMail.objects.count() == 0


def test_fails_when_somebody_could_not_be_reminded(invoice):
    make_late_invoice(customer=make_customer(parent=invoice.seller, code="SILENT", email=""))

    with pytest.raises(CommandError, match="1 customer"):
        command(as_of=late(FIRST))

    assert invoice.dunning_notices.count() == 2


def test_refuses_a_seller_without_a_policy(invoice):
    with pytest.raises(CommandError, match="NOBODY"):
        command(seller="NOBODY", as_of=date(2026, 2, 1))


def test_the_daily_task_reminds_and_the_sweep_sends(invoice, freeze):
    freeze("2026-02-07T06:00:00Z")
    tasks.run_dunning()
    tasks.run_dunning()

    assert AuditEntry.objects.filter(action__startswith="dunning_run").count() == 2  # started, finished
    assert [mail.state for mail in DunningMail.objects.all()] == ["queued"]
    assert mailbox.outbox == []


def test_each_seller_is_due_once_from_six_in_the_morning_where_it_is(invoice):
    tokyo = make_policy(seller=make_seller(time_zone="Asia/Tokyo")).seller
    seller = invoice.seller

    def due(at: str) -> list:
        return queries.sellers_due(at=datetime.fromisoformat(at))

    assert due("2026-02-06T20:59:00Z") == [(seller, date(2026, 2, 6))]
    assert set(due("2026-02-06T21:00:00Z")) == {(seller, date(2026, 2, 6)), (tokyo, date(2026, 2, 7))}
    services.run_dunning(actor="test", seller_id=tokyo.pk, as_of=date(2026, 2, 7))
    assert due("2026-02-07T05:59:00Z") == []
    assert due("2026-02-07T06:00:00Z") == [(seller, date(2026, 2, 7))]


def test_where_others_are_in_the_way_the_next_seller_has_its_turn(invoice, freeze, monkeypatch):
    freeze("2026-02-07T06:00:00Z")
    make_policy(seller=make_seller(code="AAA"))
    tried = []

    def busy(*, actor, seller_id, as_of):
        tried.append(seller_id)
        raise Unavailable("Others were in the way.")

    monkeypatch.setattr(services, "run_dunning", busy)
    tasks.run_dunning()
    assert len(tried) == 2


@pytest.mark.django_db(transaction=True)
def test_a_letter_is_sent_by_its_task_once(freeze):
    freeze("2026-02-07T06:00:00Z")
    seller = make_seller()
    make_policy(seller=seller)
    make_late_invoice(customer=make_customer(parent=seller, email="a@example.com"))
    tasks.run_dunning()
    mail = DunningMail.objects.get()

    tasks.send_mail(mail_id=str(mail.pk))
    tasks.send_mail(mail_id=str(mail.pk))
    tasks.sweep_mails()

    mail.refresh_from_db()
    assert (mail.state, len(mailbox.outbox)) == ("sent", 1)
