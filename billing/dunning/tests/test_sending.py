"""Letters go out once: after the commit, with what the mail server said written down, and never twice by guessing."""

import smtplib
from datetime import timedelta

import pytest
from django.core import mail as mailbox
from django.core.mail.backends import locmem
from django.db import connection, transaction
from django.utils import timezone

from billing.dunning import services
from billing.dunning.invariants import CHECKS
from billing.dunning.models import DunningMail
from billing.dunning.tests.makers import FIRST, make_late_invoice, make_policy, run
from billing.dunning.tests.test_running import late
from billing.invoicing.verification.services.timeline import timeline_of
from billing.kernel.errors import IllegalMove
from billing.kernel.mailing.errors import MailStillUnderWay
from billing.kernel.mailing.sending import ATTEMPTS_MAX
from billing.payments.tests.makers import make_customer, make_payment, make_seller

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def letter() -> DunningMail:
    """Queued, about one invoice of 100.00 EUR."""
    seller = make_seller(legal_name="Northwind GmbH", email="billing@northwind.example")
    make_policy(seller=seller)
    customer = make_customer(parent=seller, legal_name="Contoso & Co", email="ap@contoso.example")
    make_late_invoice(customer=customer)
    run(seller, late(FIRST))
    return DunningMail.objects.get()


def send(mail: DunningMail) -> bool:
    sent = services.send_mail(actor="task:test", mail_id=mail.pk)
    mail.refresh_from_db()
    return sent


def failing(monkeypatch, error: Exception, *, method: str = "send_messages", after_sending: bool = False):
    """The mail server of the test says this, before or after it took the letter."""
    kept = getattr(locmem.EmailBackend, method)

    def answer(self, *args):
        if after_sending:
            kept(self, *args)
        raise error

    monkeypatch.setattr(locmem.EmailBackend, method, answer)


def told(mail: DunningMail) -> list[str]:
    invoice = mail.notices.get().invoice
    return [moment.what for moment in timeline_of(invoice) if moment.what.startswith("dunning_mail")]


def test_a_letter_is_sent_once_in_both_forms_under_the_id_it_was_given(letter, settings):
    settings.EMAIL_FROM = "billing@example.com"
    assert mailbox.outbox == []  # nothing was sent inside the transaction

    assert send(letter) is True
    assert send(letter) is False

    [sent] = mailbox.outbox
    assert (sent.to, sent.reply_to) == (["ap@contoso.example"], ["billing@northwind.example"])
    assert sent.from_email == "Northwind GmbH <billing@example.com>"
    assert sent.message()["Message-ID"] == letter.message_id
    assert sent.body == letter.text
    assert [(part.content, part.mimetype) for part in sent.alternatives] == [(letter.html, "text/html")]
    assert "Contoso & Co" in letter.text
    assert "Contoso &amp; Co" in letter.html
    assert (letter.state, letter.attempts) == ("sent", 1)
    assert told(letter) == ["dunning_mail.sent"]


def test_what_the_queue_forgot_a_sweep_sends(letter):
    assert services.sweep_mails(actor="task:test") == 1
    assert services.sweep_mails(actor="task:test") == 0
    assert len(mailbox.outbox) == 1


def test_a_mail_server_that_is_not_there_is_tried_again_later(letter, monkeypatch):
    failing(monkeypatch, ConnectionRefusedError("nobody"), method="open")

    assert send(letter) is False

    assert (letter.state, letter.attempts) == ("queued", 1)
    assert letter.due_at > timezone.now() + timedelta(seconds=50)
    assert letter.last_error == "ConnectionRefusedError: nobody"
    assert services.sweep_mails(actor="task:test") == 0  # not before it is due


def test_after_enough_attempts_it_fails_and_a_person_may_try_again(letter, monkeypatch):
    DunningMail.objects.update(attempts=ATTEMPTS_MAX - 1)
    with monkeypatch.context() as patched:
        failing(patched, ConnectionRefusedError("nobody"), method="open")
        send(letter)
    assert letter.state == "failed"
    assert told(letter) == ["dunning_mail.failed"]

    services.retry_mail(actor="user:1", mail_id=letter.pk, reason="The mail server is back")

    assert send(letter) is True
    assert letter.state == "sent"


