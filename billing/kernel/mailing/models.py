"""What every mail has. The app that writes it adds what it tells of, and its table."""

from django.db import models
from django.db.models.functions import Now

from billing.kernel.mailing.states import MailState
from billing.kernel.models import BaseModel

# What sending changes; all else stays as it was written.
MOVING = ("state", "attempts", "due_at", "sending_since", "sent_at", "last_error")


class Mail(BaseModel):
    """The row is the outbox: committed as `queued`, then `sending` before the mail server is spoken to, then what
    it said. One that stays `sending` may have gone out: it is never sent again without a person's word."""

    language = models.CharField(max_length=2)
    recipient = models.EmailField()
    reply_to = models.EmailField(blank=True)
    sender_name = models.CharField(max_length=200)
    message_id = models.CharField(
        max_length=200, help_text="The Message-ID it bears: known before it is sent."
    )
    subject = models.CharField(max_length=500)
    text = models.TextField()
    html = models.TextField()
    state = models.CharField(max_length=10, choices=MailState, default=MailState.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(db_default=Now())
    sending_since = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    class Meta(BaseModel.Meta):
        abstract = True

    def __str__(self) -> str:
        return f"{self.subject} ({self.recipient})"
