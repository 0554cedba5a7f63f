"""Sending mails: claimed and committed, handed to the mail server, then what it said.

A worker that dies between handing over and writing down leaves the mail `sending`. It may have gone out, so it
is not sent again by itself: `verify_invariants` names it, and a person looks for its Message-ID in the mail server's log,
then confirms it or has it sent again, under the same Message-ID.
"""

import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from email.utils import formataddr
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from billing.kernel import audit
from billing.kernel.errors import NotFound
from billing.kernel.mailing.errors import MailStillUnderWay
from billing.kernel.mailing.models import Mail
from billing.kernel.mailing.states import MAIL_MOVES, MailState
from billing.kernel.retrying import retrying
from billing.kernel.states import next_state
from billing.kernel.task_queue import enqueue
from billing.kernel.versions import require_version

ATTEMPTS_MAX = 10
UNDER_WAY = timedelta(minutes=10)  # longer than a mail server is waited for


@dataclass(frozen=True, kw_only=True)
class Post:
    """The mails of one app. `name` is that of one in the audit trail, `task` sends one, and `why_not` says, under the
    mail's lock, why it need not go out any more, or nothing."""

    model: type[Mail]
    name: str
    task: str
    why_not: Callable[[Mail], str]


def send_mail(post: Post, *, actor: str, mail_id: UUID) -> bool:
    """Send one queued mail; True if the mail server took it. A repeated call finds it taken or sent.

    What was certainly not taken is put off and tried again (up to ATTEMPTS_MAX), or failed if the server
    refuses it for good. Of what may have been taken nothing is decided here.
    """
    mail = _claim(post, mail_id, actor=actor)
    if mail is None:
        return False
    message = message_of(mail)
    try:
        message.message()
    except ValueError as error:  # a header no mail can bear: nothing was sent, and nothing ever will be
        _record(post, mail, "fail", actor=actor, last_error=_said(error))
        return False
    connection = get_connection()
    try:
        connection.open()
    except (OSError, smtplib.SMTPException) as error:
        _put_off(post, mail, error, actor=actor)
        return False
    try:
        connection.send_messages([message])
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
        _refused(post, mail, error, actor=actor)
        return False
    except (OSError, smtplib.SMTPException) as error:
        _note_doubt(post, mail, error)
        return False
    finally:
        _hang_up(connection)
    _record(post, mail, "send", actor=actor, sent_at=timezone.now(), last_error="")
    return True


def message_of(mail: Mail) -> EmailMultiAlternatives:
    message = EmailMultiAlternatives(
        subject=mail.subject,
        body=mail.text,
        from_email=formataddr((mail.sender_name, settings.EMAIL_FROM)),
        to=[mail.recipient],
        reply_to=[mail.reply_to] if mail.reply_to else None,
        headers={"Message-ID": mail.message_id},
    )
    message.attach_alternative(mail.html, "text/html")
    return message


def sweep_mails(post: Post, *, actor: str, limit: int = 200) -> int:
    """Send what is due and was not kicked, the oldest first; returns how many the mail server took."""
    due = post.model.objects.filter(state=MailState.QUEUED, due_at__lte=Now())
    ids = list(due.order_by("due_at", "pk").values_list("pk", flat=True)[:limit])
    return sum(send_mail(post, actor=actor, mail_id=pk) for pk in ids)


@retrying
@transaction.atomic
def retry_mail(post: Post, *, actor: str, mail_id: UUID, reason: str, version: int | None = None) -> Mail:
    """Queue a mail again that failed, or of which nobody knows whether it went out.

    Raises NotFound, PreconditionFailed, IllegalMove, MailStillUnderWay.
    """
    mail = _locked(post, mail_id, version)
    mail.state = next_state(MAIL_MOVES, action="retry", current=mail.state)
    mail.attempts, mail.due_at, mail.last_error = 0, timezone.now(), ""
    mail.save(update_fields=["state", "attempts", "due_at", "last_error"])
    audit.record(actor=actor, action=f"{post.name}.retried", subject=mail, reason=reason)
    enqueue(post.task, mail_id=str(mail.pk))
    return mail


