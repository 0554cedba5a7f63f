"""Dunning letters: written with the steps they tell of, sent after them, kept as they were sent."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing.dunning.states import MAIL_MOVES, MailState, Template
from billing.entities.models import BillingEntity
from billing.kernel.models import BaseModel
from billing.kernel.states import pairs
from billing.kernel.triggers import audited, frozen, moves_only, never_truncated, touched


class DunningMail(BaseModel):
    """One letter to one customer about all invoices with a reminder due that day.

    The row is the outbox: committed as `queued`, then `sending` before the mail server is spoken to, then what
    it said. One that stays `sending` may have gone out: it is never sent again without a person's word.
    """

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="dunning_mails")
    written_on = models.DateField()
    template = models.CharField(max_length=16, choices=Template)
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
        db_table = "dunning_mails"
        permissions = [
            ("retry_mail", "Can have dunning letters sent again"),
            ("confirm_mail", "Can confirm that dunning letters went out"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["message_id"], name="dunning_mail_message_id_unique"),
            models.CheckConstraint(name="dunning_mail_state_known", condition=Q(state__in=MailState.values)),
            models.CheckConstraint(
                name="dunning_mail_sent_iff_dated",
                condition=Q(state=MailState.SENT, sent_at__isnull=False)
                | (~Q(state=MailState.SENT) & Q(sent_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="dunning_mail_sending_since",
                condition=~Q(state=MailState.SENDING) | Q(sending_since__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="dunning_mail_due", condition=Q(state=MailState.QUEUED))
        ]
        triggers = [
            touched(),
            moves_only(pairs(MAIL_MOVES)),
            frozen(
                when="true",
                except_for=("state", "attempts", "due_at", "sending_since", "sent_at", "last_error"),
            ),
            never_truncated(),
            *audited(entity="customer_id", secret=("text", "html")),
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.recipient})"

    @property
    def entity_id(self):
        return self.customer_id
