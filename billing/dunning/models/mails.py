"""Dunning letters: written with the steps they tell of, sent after them, kept as they were sent."""

from django.db import models
from django.db.models import Q

from billing.dunning.states import Template
from billing.entities.models import BillingEntity
from billing.kernel.mailing.models import MOVING, Mail
from billing.kernel.mailing.states import MAIL_MOVES, MailState
from billing.kernel.states import pairs
from billing.kernel.triggers import audited, frozen, moves_only, never_truncated, touched


class DunningMail(Mail):
    """One letter to one customer about all invoices with a reminder due that day."""

    seller = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    customer = models.ForeignKey(BillingEntity, models.PROTECT, related_name="dunning_mails")
    written_on = models.DateField()
    template = models.CharField(max_length=16, choices=Template)

    class Meta(Mail.Meta):
        verbose_name = "letter"
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
                except_for=MOVING,
            ),
            never_truncated(),
            *audited(entity="customer_id", secret=("text", "html")),
        ]

    @property
    def entity_id(self):
        return self.customer_id