@retrying
@transaction.atomic
def confirm_mail(post: Post, *, actor: str, mail_id: UUID, reason: str, version: int | None = None) -> Mail:
    """Write down that a mail of which nobody knew has gone out: its Message-ID is in the mail server's log.

    Raises NotFound, PreconditionFailed, IllegalMove, MailStillUnderWay.
    """
    mail = _locked(post, mail_id, version)
    mail.state = next_state(MAIL_MOVES, action="confirm", current=mail.state)
    mail.sent_at = mail.sending_since
    mail.save(update_fields=["state", "sent_at"])
    audit.record(actor=actor, action=f"{post.name}.confirmed", subject=mail, reason=reason)
    return mail


def _locked(post: Post, mail_id: UUID, version: int | None) -> Mail:
    mail = post.model.objects.locked().filter(pk=mail_id).first()
    if mail is None:
        raise NotFound("There is no such mail.")
    require_version(mail, version)
    if mail.state == MailState.SENDING and mail.sending_since > timezone.now() - UNDER_WAY:
        raise MailStillUnderWay(f"It is under way since {mail.sending_since:%H:%M:%S}.")
    return mail


@retrying
@transaction.atomic(durable=True)
def _claim(post: Post, mail_id: UUID, *, actor: str) -> Mail | None:
    due = post.model.objects.filter(pk=mail_id, state=MailState.QUEUED, due_at__lte=Now())
    mail = due.locked(skip_locked=True).first()
    if mail is None:
        return None
    if reason := post.why_not(mail):
        mail.state = next_state(MAIL_MOVES, action="withdraw", current=mail.state)
        mail.save(update_fields=["state"])
        audit.record(actor=actor, action=f"{post.name}.withdrawn", subject=mail, reason=reason)
        return None
    mail.state = next_state(MAIL_MOVES, action="claim", current=mail.state)
    mail.attempts += 1
    mail.sending_since = timezone.now()
    mail.save(update_fields=["state", "attempts", "sending_since"])
    return mail


def _put_off(post: Post, mail: Mail, error: Exception, *, actor: str) -> None:
    """The mail server was not reached, or asked to be tried later: 1, 2, 4 … minutes, an hour at most."""
    if mail.attempts >= ATTEMPTS_MAX:
        _record(post, mail, "fail", actor=actor, last_error=_said(error))
        return
    pause = min(timedelta(minutes=2 ** (mail.attempts - 1)), timedelta(hours=1))
    _record(post, mail, "put_off", actor=actor, due_at=timezone.now() + pause, last_error=_said(error))


def _refused(post: Post, mail: Mail, error: smtplib.SMTPException, *, actor: str) -> None:
    """4xx: later (RFC 5321, 4.2.1); 5xx: never."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    else:
        codes = [error.smtp_code]
    if all(400 <= code < 500 for code in codes):
        _put_off(post, mail, error, actor=actor)
    else:
        _record(post, mail, "fail", actor=actor, last_error=_said(error))


@retrying
@transaction.atomic(durable=True)
def _record(post: Post, mail: Mail, action: str, *, actor: str, **changes: object) -> None:
    """What became of the attempt, unless a person has decided meanwhile."""
    kept = post.model.objects.locked().get(pk=mail.pk)
    if kept.state != MailState.SENDING or kept.attempts != mail.attempts:
        return
    kept.state = next_state(MAIL_MOVES, action=action, current=kept.state)
    for name, value in changes.items():
        setattr(kept, name, value)
    kept.save(update_fields=["state", *changes])
    past = {"send": "sent", "fail": "failed", "put_off": "put_off"}[action]
    audit.record(
        actor=actor,
        action=f"{post.name}.{past}",
        subject=kept,
        detail={"message_id": kept.message_id, "error": kept.last_error},
    )


@retrying
@transaction.atomic(durable=True)
def _note_doubt(post: Post, mail: Mail, error: Exception) -> None:
    kept = post.model.objects.locked().get(pk=mail.pk)
    if kept.state == MailState.SENDING:
        kept.last_error = f"Perhaps sent: {_said(error)}"
        kept.save(update_fields=["last_error"])


def _hang_up(connection) -> None:
    """A server that is gone by now changes nothing of what it has said."""
    try:
        connection.close()
    except (OSError, smtplib.SMTPException):
        return


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]
