"""The life of a mail, as data."""

from django.db import models

from billing.kernel.states import move


class MailState(models.TextChoices):
    QUEUED = "queued"
    SENDING = "sending"  # handed to the mail server, or about to be; what became of it is not known yet
    SENT = "sent"
    FAILED = "failed"  # the mail server refused it for good
    WITHDRAWN = "withdrawn"  # what it asks for was done when its turn came


MAIL_MOVES = {
    "claim": move(MailState.QUEUED, to=MailState.SENDING),
    "withdraw": move(MailState.QUEUED, MailState.FAILED, MailState.SENDING, to=MailState.WITHDRAWN),
    "put_off": move(MailState.SENDING, to=MailState.QUEUED),
    "send": move(MailState.SENDING, to=MailState.SENT),
    "fail": move(MailState.SENDING, to=MailState.FAILED),
    "retry": move(MailState.FAILED, MailState.SENDING, to=MailState.QUEUED),
    "confirm": move(MailState.SENDING, to=MailState.SENT),
}