@pytest.mark.parametrize(
    ("_case", "error", "state"),
    [
        ("greylisted", smtplib.SMTPRecipientsRefused({"a": (451, b"later")}), "queued"),
        ("no such mailbox", smtplib.SMTPRecipientsRefused({"a": (550, b"unknown")}), "failed"),
        ("too many at once", smtplib.SMTPSenderRefused(421, b"later", "b"), "queued"),
        ("refused content", smtplib.SMTPDataError(554, b"spam"), "failed"),
    ],
)
def test_what_the_mail_server_refuses_is_put_off_or_failed_by_its_code(
    letter, monkeypatch, _case, error, state
):
    failing(monkeypatch, error)

    assert send(letter) is False

    assert (letter.state, mailbox.outbox) == (state, [])


def test_a_letter_that_no_header_can_bear_fails_at_once(letter, settings):
    settings.EMAIL_FROM = "billing@example.com\nBcc: everybody@example.com"

    assert send(letter) is False

    assert (letter.state, mailbox.outbox) == ("failed", [])
    assert letter.last_error.startswith("BadHeaderError")


def test_what_may_have_gone_out_is_not_sent_again_without_a_persons_word(letter, monkeypatch):
    with monkeypatch.context() as patched:
        failing(patched, smtplib.SMTPServerDisconnected("gone"), after_sending=True)
        assert send(letter) is False
    assert (letter.state, letter.last_error) == ("sending", "Perhaps sent: SMTPServerDisconnected: gone")
    assert services.sweep_mails(actor="task:test") == 0
    assert send(letter) is False
    assert len(mailbox.outbox) == 1

    for verb in (services.retry_mail, services.confirm_mail):
        with pytest.raises(MailStillUnderWay):
            verb(actor="user:1", mail_id=letter.pk, reason="x")

    DunningMail.objects.update(sending_since=timezone.now() - timedelta(hours=2))
    with connection.cursor() as cursor:
        cursor.execute(CHECKS["D6 no letter is without an outcome for an hour"])
        assert [row[0] for row in cursor.fetchall()] == [letter.pk]
    services.confirm_mail(actor="user:1", mail_id=letter.pk, reason="It is in the log")
    letter.refresh_from_db()
    assert (letter.state, letter.sent_at) == ("sent", letter.sending_since)
    with pytest.raises(IllegalMove):
        services.retry_mail(actor="user:1", mail_id=letter.pk, reason="x")


def test_a_worker_that_dies_after_handing_over_leaves_it_in_doubt(letter, monkeypatch):
    class Killed(BaseException):
        pass

    failing(monkeypatch, Killed(), after_sending=True)
    with pytest.raises(Killed):
        send(letter)
    letter.refresh_from_db()

    assert (letter.state, len(mailbox.outbox)) == ("sending", 1)


def test_a_letter_about_nothing_open_is_withdrawn(letter):
    invoice = letter.notices.get().invoice
    make_payment(customer=invoice.customer, seller=invoice.seller, amount="100.00")

    assert send(letter) is False

    assert (letter.state, mailbox.outbox) == ("withdrawn", [])
    assert told(letter) == ["dunning_mail.withdrawn"]


def test_of_two_workers_one_sends(letter):
    with transaction.atomic():
        DunningMail.objects.locked().get(pk=letter.pk)
        # The other one skips what is locked instead of waiting for it.
        assert DunningMail.objects.filter(pk=letter.pk).locked(skip_locked=True).count() == 1
    assert [send(letter), send(letter)] == [True, False]


def test_what_stands_in_a_letter_never_changes(letter):
    for statement in (
        "UPDATE dunning_mails SET text = 'x'",
        "UPDATE dunning_mails SET recipient = 'x@example.com'",
        "UPDATE dunning_mails SET state = 'sent', sent_at = now()",
        "DELETE FROM dunning_mails",
    ):
        with pytest.raises(Exception, match=r"final|no move"), connection.cursor() as cursor:
            cursor.execute(statement)
    letter.refresh_from_db()
    assert letter.state == "queued"
